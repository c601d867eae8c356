"""`lingolite run`: a recipe from its first step to its reports."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.completion import recipe_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import ExecutorOption, parse_ahead
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.jobs.recipe_matrix import MatrixRequest, parse_matrix, run_matrix
from lingolite_cli.jobs.recipe_plan import named_recipe
from lingolite_cli.jobs.recipe_run import RecipeRequest, RecipeRun
from lingolite_cli.recipe.work.learning import TrainingInterrupted
from lingolite_cli.schema import parse_pairs
from lingolite_cli.views.matrix import show_matrix
from lingolite_cli.views.runs import show_forecast, show_run
from lingolite_cli.views.training import show_interruption


def run_recipe(
    typer_context: typer.Context,
    recipes: Annotated[
        list[Path],
        typer.Argument(
            metavar="RECIPE", help="The recipe, a TOML file, or its name in recipes/.", autocompletion=recipe_names
        ),
    ],
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and why; do nothing.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.KEY=VALUE", help="Change one value of the recipe; repeatable."),
    ] = None,
    matrix: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STEP.KEY=VALUE,…", help="Run once for each value; with several of them, for each combination."
        ),
    ] = None,
    executor: ExecutorOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Processes that do steps ahead; default: 1, the run itself.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", metavar="KEY=VALUE", help="An option of the executor; repeatable.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do every step again, cached or not.")] = False,
    lock: Annotated[
        bool, typer.Option("--lock", help="Afterwards write RECIPE.lock.toml: what was run, and what came out.")
    ] = False,
    locked: Annotated[
        bool, typer.Option("--locked", help="Refuse any difference from RECIPE.lock.toml, before and after the run.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the run's manifest as JSON.")] = False,
) -> None:
    """Run a recipe: evaluate, quantize, export, verify, report. Exits 3 when a budget is broken."""
    if lock and locked:
        raise LingoLiteError("--lock and --locked contradict each other", hint="--lock writes, --locked compares")
    ahead = parse_ahead(executor, option, workers)
    if option and ahead is None:
        raise LingoLiteError("--option without --executor", hint="it is an option of an executor")
    if ahead is not None and fresh:
        raise LingoLiteError("--fresh does every step in the run itself", hint="leave out --executor and --workers")
    context = context_of(typer_context)
    console = context.console(json=json)
    paths = [named_recipe(context, recipe) for recipe in recipes]
    overrides = parse_pairs(set_, flag="--set")
    if matrix or len(paths) > 1:
        _refuse_in_matrix({"--plan": plan, "--lock": lock, "--locked": locked, "--fresh": fresh})
        combined = MatrixRequest(recipes=tuple(paths), overrides=overrides, values=parse_matrix(matrix), ahead=ahead)
        done = run_matrix(context, combined, console)
        show_matrix(done, console)
        if any(row.manifest.status == "broken budget" for row in done):
            raise typer.Exit(ExitCode.BUDGET_BROKEN)
        return
    request = RecipeRequest(recipe=paths[0], overrides=overrides, is_fresh=fresh, is_locking=lock, ahead=ahead)
    ready = RecipeRun(context, request, console)
    if plan:
        show_forecast(ready.runner.forecast(), console)
        return
    # Read before the run: one that the lock forbids must cost nothing.
    expected = ready.check_lock() if locked else None
    try:
        outcome = ready.run()
    except TrainingInterrupted as stop:
        show_interruption(stop, [argument for argument in sys.argv[1:] if argument != "--fresh"], console)
        raise
    show_run(outcome, console)
    if expected is not None:
        ready.check_outcome(expected, outcome.manifest)
    if outcome.manifest.status == "broken budget":
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
    if lock:
        console.print(f"lock: {ready.write_lock(outcome.manifest)}")


def _refuse_in_matrix(flags: Mapping[str, bool]) -> None:
    for flag, is_given in flags.items():
        if is_given:
            raise LingoLiteError(f"{flag} is for one run", hint="leave out --matrix, and name one recipe")
