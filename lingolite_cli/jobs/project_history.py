"""`lingolite history`: which of the project's runs are meant, and runs of elsewhere taken in.

Owns the choice of runs by recipe, day and id. Reading and keeping them is `lingolite_cli.history`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.history.entry import RunEntry
from lingolite_cli.history.fill import read_history, read_import
from lingolite_cli.jobs.context import JobContext


class ImportedRuns(msgspec.Struct, frozen=True):
    """The runs that were taken in, and how many were there already."""

    added: list[RunEntry]
    num_known: int


def all_runs(context: JobContext, console: Console) -> list[RunEntry]:
    """The project's runs, the oldest first."""
    project = context.project
    store = context.history(console)
    return read_history(store, runs_directory=project.runs_directory, root=project.root, warn=console.warn)


def choose_runs(entries: Sequence[RunEntry], *, recipe: str | None, since: datetime | None) -> list[RunEntry]:
    """The runs of a recipe, since a time; None is all.

    Raises:
        LingoLiteError: no run is of that recipe.
    """
    known = {entry.recipe for entry in entries}
    if recipe is not None and recipe not in known:
        raise LingoLiteError(f"there are no runs of a recipe `{recipe}`", hint=did_you_mean(recipe, known))
    return [
        entry
        for entry in entries
        if recipe in (None, entry.recipe) and (since is None or datetime.fromisoformat(entry.started) >= since)
    ]


def find_run(text: str, entries: Sequence[RunEntry]) -> RunEntry:
    """The run whose id is, begins with or ends in `text`.

    Raises:
        LingoLiteError: there is none, or there are several.
    """
    exact = [entry for entry in entries if entry.id == text]
    found = exact or [entry for entry in entries if entry.id.startswith(text) or entry.id.endswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise LingoLiteError(f"there is no run `{text}`", hint="`lingolite history` lists all")
    ids = ", ".join(entry.id for entry in found[-3:])
    raise LingoLiteError(f"{len(found)} runs have an id like `{text}`", hint=f"give more of the id; the last are {ids}")


def import_runs(context: JobContext, path: Path, console: Console) -> ImportedRuns:
    """Take runs into the project's history. Those that are there stay as they are.

    Args:
        context: the project.
        path: a run's directory, its manifest, or a history as JSON.
        console: told of a damaged history.

    Raises:
        LingoLiteError: `path` has no runs, or the history has another run of the same id.
    """
    found = read_import(path, root=context.project.root)
    known = {entry.id: entry for entry in all_runs(context, console)}
    for entry in found:
        _check_same(entry, known.get(entry.id), path)
    added = context.history(console).add(found)
    return ImportedRuns(added, len(found) - len(added))


def _check_same(entry: RunEntry, known: RunEntry | None, path: Path) -> None:
    """Refuse another run under a known id; where it lies may differ."""
    if known is not None and msgspec.structs.replace(entry, directory=known.directory) != known:
        raise LingoLiteError(
            f"{path}: the history has another run {entry.id}, with other figures; nothing was imported",
            hint=f"look at it: lingolite history show {entry.id}",
        )
