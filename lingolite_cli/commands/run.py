"""`lingolite run`: a recipe from its first step to its reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.execution.runner import Runner
from lingolite_cli.jobs import locking
from lingolite_cli.recipe.plan import make_plan, read_recipe
from lingolite_cli.schema import parse_pairs
from lingolite_cli.training.launch import num_processes
from lingolite_cli.views.runs import show_forecast, show_run


def run(
    typer_context: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")],
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and why; do nothing.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.KEY=VALUE", help="Change one value of the recipe; repeatable."),
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
    if num_processes() > 1:
        raise LingoLiteError(
            "a recipe is run by one process, not by torchrun", hint="`torchrun … -m lingolite_cli train RECIPE` trains"
        )
    if lock and locked:
        raise LingoLiteError("--lock and --locked contradict each other", hint="--lock writes, --locked compares")
    context = context_of(typer_context)
    console = context.console(json=json)
    overrides = parse_pairs(set_, flag="--set")
    parsed = read_recipe(recipe, context.project, overrides=overrides)
    checked = make_plan(parsed, path=str(recipe), project=context.project, registry=context.registry)
    runner = Runner(checked, cache=context.cache, console=console, host=context.registry.host, is_fresh=fresh)
    if plan:
        show_forecast(runner.forecast(), console)
        return
    lock_file = locking.read_lock(recipe) if locked else None
    if lock_file is not None:
        locking.check_plan(lock_file, checked, recipe=recipe, console=console)
    outcome = runner.run(context.project.runs_directory, history=context.history(console))
    show_run(outcome, console)
    if lock_file is not None:
        locking.check_outcome(lock_file, checked, outcome.manifest, recipe=recipe)
    if outcome.manifest.status == "broken budget":
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
    if lock:
        locking.write(checked, outcome.manifest, recipe=recipe, console=console)
