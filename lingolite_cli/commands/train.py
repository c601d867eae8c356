"""`lingolite train`: the steps of a recipe that train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.completion import recipe_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Overwrite
from lingolite_cli.jobs.recipe_plan import named_recipe
from lingolite_cli.jobs.training import TrainingRequest, train
from lingolite_cli.recipe.work.learning import TrainingInterrupted
from lingolite_cli.schema import parse_pairs
from lingolite_cli.views.training import show_interruption, show_training


def train_recipe(
    typer_context: typer.Context,
    recipe: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE",
            help="A recipe with a step that trains, or its name in recipes/.",
            autocompletion=recipe_names,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="What the last such step makes; default: inside the run."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint; an error where there is none.")
    ] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="End after so many minutes of training, resumed ones included."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.KEY=VALUE", help="Change one value of the recipe; repeatable."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train anew, whatever was trained before.")] = False,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Run the steps of a recipe that train, `qat-int8` included. A killed one goes on from its checkpoint."""
    context = context_of(typer_context)
    console = context.console(json=json)
    request = TrainingRequest(
        recipe=named_recipe(context, recipe),
        overrides=parse_pairs(set_, flag="--set"),
        out=out,
        max_minutes=max_minutes,
        must_resume=resume,
        is_fresh=fresh,
        overwrite=overwrite,
    )
    try:
        training = train(context, request, console)
    except TrainingInterrupted as stop:
        kept = [argument for argument in sys.argv[1:] if argument not in ("--fresh", "--resume")]
        show_interruption(stop, [*kept, "--resume"], console)
        raise
    if training is None:  # a process that follows torchrun's first
        return
    console.print_json(training.manifest)
    for _, record in training.manifest.trainings:
        show_training(record, console)
    console.print(f"bundle: {training.bundle}")
