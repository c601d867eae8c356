"""`lingolite bench`: speed, latency, load time and memory of several systems, measured in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Languages, Model, parse_languages
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.systems import FORM, AskedSystem, add_shortlisted, default_systems, parse_systems
from lingolite_cli.jobs.texts import Named, Texts, find_texts, needs_of
from lingolite_cli.runs.results import BenchmarkResult
from lingolite_cli.views.benchmark import show_benchmark
from lingolite_cli.views.benchmark_plot import plot_benchmark
from lingolite_cli.views.charts import check_plot_target

LENGTHS = "32,100,200"


def bench(
    typer_context: typer.Context,
    model: Model = None,
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
        typer.Option(metavar="FILE", help="Sources, one a line or in a .tsv; the project's test set without it."),
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
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="How often each system has its turn.")] = 3,
    cold_starts: Annotated[int, typer.Option(min=1, metavar="N", help="How often each system is started afresh.")] = 1,
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads for each engine.")] = 1,
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Processes that share the sentences, for each system.")
    ] = 1,
    shortlist: Annotated[
        bool, typer.Option("--shortlist", help="Measure artifacts that have a vocabulary shortlist with it, too.")
    ] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it to this .svg, .png or .pdf file.")] = None,
    json: JsonFlag = False,
) -> None:
    """Measure backends side by side, each alone in a fresh process."""
    context = context_of(typer_context)
    console = context.console(json=json)
    if plot is not None:
        check_plot_target(plot)
    path = adhoc.model_path(context, model)
    corpus = (
        {"tsv" if adhoc.is_tsv(source) else "source": str(source.resolve())}
        if source
        else adhoc.corpus_input(context, source=None, targets=[], languages=None)
    )
    pair = parse_languages(languages)
    asked = parse_systems(system) if system else default_systems(context.registry)
    if shortlist:
        asked = add_shortlisted(asked, model=path)
    texts = find_texts(context, Named())
    steps, systems = _systems(context, path, asked, texts)
    benchmark = {
        "id": "bench",
        "uses": "benchmark",
        "systems": systems,
        "num_sentences": num_sentences,
        "batch_sizes": _numbers(batch_sizes, flag="--batch-sizes"),
        "lengths": [] if beam_size > 1 and lengths == LENGTHS else _numbers(lengths, flag="--lengths"),
        "length_batch_sizes": _numbers(length_batch_sizes, flag="--length-batch-sizes"),
        "decoding": {"beam_size": beam_size},
        "rounds": rounds,
        "cold_starts": cold_starts,
        "threads": threads,
        "workers": workers,
    }
    job = adhoc.Job(
        command="bench",
        inputs={
            "model": adhoc.model_input(path),
            "test": {**corpus, "languages": list(pair)} if pair else corpus,
            **texts.inputs_for(steps),
            **{_input(place): adhoc.model_input(one.directory) for place, one in enumerate(asked) if one.directory},
        },
        steps=[*steps, benchmark],
    )
    records, _ = adhoc.run_job(context, job, console)
    result = records[-1].result
    assert isinstance(result, BenchmarkResult)
    console.print_json(result)
    show_benchmark(result, console)
    if plot is not None:
        plot_benchmark(result, plot)
        console.note(f"plot: {plot}")


def _systems(
    context: JobContext, path: Path, asked: list[AskedSystem], texts: Texts
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The conversions that the systems need, each once, and the systems."""
    steps: list[dict[str, Any]] = []
    systems = []
    for position, system in enumerate(asked):
        reference, format = adhoc.MODEL, adhoc.format_of(system.directory or path)
        if system.directory:
            reference = f"inputs.{_input(position)}"
        elif system.method:
            needs = needs_of(context, system.method)
            steps.append(texts.quantize_step(f"s{position}-quantize", system.method, needs=needs, model=reference))
            reference = str(steps[-1]["id"])
            format = context.registry.resolve("quantizer", system.method).spec.produces
        lead = adhoc.lead_to(
            context.registry, backend=system.backend, format=format, reference=reference, prefix=f"s{position}-"
        )
        steps += lead.steps
        table = {"name": system.name, "model": lead.reference, "backend": system.backend, "options": system.options}
        own = {"threads": system.threads, "workers": system.workers}
        systems.append({**table, **{key: value for key, value in own.items() if value is not None}})
    return steps, systems


def _input(position: int) -> str:
    """The input of a system that brings its own artifact."""
    return f"s{position}"


def _numbers(text: str, *, flag: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise LingoLiteError(f"{flag} {text}: expected numbers", hint=f"for example `{flag} 1,32`") from None
