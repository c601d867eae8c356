"""`lingolite run`: a recipe from its first step to its reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.show import show_forecast, show_run
from lingolite_cli.commands.state import parse_pairs, state_of
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.recipe.plan import make_plan, read_recipe
from lingolite_cli.recipe.runner import Runner
from lingolite_cli.training.launch import num_processes


def run(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.")],
    plan: Annotated[bool, typer.Option("--plan", help="Show what would run, and why; do nothing.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.KEY=VALUE", help="Change one value of the recipe; repeatable."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Do every step again, cached or not.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the run's manifest as JSON.")] = False,
) -> None:
    """Run a recipe: evaluate, quantize, export, verify, report. Exits 3 when a budget is broken."""
    if num_processes() > 1:
        raise LingoLiteError(
            "a recipe is run by one process, not by torchrun", hint="`torchrun … -m lingolite_cli train RECIPE` trains"
        )
    state = state_of(context)
    console = state.console(json=json)
    overrides = parse_pairs(set_, flag="--set")
    parsed = read_recipe(recipe, state.project, overrides=overrides)
    checked = make_plan(parsed, path=str(recipe), project=state.project, registry=state.registry)
    runner = Runner(checked, cache=state.cache, console=console, host=state.registry.host, is_fresh=fresh)
    if plan:
        show_forecast(runner.forecast(), console)
        return
    outcome = runner.run(state.project.runs_directory)
    show_run(outcome, console)
    if outcome.manifest.status == "broken budget":
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
