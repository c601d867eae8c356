"""`lingolite verify`: one artifact judged against another, with budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lingolite_cli.benchmark.noise import MIN_ROUNDS
from lingolite_cli.budgets.table import BUDGETS, by_name, metric_budgets
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import (
    JsonFlag,
    Languages,
    Metrics,
    Model,
    Threads,
    parse_languages,
    parse_metrics,
)
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_cli.runs.results import VerifyResult
from lingolite_cli.schema import parse_options
from lingolite_cli.views.runs import show_evaluations, show_verdicts, show_verification, verdict_line


def verify(
    typer_context: typer.Context,
    candidate: Annotated[Path, typer.Argument(metavar="CANDIDATE", help="The artifact to judge.")],
    model: Model = None,
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
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget", metavar="NAME=LIMIT", help="Such as bleu_drop_max=0.5, repeatable; all are listed below."
        ),
    ] = None,
    allow_inconclusive: Annotated[
        bool, typer.Option("--allow-inconclusive", help="Let pass what too few data or a noisy machine leave unsure.")
    ] = False,
    num_sentences: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="For budgets on time: sentences of a round, 64 without it.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="For budgets on tokens a second: sentences in a batch, 1 without it."),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=MIN_ROUNDS, metavar="N", help="For budgets on time: rounds before the first verdict, 6 without it."
        ),
    ] = None,
    max_rounds: Annotated[
        int | None,
        typer.Option(
            min=MIN_ROUNDS,
            metavar="N",
            help="For budgets on time: most rounds, where fewer leave it unsure, 24 without it.",
        ),
    ] = None,
    threads: Threads = None,
    json: JsonFlag = False,
) -> None:
    """Judge a candidate against the model. Exits 3 when a budget is broken."""
    context = context_of(typer_context)
    console = context.console(json=json)
    reference = adhoc.model_path(context, model)
    corpus = adhoc.corpus_input(context, source=source, targets=target or [], languages=parse_languages(languages))
    timing = {
        "num_sentences": num_sentences,
        "batch_size": batch_size,
        "rounds": rounds,
        "max_rounds": max_rounds,
    }
    budgets = parse_options(budget, flag="--budget")
    scored = {"max_samples": max_samples, "metrics": _metrics(context, parse_metrics(metrics), set(budgets))}
    step: dict[str, Any] = {"id": "verify", "uses": "verify", "reference": "reference", "candidate": "candidate"}
    job = adhoc.Job(
        command="verify",
        inputs={
            "reference": adhoc.model_input(reference),
            "candidate": adhoc.model_input(candidate.resolve()),
            "test": corpus,
        },
        steps=[
            _evaluate(context, "reference", reference, reference_backend, scored),
            _evaluate(context, "candidate", candidate, candidate_backend, scored),
            {
                **step,
                "budget": budgets,
                "allow_inconclusive": allow_inconclusive,
                "timing": _timing(timing, set(budgets)),
            },
        ],
        threads=threads,
    )
    records, _ = adhoc.run_job(context, job, console)
    result = records[-1].result
    assert isinstance(result, VerifyResult)
    console.print_json(result)
    show_evaluations(records, console)
    show_verification(result, console)
    show_verdicts([("", verdict) for verdict in result.verdicts], console)
    console.print(verdict_line([("", verdict) for verdict in result.verdicts]))
    if any(verdict.breaks_run for verdict in result.verdicts):
        raise typer.Exit(ExitCode.BUDGET_BROKEN)


def _metrics(context: JobContext, asked: Sequence[str] | None, budgets: set[str]) -> list[str]:
    """Those that were asked for, or the project's, and those that a budget is on."""
    budgeted = [
        entry.name
        for entry in context.registry.of_kind("metric")
        if isinstance(entry.spec, MetricSpec) and budgets & by_name(metric_budgets(entry.name, entry.spec.goal)).keys()
    ]
    return list(dict.fromkeys([*(asked or adhoc.project_metrics(context)), *budgeted]))


def _timing(asked: Mapping[str, int | None], budgets: set[str]) -> dict[str, int]:
    """What was asked of the timing, where a budget needs one.

    Raises:
        LingoLiteError: none does.
    """
    given = {key: value for key, value in asked.items() if value is not None}
    if given and not any(name in BUDGETS and BUDGETS[name].is_timed for name in budgets):
        flag = f"--{next(iter(given)).replace('_', '-')}"
        raise LingoLiteError(f"{flag} without a budget on time", hint="add one: --budget latency_p95_ms_max=50")
    return given


def _evaluate(
    context: JobContext, name: str, path: Path, backend: str | None, scored: Mapping[str, Any]
) -> dict[str, Any]:
    chosen = adhoc.backend_for(context, format=adhoc.format_of(path), asked=backend)
    step: dict[str, Any] = {"id": name, "uses": "evaluate", "model": f"inputs.{name}", "backend": chosen}
    return {**step, **{key: value for key, value in scored.items() if value is not None}}
