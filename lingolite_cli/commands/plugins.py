"""`lingolite plugins`: what is installed, where from, and whether it works."""

from __future__ import annotations

import traceback
from typing import Annotated, Any

import msgspec
import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.new_plugin import new
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.commands.usage import Command
from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError, did_you_mean
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.registry import Entry, Health, Loaded

app = typer.Typer(help="List, show, check and begin plugins.", no_args_is_help=True, rich_markup_mode=None)
app.command("new", cls=Command)(new)


@app.command("list", cls=Command)
def list_(typer_context: typer.Context, json: JsonFlag = False) -> None:
    """All plugins with their kind, distribution, version and health."""
    context = context_of(typer_context)
    console = context.console(json=json)
    entries = sorted(context.registry.entries, key=lambda entry: entry.kind)
    console.print_json([_plain(entry) for entry in entries])
    if not console.is_json:
        console.print(_columns([_row(entry) for entry in entries]))
        for entry in entries:
            if entry.reason:
                console.print(f"{entry.kind} {entry.name} of {entry.origin.distribution}: {entry.reason}")


@app.command(cls=Command)
def show(
    typer_context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name.")],
    json: JsonFlag = False,
) -> None:
    """One plugin: what it reads and makes, its options, and its health."""
    context = context_of(typer_context)
    console = context.console(json=json)
    found = _find(context, name)
    console.print_json([_plain(entry) for entry in found])
    for entry in found:
        _show(entry, console, is_verbose=context.is_verbose)


@app.command(cls=Command)
def check(
    typer_context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's name.")],
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


def _find(context: JobContext, name: str) -> list[Entry]:
    found = [entry for entry in context.registry.entries if entry.name == name]
    if not found:
        known = {entry.name for entry in context.registry.entries}
        raise LingoLiteError(f"there is no plugin called `{name}`", hint=did_you_mean(name, known))
    return found


def _row(entry: Entry) -> list[str]:
    origin = f"{entry.origin.distribution} {entry.origin.version}"
    return [entry.kind, entry.name, origin, entry.health.value, entry.spec.summary if entry.spec else ""]


def _columns(rows: list[list[str]]) -> str:
    """Plain columns: a list of names shall not cost the import of a drawing library."""
    header = ["kind", "name", "distribution", "health", "summary"]
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _show(entry: Entry, console: Console, *, is_verbose: bool) -> None:
    console.print(f"{entry.kind} {entry.name}: {entry.health.value}" + (f": {entry.reason}" if entry.reason else ""))
    if entry.health is Health.UNAVAILABLE and entry.spec is not None and entry.spec.install:
        console.print(f"  install: {entry.spec.install}")
    console.print(f"  from {entry.origin.distribution} {entry.origin.version} ({entry.origin.module})")
    spec: Any = entry.spec
    if spec is not None:
        console.print(f"  {spec.summary}")
        for key in ("accepts", "needs", "capabilities", "requires"):
            if getattr(spec, key, None):
                console.print(f"  {key}: {', '.join(sorted(getattr(spec, key)))}")
        for key in ("produces", "goal"):
            if getattr(spec, key, None) is not None:
                console.print(f"  {key}: {getattr(spec, key)}")
        for field in msgspec.structs.fields(spec.options):
            default = "" if field.required else f" = {msgspec.to_builtins(field.default)!r}"
            console.print(f"  option {field.encode_name}{default}")
    if entry.error is not None and is_verbose:
        console.print("".join(traceback.format_exception(entry.error)).rstrip())


def _plain(entry: Entry) -> dict[str, Any]:
    spec: Any = entry.spec
    plain = {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.origin.distribution,
        "version": entry.origin.version,
        "module": entry.origin.module,
        "health": entry.health.value,
        "reason": entry.reason,
    }
    if spec is None:
        return plain
    described = {
        key: sorted(getattr(spec, key))
        for key in ("accepts", "needs", "capabilities", "requires")
        if hasattr(spec, key)
    }
    if hasattr(spec, "goal"):
        described["goal"] = spec.goal
    options = [field.encode_name for field in msgspec.structs.fields(spec.options)]
    return {**plain, "summary": spec.summary, **described, "options": options}
