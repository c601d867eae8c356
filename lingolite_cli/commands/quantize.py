"""`lingolite quantize`: a smaller artifact from a bundle, all methods compared, or the best mix of precisions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lingolite_cli.artifact import check_target
from lingolite_cli.commands.completion import method_names
from lingolite_cli.commands.context import context_of, is_given
from lingolite_cli.commands.options import (
    ExecutorOption,
    JsonFlag,
    Languages,
    Model,
    Options,
    Overwrite,
    Tokenizer,
    parse_ahead,
    parse_languages,
)
from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import corpus_input, input_paths, model_path
from lingolite_cli.jobs.job import convert_and_publish
from lingolite_cli.jobs.plugin_options import shared_options
from lingolite_cli.jobs.precision_search import DEFAULT_BUDGET, SearchRequest, mixing_quantizer, search_precisions
from lingolite_cli.jobs.quantization import quantization_job
from lingolite_cli.jobs.quantizer_comparison import compare_quantizers
from lingolite_cli.jobs.quantizer_texts import NamedTexts
from lingolite_cli.jobs.steps_ahead import LOCAL, Ahead
from lingolite_cli.schema import parse_options
from lingolite_cli.views.conversion import show_conversion
from lingolite_cli.views.precision_search import show_search_outcome
from lingolite_cli.views.quantizer_comparison import show_quantizer_comparison

_COMPARE = "compare"


class SearchFlags(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of `--search` alone, as they were given; None leaves a key to the step's default."""

    budget: str | None
    allow_inconclusive: bool
    allow_implausible_reference: bool
    source: Path | None
    target: list[Path] | None
    precisions: str | None
    granularity: str | None
    max_trials: int | None

    def refuse(self) -> None:
        """For a command without `--search`.

        Raises:
            LingoLiteError: one of them was given.
        """
        for name, value in msgspec.structs.asdict(self).items():
            if value:
                flag = f"--{name.replace('_', '-')}"
                raise LingoLiteError(f"{flag} is for --search", hint=f"pass --search too, or leave out {flag}")


