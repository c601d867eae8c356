"""`lingolite doctor`: what this machine and installation can do, and what is wrong with it."""

from __future__ import annotations

import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.errors import ExitCode
from lingolite_cli.jobs.diagnosis import diagnose
from lingolite_cli.views.diagnosis import show_diagnosis


def doctor(typer_context: typer.Context, json: JsonFlag = False) -> None:
    """Versions, CPU, plugins and engines. Exits 4 when a plugin is broken."""
    context = context_of(typer_context)
    found = diagnose(context)
    show_diagnosis(found, context.console(json=json))
    if found.is_broken:
        raise typer.Exit(ExitCode.PLUGIN)
