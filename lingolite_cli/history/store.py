"""The history file: one SQLite database per project, which several processes may read and write at once.

Owns opening, upgrading, writing and reading it, and what is done with one that is damaged, of a newer version or not
writable. SQLite's own rollback journal keeps it whole when a writer dies; a writer waits for another one's turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.lock import exclusive
from lingolite_cli.history.entry import RunEntry, ScoreFigures, SystemFigures
from lingolite_cli.history.schema import APPLICATION_ID, MIGRATIONS, Migration

_WAIT_SECONDS = 60.0
"""How long a process waits for another one to finish writing, which takes milliseconds."""

_REFILL_HINT = "move the file away: the history is then filled again from the runs that are still on disk"


class DamagedHistory(Exception):
    """The file is not a readable database."""


class HistoryStore:
    """The history in one file, which is created when it is first written.

    Args:
        path: the file.
        warn: told when a damaged file was set aside.
        migrations: those that this version knows.
    """

    def __init__(
        self, path: Path, *, warn: Callable[[str], None], migrations: tuple[Migration, ...] = MIGRATIONS
    ) -> None:
        self.path = path
        self._warn = warn
        self._migrations = migrations

    def add(self, entries: Iterable[RunEntry]) -> list[RunEntry]:
        """Add entries; the entry of a run that is already there stays as it is.

        Returns:
            Those that were new.

        Raises:
            LingoLiteError: the file cannot be written, is of a newer version, or is not a history. Nothing was added.
        """
        wanted = list(entries)
        with self._explained("write"):
            try:
                return self._add(wanted)
            except DamagedHistory:
                self._set_aside()
                return self._add(wanted)

    def entries(self) -> list[RunEntry]:
        """All entries, in the order of their ids, which is that of time; none where there is no file yet.

        Raises:
            LingoLiteError: the file cannot be read, is of a newer version, or is not a history.
        """
        if not self.path.exists():
            return []
        with self._explained("read"):
            try:
                return self._read()
            except DamagedHistory:
                self._set_aside()
                return self._read() if self.path.exists() else []

    def _read(self) -> list[RunEntry]:
        # Not read-only, so that what a killed writer left in its journal is rolled back where the disk lets one.
        with self._opened("rw") as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == len(self._migrations):
                return _read_tables(connection)
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                connection.backup(copy)
                self._upgrade(copy)
                return _read_tables(copy)

    def _add(self, entries: Sequence[RunEntry]) -> list[RunEntry]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened("rwc") as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._upgrade(connection)
                new = [entry for entry in entries if _insert(connection, entry)]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return new

    @contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection to a file that is undamaged and of a known version."""
        uri = f"{self.path.absolute().as_uri()}?mode={mode}"
        try:
            with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT_SECONDS, isolation_level=None)) as connection:
                connection.execute("PRAGMA foreign_keys = ON")
                self._check(connection)
                yield connection
        except sqlite3.DatabaseError as error:
            if (
                type(error) is sqlite3.DatabaseError
            ):  # the codes CORRUPT and NOTADB; the others have classes of their own
                raise DamagedHistory(str(error)) from error
            raise

    def _check(self, connection: sqlite3.Connection) -> None:
        (version,), (owner,) = (
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")
        )
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if owner != APPLICATION_ID and tables:
            raise LingoLiteError(f"{self.path} is a database of another program", hint="move it away")
        if version > len(self._migrations):
            raise LingoLiteError(
                f"{self.path} was written by a newer lingolite: it has version {version}, and this one knows "
                f"{len(self._migrations)}",
                hint=f"upgrade lingolite, or {_REFILL_HINT}",
            )
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedHistory(verdict)

    def _upgrade(self, connection: sqlite3.Connection) -> None:
        """Bring the tables up to this version, inside the caller's transaction."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for migration in self._migrations[version:]:
            for statement in migration:
                connection.execute(statement)
        if version < len(self._migrations):
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")

    def _set_aside(self) -> None:
        """Rename a damaged file, unless another process just did."""
        with exclusive(self.path.with_name(f"{self.path.name}.lock")):
            if not self.path.exists():
                return
            try:
                self._read()
                return
            except DamagedHistory as error:
                why = str(error)
            aside = _free_name(self.path)
            self.path.rename(aside)
        self._warn(
            f"{self.path} was damaged ({why}); it is kept as {aside.name}, and the history is filled again from "
            "the runs on disk. Runs that failed, and imported ones, are in the damaged file alone"
        )

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn failures of the database and of its disk into errors for users."""
        try:
            yield
        except DamagedHistory as error:
            raise LingoLiteError(f"cannot {verb} {self.path}: {error}", hint=_REFILL_HINT) from error
        except sqlite3.OperationalError as error:
            raise LingoLiteError(f"cannot {verb} {self.path}: {error}") from error
        except OSError as error:
            raise LingoLiteError(f"cannot {verb} {self.path}: {error.strerror}") from error


def _free_name(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return found


_RUN_COLUMNS = tuple(field for field in RunEntry.__struct_fields__ if field != "systems")
_SYSTEM_COLUMNS = tuple(field for field in SystemFigures.__struct_fields__ if field != "scores")
_SCORE_COLUMNS = ScoreFigures.__struct_fields__


def _insert(connection: sqlite3.Connection, entry: RunEntry) -> bool:
    """Whether the run was new."""
    if connection.execute("SELECT 1 FROM runs WHERE id = ?", (entry.id,)).fetchone():
        return False
    _insert_row(connection, "runs", _RUN_COLUMNS, entry, {})
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


def _read_tables(connection: sqlite3.Connection) -> list[RunEntry]:
    connection.execute("BEGIN")  # the three tables as they are at one moment
    scores: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for run, system, *values in _select(connection, ("run", "system", *_SCORE_COLUMNS), "scores"):
        scores.setdefault((run, system), []).append(dict(zip(_SCORE_COLUMNS, values, strict=True)))
    systems: dict[str, list[dict[str, Any]]] = {}
    for run, *values in _select(connection, ("run", *_SYSTEM_COLUMNS), "systems"):
        row = dict(zip(_SYSTEM_COLUMNS, values, strict=True))
        systems.setdefault(run, []).append({**row, "scores": scores.get((run, row["name"]), [])})
    # Ids begin with a second; of one second, an interrupted run comes before the one that goes on.
    rows = connection.execute(f"SELECT {', '.join(_RUN_COLUMNS)} FROM runs ORDER BY substr(id, 1, 15), rowid")
    found = [dict(zip(_RUN_COLUMNS, values, strict=True)) for values in rows]
    try:
        return msgspec.convert([{**row, "systems": systems.get(row["id"], [])} for row in found], list[RunEntry])
    except msgspec.ValidationError as error:
        raise DamagedHistory(str(error)) from error


def _select(connection: sqlite3.Connection, columns: Sequence[str], table: str) -> sqlite3.Cursor:
    return connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY position")