def quantize(
    typer_context: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The directory to make; for `compare`, where the results go."),
    ] = None,
    model: Model = None,
    tokenizer: Tokenizer = None,
    method: Annotated[
        str,
        typer.Option(metavar="NAME", help="The quantizer; `compare` tries all of them.", autocompletion=method_names),
    ] = "dynamic-int8",
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Text for methods that calibrate, one sentence a line or in a .tsv; default: the project's dev set.",
        ),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Parallel text for methods that train, a .tsv; repeatable; default: the project's."
        ),
    ] = None,
    dev: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For methods that train: a .tsv to choose weights by; default: the project's dev set.",
        ),
    ] = None,
    max_samples: Annotated[
        int | None,
        typer.Option(min=10, metavar="N", help="For `compare` and --search: only the first so many sentences."),
    ] = None,
    search: Annotated[
        bool,
        typer.Option("--search", help="Find the smallest mix of precisions inside a budget, measured on dev text."),
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option(metavar="NAME=LIMIT", help="For --search: the drop allowed; default: chrf_drop_max=0.5."),
    ] = None,
    allow_inconclusive: Annotated[
        bool,
        typer.Option("--allow-inconclusive", help="For --search: go by the estimate, not by its whole interval."),
    ] = False,
    allow_implausible_reference: Annotated[
        bool,
        typer.Option(
            "--allow-implausible-reference",
            help="For --search: judge by a model whose own translations are mostly broken, too.",
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For --search: sources, or a TSV file without --target; default: the project's dev set.",
        ),
    ] = None,
    target: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="For --search: references, one a line; repeatable.")
    ] = None,
    languages: Languages = None,
    precisions: Annotated[
        str | None, typer.Option(metavar="P,P", help="For --search: the precisions to mix, such as int4,int8.")
    ] = None,
    granularity: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="For --search: what gets a precision each: block, layer or matrix."),
    ] = None,
    max_trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="For --search: most configurations to measure on the whole text."),
    ] = None,
    executor: ExecutorOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="For `compare` and --search: processes at work together."),
    ] = None,
    option: Options = None,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Make a bundle smaller, compare all ways to do so, or search for the smallest mix of precisions."""
    context = context_of(typer_context)
    console = context.console(json=json)
    path = model_path(context, model, tokenizer=tokenizer)
    named = NamedTexts(calibration=calibration, data=tuple(data or ()), dev=dev, languages=parse_languages(languages))
    flags = SearchFlags(
        budget=budget,
        allow_inconclusive=allow_inconclusive,
        allow_implausible_reference=allow_implausible_reference,
        source=source,
        target=target,
        precisions=precisions,
        granularity=granularity,
        max_trials=max_trials,
    )
    if search:
        _check_search(named)
        out = _given(out)
        # The default method does not mix precisions; only one that was typed is meant.
        chosen = method if is_given(typer_context, "method") else None
        request = _search_request(
            context,
            path,
            flags,
            languages=named.languages,
            method=chosen or mixing_quantizer(context),
            option=option,
            max_samples=max_samples,
            ahead=parse_ahead(executor, None, workers),
        )
        _search(context, request, console, out=out, overwrite=overwrite)
        return
    flags.refuse()
    if method == _COMPARE:
        if option and executor is None:
            raise LingoLiteError("--option goes to one quantizer", hint="name it with --method")
        ahead = parse_ahead(executor, option, workers)
        comparison = compare_quantizers(
            context, path, named, console, out=out, max_samples=max_samples, overwrite=overwrite, ahead=ahead
        )
        show_quantizer_comparison(comparison, console)
        return
    _check_one_method(executor=executor, workers=workers, max_samples=max_samples)
    out = _given(out)
    job = quantization_job(context, path, console, method=method, named=named, options=parse_options(option))
    record = convert_and_publish(context, job, console, out=out, overwrite=overwrite)
    show_conversion(record.result, out, console)


def _check_search(named: NamedTexts) -> None:
    """Refuse texts that only one quantizer can use."""
    if named.calibration or named.data or named.dev:
        raise LingoLiteError("--search neither calibrates nor trains", hint="name the text to measure with by --source")


def _check_one_method(*, executor: str | None, workers: int | None, max_samples: int | None) -> None:
    """Refuse what only a comparison and a search can use."""
    if executor is not None or workers is not None:
        raise LingoLiteError(
            "--executor and --workers are for --method compare and --search", hint="one method is one step"
        )
    if max_samples is not None:
        raise LingoLiteError(
            "--max-samples is for --method compare and for --search", hint="quantizing reads no sentences"
        )


def _given(out: Path | None) -> Path:
    if out is None:
        raise LingoLiteError("--out is missing", hint="name the directory to make: --out DIR")
    return out


def _search_request(
    context: JobContext,
    model: Path,
    flags: SearchFlags,
    *,
    languages: tuple[str, str] | None,
    method: str,
    option: Sequence[str] | None,
    max_samples: int | None,
    ahead: Ahead | None,
) -> SearchRequest:
    """What is searched for. Options go to the quantizer, and those that only the executor has to the executor."""
    options, theirs = shared_options(
        context.registry,
        parse_options(option),
        first=("quantizer", method),
        second=("executor", ahead.executor if ahead else LOCAL),
    )
    budget = parse_options([flags.budget], flag="--budget") if flags.budget else DEFAULT_BUDGET
    targets = flags.target or ()
    return SearchRequest(
        model=model,
        corpus=corpus_input(context, source=flags.source, targets=targets, languages=languages, which="dev"),
        budget=budget,
        allow_inconclusive=flags.allow_inconclusive,
        allow_implausible_reference=flags.allow_implausible_reference,
        method=method,
        options=options,
        precisions=[name.strip() for name in flags.precisions.split(",")] if flags.precisions else None,
        granularity=flags.granularity,
        max_trials=flags.max_trials,
        max_samples=max_samples,
        ahead=msgspec.structs.replace(ahead, options=theirs) if ahead else None,
    )


def _search(context: JobContext, request: SearchRequest, console: Console, *, out: Path, overwrite: bool) -> None:
    check_target(out, overwrite=overwrite, inputs=[request.model, *input_paths(request.corpus)])
    outcome = search_precisions(context, request, console, out=out, overwrite=overwrite)
    show_search_outcome(outcome, out, console)
    if not outcome.is_met:
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
