"""`lingolite history`: the project's runs over time, listed, shown, drawn and imported."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated

import typer

from lingolite_cli.commands.completion import run_ids
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.commands.usage import Command, Group
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.history.fill import HistoryDocument
from lingolite_cli.history.series import trends_of
from lingolite_cli.jobs.project_history import all_runs, choose_runs, find_run, import_runs
from lingolite_cli.views.charts import check_plot_target
from lingolite_cli.views.history import show_entries, show_entry
from lingolite_cli.views.history_plot import plot_history

app = typer.Typer(
    cls=Group, help="The project's runs over time: how they ended, quality, size and latency.", rich_markup_mode=None
)


@app.callback(invoke_without_command=True)
def list_runs(
    typer_context: typer.Context,
    recipe: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the runs of the recipe of this name.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE|Nd", help="Only runs since a day, such as 2026-11-01, or of N days.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many runs, the last ones.")] = 20,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw quality, size and latency to this file: .html, .svg, .png or .pdf. Needs matplotlib (the extra "
            "`plots`).",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """The project's runs over time. Without a command: the last ones, oldest first, and how their figures went."""
    if typer_context.invoked_subcommand is not None:
        return
    if plot is not None:
        check_plot_target(plot, example="history.html")
    context = context_of(typer_context)
    console = context.console(json=json)
    start = None if since is None else _parse_since(since)
    chosen = choose_runs(all_runs(context, console), recipe=recipe, since=start)
    shown = chosen[-limit:]
    trends = trends_of(shown)
    console.print_json(HistoryDocument(runs=shown, trends=trends))
    show_entries(shown, trends, num_hidden=len(chosen) - len(shown), is_plotted=plot is not None, console=console)
    if plot is not None:
        plot_history(shown, plot, root=context.project.root)
        console.print(f"plot: {plot}")


@app.command("show", cls=Command)
def show_run_of_history(
    typer_context: typer.Context,
    run: Annotated[
        str, typer.Argument(metavar="ID", help="The run, or how its id begins or ends.", autocompletion=run_ids)
    ],
    json: JsonFlag = False,
) -> None:
    """One run: every system that it measured, and what changed since the run before it."""
    context = context_of(typer_context)
    console = context.console(json=json)
    entries = all_runs(context, console)
    entry = find_run(run, entries)
    before = [other for other in entries if other.recipe == entry.recipe and other.id < entry.id]
    console.print_json(entry)
    show_entry(entry, before[-1] if before else None, root=context.project.root, console=console)


@app.command("import", cls=Command)
def import_into_history(
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
    done = import_runs(context, path, console)
    console.print_json({"imported": [entry.id for entry in done.added], "known": done.num_known})
    console.print(f"{len(done.added)} imported, {done.num_known} there already")


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
