"""`lingolite verify`: one artifact judged against another, with budgets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.benchmark.noise import MIN_ROUNDS
from lingolite_cli.commands.completion import platform_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    JsonFlag,
    Languages,
    Metrics,
    Model,
    Threads,
    Tokenizer,
    parse_languages,
    parse_metrics,
)
from lingolite_cli.console import Console
from lingolite_cli.emulation.platforms import PLATFORMS
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.jobs.checkpoint import artifact_path
from lingolite_cli.jobs.inputs import corpus_input, model_path
from lingolite_cli.jobs.job import given_of
from lingolite_cli.jobs.replay import ReplayRequest, replay
from lingolite_cli.jobs.verification import SystemChoice, VerificationRequest, verify
from lingolite_cli.runs.measured_results import ReplayResult
from lingolite_cli.schema import parse_options
from lingolite_cli.views.evaluation import show_evaluations
from lingolite_cli.views.replay import show_replay
from lingolite_cli.views.verification import show_verdicts, show_verification, verdict_line

_REPLAY_PARAMETERS = frozenset({"candidate", "on", "prepare", "json"})


def verify_candidate(
    typer_context: typer.Context,
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="The artifact to judge.")],
    model: Model = None,
    tokenizer: Tokenizer = None,
    bundle: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The bundle that CANDIDATE was exported from; default: searched for."),
    ] = None,
    source: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sources, one a line; or a TSV file, without --target.")
    ] = None,
    target: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="References, one a line; repeatable.")
    ] = None,
    languages: Languages = None,
    max_samples: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first so many sentences.")
    ] = None,
    metrics: Metrics = None,
    reference_backend: Annotated[str | None, typer.Option(metavar="NAME", help="The backend of the model.")] = None,
    candidate_backend: Annotated[str | None, typer.Option(metavar="NAME", help="The backend of the candidate.")] = None,
    candidate_option: Annotated[
        list[str] | None,
        typer.Option(
            "--candidate-option", metavar="KEY=VALUE", help="An option of the candidate's backend; repeatable."
        ),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget", metavar="NAME=LIMIT", help="Such as bleu_drop_max=0.5, repeatable; all are listed below."
        ),
    ] = None,
    allow_inconclusive: Annotated[
        bool,
        typer.Option(
            "--allow-inconclusive", help="Pass budgets that too few data or a noisy machine leave inconclusive."
        ),
    ] = False,
    allow_implausible_reference: Annotated[
        bool,
        typer.Option(
            "--allow-implausible-reference", help="Judge by a model whose own translations are mostly broken, too."
        ),
    ] = False,
    num_sentences: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="For budgets on time: sentences of a round; default: 64.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="For budgets on tokens a second: sentences in a batch; default: 1."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=MIN_ROUNDS, metavar="N", help="For budgets on time: rounds before the first verdict; default: 6."
        ),
    ] = None,
    max_rounds: Annotated[
        int | None,
        typer.Option(
            min=MIN_ROUNDS,
            metavar="N",
            help="For budgets on time: most rounds, where fewer leave it inconclusive; default: 24.",
        ),
    ] = None,
    threads: Threads = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            "--on",
            metavar="PLATFORM",
            help=f"Only replay the candidate's goldens there: {', '.join(PLATFORMS)}; repeatable.",
            autocompletion=platform_names,
        ),
    ] = None,
    prepare: Annotated[
        bool, typer.Option("--prepare", help="With --on: first download what emulating these processors needs.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Judge a candidate against the model. Exits 3 when a budget is broken."""
    context = context_of(typer_context)
    console = context.console(json=json)
    if prepare and not on:
        raise LingoLiteError("--prepare without --on", hint="name what to prepare: --on arm64")
    if on:
        _refuse_others(typer_context)
        request_replay = ReplayRequest(candidate=artifact_path(context, candidate), platforms=on, prepare=prepare)
        _show_replayed(replay(context, request_replay, console), console)
        return
    request = VerificationRequest(
        reference=SystemChoice(model_path(context, model, tokenizer=tokenizer), reference_backend),
        candidate=SystemChoice(
            artifact_path(context, candidate),
            candidate_backend,
            parse_options(candidate_option, flag="--candidate-option"),
        ),
        bundle=None if bundle is None else bundle.resolve(),
        corpus=corpus_input(context, source=source, targets=target or [], languages=parse_languages(languages)),
        max_samples=max_samples,
        metrics=parse_metrics(metrics),
        budget=parse_options(budget, flag="--budget"),
        allow_inconclusive=allow_inconclusive,
        allow_implausible_reference=allow_implausible_reference,
        timing=given_of(num_sentences=num_sentences, batch_size=batch_size, rounds=rounds, max_rounds=max_rounds),
        threads=threads,
    )
    verification = verify(context, request, console)
    result = verification.result
    verdicts = [("", verdict) for verdict in result.verdicts]
    console.print_json(result)
    show_evaluations(verification.records, console)
    show_verification(result, console)
    show_verdicts(verdicts, console)
    console.print(verdict_line(verdicts))
    if any(verdict.breaks_run for verdict in result.verdicts):
        raise typer.Exit(ExitCode.BUDGET_BROKEN)


def _refuse_others(typer_context: typer.Context) -> None:
    """Goldens are replayed as they are: nothing else that `verify` takes has a part in it."""
    given = [
        parameter.opts[0]
        for parameter in typer_context.command.params
        if parameter.name not in _REPLAY_PARAMETERS
        and str(typer_context.get_parameter_source(str(parameter.name))).endswith("COMMANDLINE")
    ]
    if given:
        raise LingoLiteError(
            f"{given[0]} has no part in --on, which replays the goldens of the candidate alone",
            hint="leave it out, or verify in two steps",
        )


def _show_replayed(result: ReplayResult, console: Console) -> None:
    verdicts = [("", verdict) for verdict in result.verdicts]
    console.print_json(result)
    show_replay(result, console)
    console.print(verdict_line(verdicts))
    if any(verdict.breaks_run for verdict in result.verdicts):
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
