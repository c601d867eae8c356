"""`lingolite eval`: scores of a model through a backend on a test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lingolite_cli.artifact import canonical_json, write_atomic
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    Device,
    JsonFlag,
    Languages,
    Metrics,
    Model,
    Options,
    Provider,
    Shortlist,
    Threads,
    Workers,
    parse_languages,
    parse_metrics,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.runs.record import StepRecord
from lingolite_cli.runs.results import EvaluateResult
from lingolite_cli.runs.translations import TRANSLATIONS_NAME
from lingolite_cli.schema import parse_options
from lingolite_cli.views.runs import show_evaluations


def eval_(
    typer_context: typer.Context,
    model: Model = None,
    backend: Annotated[
        str | None, typer.Option(metavar="NAME", help="The backend; another format is made if it needs one.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sources, one a line; or a TSV file, without --target.")
    ] = None,
    target: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="References, one a line; repeatable.")
    ] = None,
    languages: Languages = None,
    metrics: Metrics = None,
    batch_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most sentences in a batch.")] = None,
    max_length: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most target tokens a sentence.")] = None,
    beam_size: Annotated[int | None, typer.Option(min=1, metavar="N", help="1 is greedy search.")] = None,
    length_penalty: Annotated[float | None, typer.Option(metavar="ALPHA", help="GNMT's alpha, for beams.")] = None,
    max_samples: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first so many sentences.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Without a KV cache: the backend `eager`.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not reuse an earlier result.")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the JSON result here.")] = None,
    save_translations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the translations here, JSON lines.")
    ] = None,
    shortlist: Shortlist = False,
    option: Options = None,
    device: Device = None,
    provider: Provider = None,
    threads: Threads = None,
    workers: Workers = None,
    json: JsonFlag = False,
) -> None:
    """Translate a test set and score it. Inside a project no option is needed."""
    context = context_of(typer_context)
    console = context.console(json=json)
    for file in (output, save_translations):
        if file is not None and file.is_dir():
            raise LingoLiteError(f"{file} is a directory", hint="name the file to write")
    path = adhoc.model_path(context, model)
    chosen = _backend(context, path, backend, no_cache=no_cache)
    lead = adhoc.lead_to(context.registry, backend=chosen, format=adhoc.format_of(path))
    adhoc.note_conversion(lead, console, backend=chosen)
    step = _step(
        chosen, lead.reference, metrics=metrics, batch_size=batch_size, max_samples=max_samples, workers=workers
    )
    decoding = {"max_length": max_length, "beam_size": beam_size, "length_penalty": length_penalty}
    step["decoding"] = {key: value for key, value in decoding.items() if value is not None}
    step["options"] = adhoc.plugin_options(
        context.registry,
        kind="backend",
        name=chosen,
        flags={"device": device, "provider": provider, "shortlist": shortlist or None},
        pairs=parse_options(option),
    )
    corpus = adhoc.corpus_input(context, source=source, targets=target or [], languages=parse_languages(languages))
    job = adhoc.Job(
        command="eval",
        inputs={"model": adhoc.model_input(path), "test": corpus},
        steps=[*lead.steps, step],
        threads=threads,
        is_fresh=fresh,
    )
    records, runner = adhoc.run_job(context, job, console)
    result = records[-1].result
    assert isinstance(result, EvaluateResult)
    report = flat_report(result, records[-1])
    if output:
        write_atomic(output, msgspec.json.format(canonical_json(report), indent=2) + b"\n")
    if save_translations:
        translations = runner.finished("evaluate").directory / TRANSLATIONS_NAME
        write_atomic(save_translations, translations.read_bytes())
    console.print_json(report)
    show_evaluations(records[-1:], console)


def _backend(context: JobContext, path: Path, asked: str | None, *, no_cache: bool) -> str:
    if no_cache and asked not in (None, "eager"):
        raise LingoLiteError(
            f"--no-cache and --backend {asked} contradict one another", hint="--no-cache means --backend eager"
        )
    if no_cache:
        return "eager"
    return adhoc.backend_for(context, format=adhoc.format_of(path), asked=asked)


def _step(backend: str, model: str, *, metrics: Sequence[str] | None, **keys: Any) -> dict[str, Any]:
    step: dict[str, Any] = {"id": "evaluate", "uses": "evaluate", "model": model, "backend": backend}
    given = {"metrics": parse_metrics(metrics), **keys}
    return {**step, **{key: value for key, value in given.items() if value is not None}}


def flat_report(result: EvaluateResult, record: StepRecord) -> dict[str, Any]:
    """The JSON of `lingolite eval`: each metric by name with its parts beside it, signatures, and what was scored."""
    report: dict[str, Any] = {}
    for name, score in result.metrics.items():
        report[name] = score.value
        report.update(score.details)
    return {
        **report,
        "signatures": {name: score.signature for name, score in result.metrics.items()},
        "num_samples": result.num_samples,
        "num_truncated": result.num_truncated,
        "num_unfinished": result.num_unfinished,
        "num_tokens": result.num_tokens,
        "backend": result.backend,
        "model": msgspec.to_builtins(result.artifact),
        "corpus": msgspec.to_builtins(result.corpus),
        "decoding": msgspec.to_builtins(result.decoding),
        "warnings": result.warnings,
        "status": record.status,
    }
