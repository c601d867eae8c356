"""`lingolite recipes`: the project's recipes, checked and shown without running them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.commands.state import state_of
from lingolite_cli.commands.usage import Command
from lingolite_cli.recipe.plan import make_plan, read_recipe

app = typer.Typer(help="List, check and show recipes.", no_args_is_help=True, rich_markup_mode=None)

Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.")]


@app.command("list", cls=Command)
def list_(context: typer.Context, json: JsonFlag = False) -> None:
    """The recipes in the project's `recipes/`."""
    state = state_of(context)
    console = state.console(json=json)
    found = []
    for path in sorted((state.project.root / "recipes").glob("*.toml")):
        if path.name.endswith(".lock.toml"):
            continue
        recipe = read_recipe(path, state.project)
        found.append({"path": os.path.relpath(path), "name": recipe.name, "summary": recipe.summary})
    console.print_json(found)
    if not found:
        console.note(f"no recipes in {state.project.root / 'recipes'}; `lingolite init` writes one")
    for item in found:
        console.print(f"{item['path']}  {item['summary']}")


@app.command(cls=Command)
def check(context: typer.Context, recipe: Recipe) -> None:
    """Check a recipe: keys, references, plugins, options, files and formats. Nothing runs."""
    state = state_of(context)
    plan = make_plan(
        read_recipe(recipe, state.project), path=str(recipe), project=state.project, registry=state.registry
    )
    state.console().print(f"{recipe}: {len(plan.steps)} steps, nothing wrong found")


@app.command(cls=Command)
def show(context: typer.Context, recipe: Recipe, json: JsonFlag = False) -> None:
    """A recipe as it is after the project's defaults are merged under it."""
    state = state_of(context)
    console = state.console(json=json)
    parsed = read_recipe(recipe, state.project)
    console.print_json(parsed)
    for step in parsed.steps:
        console.print(f"{step.id}: {step.__struct_config__.tag}")
        for key, value in msgspec.to_builtins(step).items():
            if key not in ("id", "uses"):
                console.print(f"  {key} = {value!r}")
