"""`lingolite monitor`: what a server recorded, judged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Languages, Metrics, parse_languages, parse_metrics
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import ExitCode
from lingolite_cli.jobs.monitoring import MonitoringRequest, monitor
from lingolite_cli.schema import parse_options
from lingolite_cli.views.runs import show_run


def monitor_log(
    typer_context: typer.Context,
    log: Annotated[
        Path,
        typer.Argument(metavar="LOG", help="Of `lingolite serve --sample-log`; older files beside it are read too."),
    ],
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The run that was signed off, or a file of translations: drift is against it."
        ),
    ] = None,
    references: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sources and references, a TSV file: what was served of them is scored."),
    ] = None,
    languages: Languages = None,
    metrics: Metrics = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            "--budget",
            metavar="NAME=LIMIT",
            help="Such as served_latency_p95_ms_max=500, repeatable; all are listed below.",
        ),
    ] = None,
    allow_inconclusive: Annotated[
        bool,
        typer.Option("--allow-inconclusive", help="Pass budgets that too few sentences leave inconclusive."),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Judge what a server recorded, and write a report. Exits 3 when a budget is broken."""
    context = context_of(typer_context)
    console = context.console(json=json)
    pair = parse_languages(languages)
    request = MonitoringRequest(
        log=log,
        run=run,
        references=None if references is None else CorpusSpec(tsv=str(references.absolute()), languages=pair),
        metrics=parse_metrics(metrics),
        budget=parse_options(budget, flag="--budget"),
        allow_inconclusive=allow_inconclusive,
    )
    outcome = monitor(context, request, console)
    show_run(outcome, console)
    if any(verdict.breaks_run for _, verdict in outcome.manifest.verdicts):
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
