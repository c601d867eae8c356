"""`lingolite inspect`: what an artifact is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.jobs.inputs import model_path
from lingolite_cli.jobs.inspection import inspect_artifact
from lingolite_cli.views.inspection import show_inspection


def inspect(
    typer_context: typer.Context,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The artifact, of any format; default: the project's model.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show what an artifact is: sizes, network, integers, languages, licence, origin and last verdict."""
    context = context_of(typer_context)
    console = context.console(json=json)
    show_inspection(inspect_artifact(context, directory or model_path(context, None), console), console)
