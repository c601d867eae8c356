"""Runs as rows of the three tables, each with the checksum of all that is kept of it.

Owns rows and checksums. SQLite finds pages that do not fit together; a changed figure inside a page is found here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from lingolite_cli.files.digests import sha256_json
from lingolite_cli.history.entry import RunEntry, ScoreFigures, SystemFigures
from lingolite_cli.history.schema import ADDED_COLUMNS

_RUN_COLUMNS = tuple(field for field in RunEntry.__struct_fields__ if field != "systems")
_SYSTEM_COLUMNS = tuple(field for field in SystemFigures.__struct_fields__ if field != "scores")
_SCORE_COLUMNS = ScoreFigures.__struct_fields__


class StoredRuns(NamedTuple):
    """The runs that are what was written, in the order of their ids; and what is not, in words."""

    entries: list[RunEntry]
    damage: list[str]


def checksum_of(entry: RunEntry) -> str:
    """SHA-256 of everything that is kept of a run, the same in all versions that know these figures."""
    kept = msgspec.to_builtins(entry)
    for system in kept["systems"]:
        for name in ADDED_COLUMNS:
            if system[name] is None:
                del system[name]
    return sha256_json(kept)


def insert(connection: sqlite3.Connection, entry: RunEntry) -> bool:
    """Whether the run was new."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (entry.id,)).fetchone():
        return False
    _insert_row(connection, "runs", _RUN_COLUMNS, entry, {"checksum": checksum_of(entry)})
    for place, system in enumerate(entry.systems):
        _insert_row(connection, "systems", _SYSTEM_COLUMNS, system, {"run": entry.id, "position": place})
        for number, score in enumerate(system.scores):
            key = {"run": entry.id, "system": system.name, "position": number}
            _insert_row(connection, "scores", _SCORE_COLUMNS, score, key)
    return True


def _insert_row(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], row: msgspec.Struct, key: dict[str, Any]
) -> None:
    values = {**key, **{column: getattr(row, column) for column in columns}}
    places = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", tuple(values.values()))


def fill_checksums(connection: sqlite3.Connection) -> None:
    """Give the runs of an older file their checksums, as its upgrade has made them."""
    for entry in _read(connection, _SumOf.nothing).entries:
        connection.execute("UPDATE runs SET checksum = ? WHERE id = ?", (checksum_of(entry), entry.id))


def read_runs(connection: sqlite3.Connection) -> StoredRuns:
    """All runs whose checksum holds. The caller has begun a transaction: the three tables are those of one moment."""
    return _read(connection, _SumOf.rows)


def salvage_runs(connection: sqlite3.Connection) -> list[RunEntry]:
    """What is left of a file that is not whole: the runs whose checksum holds."""
    return _read(connection, _SumOf.rows, rows_of=_readable_rows).entries


class _SumOf:
    """Where the checksum of a run is: beside it, or nowhere yet."""

    rows = "checksum"
    nothing = "NULL"


Rows = Callable[[sqlite3.Connection, str], Iterator[tuple[Any, ...]]]


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    yield from connection.execute(query)


def _readable_rows(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows up to the first that cannot be read."""
    try:
        yield from connection.execute(query)
    except (sqlite3.Error, UnicodeDecodeError):
        return


def _read(connection: sqlite3.Connection, checksum: str, *, rows_of: Rows = _rows) -> StoredRuns:
    # Bytes that are no text would otherwise end the reading of all runs.
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    scores: dict[Any, list[dict[str, Any]]] = {}
    for run, system, *values in rows_of(connection, _query(("run", "system", *_SCORE_COLUMNS), "scores", "position")):
        scores.setdefault((run, system), []).append(dict(zip(_SCORE_COLUMNS, values, strict=True)))
    systems: dict[Any, list[dict[str, Any]]] = {}
    for run, *values in rows_of(connection, _query(("run", *_known_columns(connection)), "systems", "position")):
        row = dict(zip(_SYSTEM_COLUMNS, values, strict=True))
        systems.setdefault(run, []).append({**row, "scores": scores.pop((run, row["name"]), [])})
    entries, damage = [], []
    # Ids begin with a second; of one second, an interrupted run comes before the one that goes on.
    for found, *values in rows_of(connection, _query((checksum, *_RUN_COLUMNS), "runs", "substr(id, 1, 15), rowid")):
        row = dict(zip(_RUN_COLUMNS, values, strict=True))
        try:
            entry = msgspec.convert({**row, "systems": systems.pop(row["id"], [])}, RunEntry)
        except (msgspec.ValidationError, TypeError) as error:
            damage.append(f"run {str(row['id'])[:60]}: {error}")
            continue
        if checksum == _SumOf.nothing or found == checksum_of(entry):
            entries.append(entry)
        else:
            damage.append(f"run {entry.id}: its figures are not those that were written")
    damage += [f"figures of run {str(run)[:60]}, which is gone" for run in systems]
    damage += [f"scores of run {str(run)[:60]}, which is gone" for run, _ in scores]
    return StoredRuns(entries, damage)


def _known_columns(connection: sqlite3.Connection) -> Iterator[str]:
    """The columns of systems; an older file has nothing in those that it lacks."""
    there = {row[1] for row in connection.execute("PRAGMA table_info(systems)")}
    for column in _SYSTEM_COLUMNS:
        yield column if column in there or column not in ADDED_COLUMNS else "NULL"


def _query(columns: Sequence[str], table: str, order: str) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} ORDER BY {order}"
