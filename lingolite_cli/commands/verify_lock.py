"""`lingolite verify-lock`: a recipe's lock against this machine and what it has made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.completion import recipe_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.errors import ExitCode
from lingolite_cli.jobs.lock_check import check_lock
from lingolite_cli.jobs.recipe_plan import named_recipe
from lingolite_cli.views.lock import show_lock_check


def verify_lock(
    typer_context: typer.Context,
    recipe: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE",
            help="The recipe whose lock is checked, or its name in recipes/.",
            autocompletion=recipe_names,
        ),
    ],
    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="The run to check; default: the last one.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Check a lock against the inputs, packages and artifacts of this machine. Exits 3 when something differs."""
    context = context_of(typer_context)
    console = context.console(json=json)
    check = check_lock(context, named_recipe(context, recipe), run=run)
    show_lock_check(check, console)
    if check.differs:
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
