"""Filling a history: with runs on disk that it does not have yet, and with imported files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.history.entry import RunEntry, entry_of_manifest
from lingolite_cli.history.kept import kept_directory, kept_runs
from lingolite_cli.history.series import Trend
from lingolite_cli.runs.finished import MANIFEST_NAME, place_of, read_run
from lingolite_cli.runs.record import RunManifest

if TYPE_CHECKING:
    from lingolite_cli.history.store import HistoryStore

SCHEMA = 1


class HistoryDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries as a file, such as `lingolite history --json` prints, to be imported elsewhere."""

    schema: int = SCHEMA
    runs: list[RunEntry]
    trends: list[Trend] = []


def read_history(
    store: HistoryStore, *, runs_directory: Path, root: Path, warn: Callable[[str], None]
) -> list[RunEntry]:
    """All runs by id: those in the store, and those on disk, which are added to the store.

    Args:
        store: where they are kept.
        runs_directory: where the project's runs are.
        root: of the project.
        warn: told of a run that cannot be read, and when the store cannot be written.

    Raises:
        LingoLiteError: the store cannot be read.
    """
    known = store.entries()
    ids = {entry.id for entry in known}
    missing = list(_runs_on_disk(runs_directory, ids, root=root, warn=warn))
    ids |= {entry.id for entry in missing}
    missing += kept_runs(kept_directory(store.path), ids, warn=warn)
    if missing:
        try:
            store.add(missing, has_files=True)
        except LingoLiteError as error:
            warn(f"{error.message}; {len(missing)} of the runs shown were read from {runs_directory}")
    return sorted([*known, *missing], key=lambda entry: entry.id)


def _runs_on_disk(directory: Path, known: set[str], *, root: Path, warn: Callable[[str], None]) -> Iterator[RunEntry]:
    """The runs that are not known, each once."""
    seen = set(known)
    for path in sorted(directory.glob(f"*/*/{MANIFEST_NAME}")):
        run = path.parent
        if run.name in seen or run.name.startswith("."):
            continue
        try:
            entry = entry_of_run(run, root=root)
        except LingoLiteError as error:
            warn(f"{error.message}; the history goes on without this run")
            continue
        if entry.id not in seen:
            seen.add(entry.id)
            yield entry


def entry_of_run(directory: Path, *, root: Path) -> RunEntry:
    """The entry of a finished run on disk.

    Raises:
        LingoLiteError: its manifest cannot be read, or its id, name or time is not one.
    """
    manifest = read_run(directory)
    return _checked(manifest, place_of(directory, root=root), where=directory / MANIFEST_NAME)


def _checked(manifest: RunManifest, directory: str | None, *, where: Path) -> RunEntry:
    try:
        # Through plain values, for the limits on ids and times are checked there.
        entry = entry_of_manifest(manifest, directory)
        return msgspec.convert(msgspec.to_builtins(entry), RunEntry)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        message = f"{where} is not the manifest of a run: {error}"
        raise LingoLiteError(message, hint="name the directory of a run") from None


def read_import(path: Path, *, root: Path) -> list[RunEntry]:
    """The runs that a directory or a file has: a run, its manifest, or what `lingolite history --json` printed.

    Raises:
        LingoLiteError: there are none.
    """
    if path.is_dir():
        return [entry_of_run(path, root=root)]
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror}", hint=_IMPORT_HINT) from None
    try:
        if _is_document(data):
            return _document_entries(data, path)
        manifest = msgspec.json.decode(data, type=RunManifest)
    except RecursionError:
        raise LingoLiteError(f"{path} has no run: it is nested too deeply", hint=_IMPORT_HINT) from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise LingoLiteError(f"{path} has no run: {error}", hint=_IMPORT_HINT) from None
    is_in_run = path.name == MANIFEST_NAME
    return [_checked(manifest, place_of(path.parent, root=root) if is_in_run else None, where=path)]


_IMPORT_HINT = "name the directory of a run, its manifest.json, or a file that `lingolite history --json` printed"


def _is_document(data: bytes) -> bool:
    found = msgspec.json.decode(data)
    return isinstance(found, dict) and "runs" in found


def _document_entries(data: bytes, path: Path) -> list[RunEntry]:
    document = msgspec.json.decode(data, type=HistoryDocument)
    if document.schema != SCHEMA:
        raise LingoLiteError(
            f"{path} has schema {document.schema}; this version reads {SCHEMA}", hint="upgrade lingolite"
        )
    found: dict[str, RunEntry] = {}
    for entry in document.runs:
        # Where a run lies in another project says nothing here.
        loose = msgspec.structs.replace(entry, directory=None)
        if found.setdefault(entry.id, loose) != loose:
            raise LingoLiteError(
                f"{path} has two runs {entry.id}, with different figures; nothing was imported",
                hint="keep the one that is right",
            )
    return list(found.values())
