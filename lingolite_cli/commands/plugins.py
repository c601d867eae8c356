"""`lingolite plugins`: what is installed, where from, and whether it works."""

from __future__ import annotations

from typing import Annotated

import typer

from lingolite_cli.commands.completion import plugin_names
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.new_plugin import new_plugin
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.commands.usage import Command, Group
from lingolite_cli.errors import ExitCode, LingoLiteError, did_you_mean
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.registry import Health, Loaded, PluginEntry
from lingolite_cli.views.plugins import plain_plugin, show_plugin, show_plugins

app = typer.Typer(cls=Group, help="List, show, check and begin plugins.", no_args_is_help=True, rich_markup_mode=None)
app.command("new", cls=Command)(new_plugin)


@app.command("list", cls=Command)
def list_plugins(typer_context: typer.Context, json: JsonFlag = False) -> None:
    """All plugins with their kind, distribution, version and health."""
    context = context_of(typer_context)
    console = context.console(json=json)
    entries = sorted(context.registry.entries, key=lambda entry: entry.kind)
    show_plugins(entries, console)


@app.command("show", cls=Command)
def show_one_plugin(
    typer_context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name.", autocompletion=plugin_names)],
    json: JsonFlag = False,
) -> None:
    """One plugin: what it reads and makes, its options, and its health."""
    context = context_of(typer_context)
    console = context.console(json=json)
    found = _find(context, name)
    console.print_json([plain_plugin(entry) for entry in found])
    for entry in found:
        show_plugin(entry, console, is_verbose=context.is_verbose)


@app.command("check", cls=Command)
def check_plugin(
    typer_context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name.", autocompletion=plugin_names)],
) -> None:
    """Import a plugin's class. The contracts in `lingolite_cli.testing` go further."""
    context = context_of(typer_context)
    console = context.console()
    for entry in _find(context, name):
        if entry.health is not Health.OK:
            raise LingoLiteError(
                f"{entry.kind} `{entry.name}` is {entry.health.value}: {entry.reason}", exit_code=ExitCode.PLUGIN
            )
        if entry.spec is None:
            console.print(f"{entry.kind} {entry.name}: {entry.origin.module} loads")
            continue
        loaded = Loaded(entry.kind, entry.spec, entry.origin)
        loaded.options()
        factory = loaded.load_factory()
        console.print(f"{entry.kind} {entry.name}: {factory.__module__}.{factory.__qualname__} loads")


def _find(context: JobContext, name: str) -> list[PluginEntry]:
    found = [entry for entry in context.registry.entries if entry.name == name]
    if not found:
        known = {entry.name for entry in context.registry.entries}
        raise LingoLiteError(f"there is no plugin called `{name}`", hint=did_you_mean(name, known))
    return found
