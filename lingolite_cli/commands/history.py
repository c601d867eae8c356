"""`lingolite history`: the project's runs over time, listed, shown, drawn and imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.commands.usage import Command
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.history.entry import RunEntry
from lingolite_cli.history.fill import HistoryDocument, read_history, read_import
from lingolite_cli.history.series import trends_of
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.views.charts import check_plot_target
from lingolite_cli.views.history import show_entries, show_entry
from lingolite_cli.views.history_plot import FORMATS, plot_history

app = typer.Typer(
    help="The project's runs over time: how they ended, quality, size and latency.", rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
def history(
    typer_context: typer.Context,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the runs of the recipe of this name.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE|Nd", help="Only runs since a day, such as 2026-11-01, or of N days.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many runs, the last ones.")] = 20,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw quality, size and latency: .html, .svg, .png or .pdf.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """The project's runs over time. Without a command: the last ones, oldest first, and how their figures went."""
    if typer_context.invoked_subcommand is not None:
        return
    if plot is not None:
        check_plot_target(plot, formats=FORMATS, example="history.html")
    context = context_of(typer_context)
    console = context.console(json=json)
    start = None if since is None else _parse_since(since)
    entries = _entries(context, console)
    if recipe is not None:
        _check_recipe(recipe, entries)
        entries = [entry for entry in entries if entry.recipe == recipe]
    chosen = [entry for entry in entries if start is None or datetime.fromisoformat(entry.started) >= start]
    shown = chosen[-limit:]
    trends = trends_of(shown)
    console.print_json(HistoryDocument(runs=shown, trends=trends))
    show_entries(shown, trends, num_hidden=len(chosen) - len(shown), console=console)
    if plot is not None:
        plot_history(shown, plot)
        console.print(f"plot: {plot}")


@app.command(cls=Command)
def show(
    typer_context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="ID", help="The run, or how its id begins or ends.")],
    json: JsonFlag = False,
) -> None:
    """One run: every system that it measured, and what changed since the run before it."""
    context = context_of(typer_context)
    console = context.console(json=json)
    entries = _entries(context, console)
    entry = _find(run, entries)
    before = [other for other in entries if other.recipe == entry.recipe and other.id < entry.id]
    console.print_json(entry)
    show_entry(entry, before[-1] if before else None, root=context.project.root, console=console)


@app.command("import", cls=Command)
def import_(
    typer_context: typer.Context,
    path: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="A run's directory, its manifest.json, or what `lingolite history --json` printed."
        ),
    ],
    json: JsonFlag = False,
) -> None:
    """Take runs of elsewhere, or old ones, into this project's history. Those that are there stay as they are."""
    context = context_of(typer_context)
    console = context.console(json=json)
    found = read_import(path, root=context.project.root)
    known = {entry.id: entry for entry in _entries(context, console)}
    for entry in found:
        _check_same(entry, known.get(entry.id), path)
    added = context.history(console).add(found)
    console.print_json({"imported": [entry.id for entry in added], "known": len(found) - len(added)})
    console.print(f"{len(added)} imported, {len(found) - len(added)} there already")


def _entries(context: JobContext, console: Console) -> list[RunEntry]:
    project = context.project
    store = context.history(console)
    return read_history(store, runs_directory=project.runs_directory, root=project.root, warn=console.warn)


def _check_same(entry: RunEntry, known: RunEntry | None, path: Path) -> None:
    """Refuse another run under a known id; where it lies may differ."""
    if known is not None and msgspec.structs.replace(entry, directory=known.directory) != known:
        raise LingoLiteError(
            f"{path}: the history has another run {entry.id}, with other figures; nothing was imported",
            hint=f"look at it: lingolite history show {entry.id}",
        )


def _check_recipe(name: str, entries: Sequence[RunEntry]) -> None:
    known = {entry.recipe for entry in entries}
    if name not in known:
        raise LingoLiteError(f"there are no runs of a recipe `{name}`", hint=did_you_mean(name, known))


def _find(text: str, entries: Sequence[RunEntry]) -> RunEntry:
    """The run whose id is, begins with or ends in `text`."""
    exact = [entry for entry in entries if entry.id == text]
    found = exact or [entry for entry in entries if entry.id.startswith(text) or entry.id.endswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise LingoLiteError(f"there is no run `{text}`", hint="`lingolite history` lists all")
    ids = ", ".join(entry.id for entry in found[-3:])
    raise LingoLiteError(f"{len(found)} runs are called like `{text}`", hint=f"say more of the id; the last are {ids}")


def _parse_since(text: str) -> datetime:
    """A day, a time or a number of days ago; UTC where it has no zone.

    Raises:
        LingoLiteError: it is none of these.
    """
    days = re.fullmatch(r"(\d{1,5})d", text)
    if days:
        return datetime.now(timezone.utc) - timedelta(days=int(days[1]))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise LingoLiteError(
            f"--since {text}: expected a day or a number of days",
            hint="for example `--since 2026-11-01` or `--since 30d`",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
