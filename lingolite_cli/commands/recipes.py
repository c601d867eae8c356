"""`lingolite recipes`: the project's recipes, checked and shown without running them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lingolite_cli.commands.completion import recipe_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.commands.usage import Command, Group
from lingolite_cli.jobs.recipe_plan import named_recipe, open_recipe, plan_recipe
from lingolite_cli.recipe.plan import read_recipe

app = typer.Typer(cls=Group, help="List, check and show recipes.", no_args_is_help=True, rich_markup_mode=None)

Recipe = Annotated[
    Path,
    typer.Argument(
        metavar="RECIPE", help="The recipe, a TOML file, or its name in recipes/.", autocompletion=recipe_names
    ),
]


@app.command("list", cls=Command)
def list_recipes(typer_context: typer.Context, json: JsonFlag = False) -> None:
    """The recipes in the project's `recipes/`."""
    context = context_of(typer_context)
    console = context.console(json=json)
    found = []
    for path in sorted((context.project.root / "recipes").glob("*.toml")):
        if path.name.endswith(".lock.toml"):
            continue
        recipe = read_recipe(path, context.project)
        found.append({"path": os.path.relpath(path), "name": recipe.name, "summary": recipe.summary})
    console.print_json(found)
    if not found:
        console.note(f"no recipes in {context.project.root / 'recipes'}; `lingolite init` writes one")
    for item in found:
        console.print(f"{item['path']}  {item['summary']}")


@app.command("check", cls=Command)
def check_recipe(typer_context: typer.Context, recipe: Recipe) -> None:
    """Check a recipe: keys, references, plugins, options, files and formats. Nothing runs."""
    context = context_of(typer_context)
    recipe = named_recipe(context, recipe)
    plan = plan_recipe(open_recipe(context, recipe), recipe)
    context.console().print(f"{recipe}: {len(plan.steps)} steps, nothing wrong found")


@app.command("show", cls=Command)
def show_recipe(typer_context: typer.Context, recipe: Recipe, json: JsonFlag = False) -> None:
    """A recipe as it is after the project's defaults are merged under it."""
    context = context_of(typer_context)
    console = context.console(json=json)
    parsed = open_recipe(context, named_recipe(context, recipe)).recipe
    console.print_json(parsed)
    for step in parsed.steps:
        console.print(f"{step.id}: {step.__struct_config__.tag}")
        for key, value in msgspec.to_builtins(step).items():
            if key not in ("id", "uses"):
                console.print(f"  {key} = {value!r}")
