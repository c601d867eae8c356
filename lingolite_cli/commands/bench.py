"""`lingolite bench`: speed, latency, load time and memory of several systems, measured in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lingolite_cli.commands import adhoc
from lingolite_cli.commands.options import JsonFlag, Languages, Model, parse_languages
from lingolite_cli.commands.show import show_benchmark
from lingolite_cli.commands.state import State, state_of
from lingolite_cli.commands.texts import Named, Texts, find_texts, needs_of
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.recipe.record import BenchmarkResult


def bench(
    context: typer.Context,
    model: Model = None,
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="BACKEND[@METHOD]",
            help="A backend, on the model as it is or quantized by METHOD first; repeatable. Ratios are to the first.",
        ),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(help="Sources, one a line or in a .tsv; the project's test set without it.")
    ] = None,
    languages: Languages = None,
    num_sentences: Annotated[int, typer.Option(min=1, help="Sentences drawn from the text.")] = 64,
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1,32",
    lengths: Annotated[str, typer.Option(help="Forced target lengths at batch 1, separated by commas.")] = "32,100,200",
    rounds: Annotated[int, typer.Option(min=1, help="How often each system has its turn.")] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Threads for each engine.")] = 1,
    json: JsonFlag = False,
) -> None:
    """Measure backends side by side, each alone in a fresh process."""
    state = state_of(context)
    console = state.console(json=json)
    path = adhoc.model_path(state, model)
    corpus = (
        {"tsv" if adhoc.is_tsv(source) else "source": str(source.resolve())}
        if source
        else adhoc.corpus_input(state, source=None, targets=[], languages=None)
    )
    pair = parse_languages(languages)
    names = system or ["eager", "cached", "int8", "onnx", "onnx@dynamic-int8"]
    texts = find_texts(state, Named())
    steps, systems = _systems(state, path, names, texts)
    benchmark = {
        "id": "bench",
        "uses": "benchmark",
        "systems": systems,
        "num_sentences": num_sentences,
        "batch_sizes": _numbers(batch_sizes, flag="--batch-sizes"),
        "lengths": _numbers(lengths, flag="--lengths"),
        "rounds": rounds,
        "threads": threads,
    }
    job = adhoc.Job(
        command="bench",
        inputs={
            "model": adhoc.model_input(path),
            "test": {**corpus, "languages": list(pair)} if pair else corpus,
            **texts.inputs_for(steps),
        },
        steps=[*steps, benchmark],
    )
    records, _ = adhoc.run_job(state, job, console)
    result = records[-1].result
    assert isinstance(result, BenchmarkResult)
    console.print_json(result)
    show_benchmark(result, console)


def _systems(
    state: State, path: Path, names: list[str], texts: Texts
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The conversions that the systems need, each once, and the systems."""
    steps: list[dict[str, Any]] = []
    systems = []
    for position, name in enumerate(names):
        backend, _, method = name.partition("@")
        reference, format = adhoc.MODEL, adhoc.format_of(path)
        if method:
            needs = needs_of(state, method)
            steps.append(texts.quantize_step(f"s{position}-quantize", method, needs=needs, model=reference))
            reference = str(steps[-1]["id"])
            format = state.registry.resolve("quantizer", method).spec.produces
        lead = adhoc.lead_to(
            state.registry, backend=backend, format=format, reference=reference, prefix=f"s{position}-"
        )
        steps += lead.steps
        systems.append({"name": name, "model": lead.reference, "backend": backend})
    return steps, systems


def _numbers(text: str, *, flag: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise LingoLiteError(f"{flag} {text}: expected numbers", hint=f"for example `{flag} 1,32`") from None
