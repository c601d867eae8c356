"""`lingolite bench`: speed, latency, load time and memory of several systems, measured in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Languages, Model, Tokenizer, parse_languages, parse_numbers
from lingolite_cli.files.output import check_output
from lingolite_cli.jobs.benchmark import BenchmarkRequest, benchmark
from lingolite_cli.jobs.benchmark_systems import FORM, add_shortlisted, default_systems, parse_systems
from lingolite_cli.jobs.inputs import corpus_input, has_tsv_name, input_paths, model_path, source_input
from lingolite_cli.views.benchmark import show_benchmark
from lingolite_cli.views.benchmark_plot import plot_benchmark
from lingolite_cli.views.charts import check_plot_target

LENGTHS = "32,100,200"


def bench(
    typer_context: typer.Context,
    model: Model = None,
    tokenizer: Tokenizer = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar=FORM,
            help="A backend and its options, on the model as it is, quantized by METHOD first, or on the artifact DIR. "
            "The keys threads and workers are those of this system alone. Repeatable; ratios are to the first.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sources, one a line or in a .tsv; default: the project's test set."),
    ] = None,
    languages: Languages = None,
    num_sentences: Annotated[int, typer.Option(min=1, metavar="N", help="Sentences drawn from the text.")] = 64,
    batch_sizes: Annotated[str, typer.Option(metavar="N,N", help="Batch sizes, separated by commas.")] = "1,32",
    lengths: Annotated[
        str, typer.Option(metavar="N,N", help="Forced target lengths, separated by commas; none with beams.")
    ] = LENGTHS,
    length_batch_sizes: Annotated[
        str, typer.Option(metavar="N,N", help="Batch sizes of forced lengths, separated by commas.")
    ] = "1",
    beam_size: Annotated[int, typer.Option(min=1, metavar="N", help="1 is greedy search.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Turns of each system.")] = 3,
    cold_starts: Annotated[int, typer.Option(min=1, metavar="N", help="Starts of each system.")] = 1,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads for each engine.")] = 1,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Processes that share the sentences, for each system.")
    ] = 1,
    shortlist: Annotated[
        bool, typer.Option("--shortlist", help="Measure artifacts that have a vocabulary shortlist with it, too.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw it to this file: .html, .svg, .png or .pdf. Needs matplotlib (the extra `plots`).",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Measure backends side by side, each alone in a fresh process."""
    context = context_of(typer_context)
    console = context.console(json=json)
    if plot is not None:
        check_plot_target(plot)
    path = model_path(context, model, tokenizer=tokenizer)
    pair = parse_languages(languages)
    if source is not None:
        corpus = source_input(source, is_tsv=has_tsv_name(source), languages=pair)
    else:
        corpus = corpus_input(context, languages=pair)
    if plot is not None:
        check_output(plot, flag="--plot", inputs=[path, *input_paths(corpus)])
    systems = parse_systems(system) if system else default_systems(context.registry)
    request = BenchmarkRequest(
        model=path,
        systems=add_shortlisted(systems, model=path) if shortlist else systems,
        corpus=corpus,
        num_sentences=num_sentences,
        batch_sizes=parse_numbers(batch_sizes, flag="--batch-sizes"),
        # Beams are measured at free lengths only: the default lengths are for greedy search.
        lengths=[] if beam_size > 1 and lengths == LENGTHS else parse_numbers(lengths, flag="--lengths"),
        length_batch_sizes=parse_numbers(length_batch_sizes, flag="--length-batch-sizes"),
        beam_size=beam_size,
        rounds=rounds,
        cold_starts=cold_starts,
        threads=threads,
        workers=workers,
    )
    result = benchmark(context, request, console)
    console.print_json(result)
    show_benchmark(result, console)
    if plot is not None:
        plot_benchmark(result, plot)
        console.note(f"plot: {plot}")
