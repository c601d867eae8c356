"""`lingolite quantize`: a smaller artifact from a bundle, all methods compared, or the best mix of precisions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lingolite_cli.artifact import canonical_json, check_target, write_atomic
from lingolite_cli.commands.context import context_of, is_given
from lingolite_cli.commands.options import JsonFlag, Languages, Model, Options, Overwrite
from lingolite_cli.commands.search import Flags, Request, search_job, search_mixes
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.quantizer_comparison import RESULTS_NAME, comparison_job, comparison_rows, show_comparison
from lingolite_cli.jobs.texts import Named, find_texts, needs_of, refuse_needless
from lingolite_cli.schema import parse_options
from lingolite_cli.views.runs import show_conversion

_COMPARE = "compare"


def quantize(
    typer_context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The directory to make; for `compare`, where the results go."),
    ] = None,
    model: Model = None,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="The quantizer; `compare` tries all of them.")
    ] = "dynamic-int8",
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text for methods that calibrate, one sentence a line or in a .tsv; the project's dev set without it.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Parallel text for methods that train, a .tsv; repeatable; the project's without it."
        ),
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For methods that train: a .tsv to choose weights by; the project's dev set without it.",
        ),
    ] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(min=10, metavar="N", help="For `compare` and --search: only the first so many sentences."),
    ] = None,
    search: Flags.Search = False,
    budget: Flags.Budget = None,
    allow_inconclusive: Flags.AllowInconclusive = False,
    source: Flags.Source = None,
    target: Flags.Target = None,
    languages: Languages = None,
    precisions: Flags.Precisions = None,
    granularity: Flags.By = None,
    max_trials: Flags.MaxTrials = None,
    option: Options = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Make a bundle smaller, compare all ways to do so, or search for the smallest mix of precisions."""
    context = context_of(typer_context)
    console = context.console(json=json)
    path = adhoc.model_path(context, model)
    named = Named(calibration=calibration, data=tuple(data or ()), dev=dev)
    request = Request(
        budget=budget,
        allow_inconclusive=allow_inconclusive,
        source=source,
        target=target,
        languages=languages,
        precisions=precisions,
        granularity=granularity,
        max_trials=max_trials,
    )
    if search:
        if named != Named():
            raise LingoLiteError(
                "--search neither calibrates nor trains", hint="name the text to measure with by --source"
            )
        out = _given(out)
        check_target(out, overwrite=overwrite)
        chosen = method if is_given(typer_context, "method") else None
        job = search_job(context, path, request, method=chosen, options=parse_options(option), max_samples=max_samples)
        search_mixes(context, job, console, out=out, overwrite=overwrite)
        return
    request.refuse()
    if method == _COMPARE:
        if option:
            raise LingoLiteError("--option goes to one quantizer", hint="name it with --method")
        _compare(context, path, named, console, out=out, max_samples=max_samples, overwrite=overwrite)
        return
    out = _given(out)
    if max_samples is not None:
        raise LingoLiteError(
            "--max-samples is for --method compare and for --search", hint="quantizing reads no sentences"
        )
    needs = needs_of(context, method)
    refuse_needless(named, needs, method=method)
    texts = find_texts(context, named)
    step = {**texts.quantize_step("quantize", method, needs=needs), "options": parse_options(option)}
    texts.say_which(needs, console)
    inputs = {"model": adhoc.model_input(path), **texts.inputs_for([step])}
    job = adhoc.Job(command="quantize", inputs=inputs, steps=[step])
    record = adhoc.convert_and_publish(context, job, console, out=out, overwrite=overwrite)
    show_conversion(record.result, out, console)


def _given(out: Path | None) -> Path:
    if out is None:
        raise LingoLiteError("--out is missing", hint="name the directory to make: --out DIR")
    return out


def _compare(
    context: JobContext,
    model: Path,
    named: Named,
    console: Console,
    *,
    out: Path | None,
    max_samples: int | None,
    overwrite: bool,
) -> None:
    if out is not None and out.exists() and not out.is_dir():
        raise LingoLiteError(f"{out} is a file", hint=f"name a directory: {RESULTS_NAME} is written into it")
    if out is not None and (out / RESULTS_NAME).exists() and not overwrite:
        raise LingoLiteError(f"{out / RESULTS_NAME} exists", hint="choose another place, or pass --overwrite")
    texts = find_texts(context, named)
    test = adhoc.corpus_input(context, source=None, targets=[], languages=None)
    inputs = {"model": adhoc.model_input(model), "test": test}
    chosen = comparison_job(context, texts, inputs=inputs, format=adhoc.format_of(model), max_samples=max_samples)
    job, left_out = chosen.job, chosen.left_out
    texts.say_which(chosen.needs, console)
    for method, why in left_out.items():
        console.warn(f"`{method}` is left out: {why}")
    outcome = adhoc.make_runner(context, job, console).run(
        context.project.runs_directory, history=context.history(console)
    )
    assert outcome.directory is not None
    rows = comparison_rows(outcome.manifest)
    run = {"environment": outcome.manifest.environment, "run": outcome.manifest.id}
    results = {**run, "rows": rows, "left_out": left_out}
    target = (out or outcome.directory) / RESULTS_NAME
    write_atomic(target, msgspec.json.format(canonical_json(results), indent=2) + b"\n")
    console.print_json(results)
    show_comparison(rows, console)
    console.print(f"results: {target}\nreport:  {outcome.directory / 'report.html'}")
