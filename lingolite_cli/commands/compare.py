"""`lingolite compare`: two runs, artifacts or files of translations against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Metrics, Threads, parse_languages, parse_metrics
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.jobs.system_comparison import ComparisonRequest, compare_systems
from lingolite_cli.recipe.model import MOST_RESAMPLES, MOST_SEED
from lingolite_cli.views.comparison import show_compare_outcome


def compare_paths(
    typer_context: typer.Context,
    first: Annotated[
        Path, typer.Argument(metavar="FIRST", help="A run's directory, an artifact, or a file of translations.")
    ],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="What is compared with it.")],
    step: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Of runs, only this `evaluate` step; default: all that both have."),
    ] = None,
    metrics: Metrics = None,
    listed: Annotated[
        int, typer.Option("--sentences", min=0, metavar="N", help="Best and worst sentences to show.")
    ] = 5,
    resamples: Annotated[
        int,
        typer.Option(min=100, metavar="N", help="Of the paired bootstrap and the randomization."),
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of the paired bootstrap and the randomization.")] = 17,
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression",
            help="Exit 3 on a significant regression or a newly broken budget, and where nothing can be measured.",
        ),
    ] = False,
    languages: Annotated[
        str | None,
        typer.Option(
            metavar="SRC-TGT",
            help="Languages, by which metrics choose tokenizers; default: as runs recorded, or by script.",
        ),
    ] = None,
    threads: Threads = None,
    json: JsonFlag = False,
) -> None:
    """Compare two systems on the same sentences: what got better, what got worse, and how sure that is."""
    for option, value, most in (("--resamples", resamples, MOST_RESAMPLES), ("--seed", seed, MOST_SEED)):
        if value > most:
            raise LingoLiteError(f"{option} {value}: too large", hint=f"the largest is {most}")
    context = context_of(typer_context)
    console = context.console(json=json)
    request = ComparisonRequest(
        paths=(first, second),
        step=step,
        metrics=parse_metrics(metrics),
        listed=listed,
        resamples=resamples,
        seed=seed,
        threads=threads,
        languages=parse_languages(languages),
    )
    found = compare_systems(context, request, console)
    console.print_json(found)
    show_compare_outcome(found, first=str(first), second=str(second), console=console)
    if fail_on_regression and (found.regressions or not found.is_measured):
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
