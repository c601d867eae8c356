"""The history file: one SQLite database per project, which several processes may read and write at once.

Owns opening, upgrading, writing and reading it, and what is done with one that is damaged, of a newer version or not
writable. SQLite's own rollback journal keeps it whole when a writer dies; a writer waits for another one's turn.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.lock import exclusive
from lingolite_cli.history.entry import RunEntry
from lingolite_cli.history.kept import keep_run, kept_directory
from lingolite_cli.history.rows import StoredRuns, fill_checksums, insert, read_runs, salvage_runs
from lingolite_cli.history.schema import APPLICATION_ID, CHECKSUMS_SINCE, MIGRATIONS, Migration

DEFAULT_NAME = "history.sqlite"
"""Of the file, where the project does not say otherwise."""
_WAIT_SECONDS = 60.0
"""How long a process waits for another one to finish writing, which takes milliseconds."""

_REFILL_HINT = "move the file away: the history is then filled again from the runs that are still on disk"


class DamagedHistory(Exception):
    """The file is not a readable database, or has runs that are not what was written."""


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

    def add(self, entries: Iterable[RunEntry], *, has_files: bool = False) -> list[RunEntry]:
        """Add entries; the entry of a run that is already there stays as it is.

        Args:
            entries: to be added.
            has_files: each has a directory on disk that the history could be filled from again. Others get a file
                beside the history.

        Returns:
            Those that were new.

        Raises:
            LingoLiteError: the file cannot be written, is of a newer version, or is not a history. Nothing was added.
        """
        wanted = [_checked(entry) for entry in entries]
        with self._explained("write"):
            try:
                new = self._add(wanted)
            except DamagedHistory:
                self._set_aside()
                new = self._add(wanted)
        for entry in () if has_files else new:
            keep_run(kept_directory(self.path), entry)
        return new

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
                connection.execute("BEGIN")
                return _whole(read_runs(connection))
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as copy:
                connection.backup(copy)
                copy.execute("BEGIN")
                self._upgrade(copy)
                return _whole(read_runs(copy))

    def _add(self, entries: Sequence[RunEntry]) -> list[RunEntry]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._opened("rwc") as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._upgrade(connection)
                new = [entry for entry in entries if insert(connection, entry)]
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
        except UnicodeDecodeError as error:  # of a name in SQLite's own message
            raise DamagedHistory("it has text that is none") from error
        except sqlite3.Error as error:
            if _tells_damage(error):
                raise DamagedHistory(str(error)) from error
            raise

    def _check(self, connection: sqlite3.Connection) -> None:
        # In one transaction: another process may be making the tables of a new file.
        connection.execute("BEGIN")
        try:
            (version,), (owner,), (tables,) = (
                connection.execute(query).fetchone()
                for query in ("PRAGMA user_version", "PRAGMA application_id", "SELECT count(*) FROM sqlite_master")
            )
        finally:
            connection.execute("ROLLBACK")
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
        if CHECKSUMS_SINCE <= version < len(self._migrations):
            _whole(read_runs(connection))
        for migration in self._migrations[version:]:
            for statement in migration:
                connection.execute(statement)
        if version < len(self._migrations):
            fill_checksums(connection)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")

    def _set_aside(self) -> None:
        """Rename a damaged file, unless another process just did, and keep what is whole in it in a new one.

        Raises:
            LingoLiteError: the file is none that LingoLite made.
        """
        with exclusive(self.path.with_name(f"{self.path.name}.lock")):
            if not self.path.exists():
                return
            try:
                self._read()
                return
            except DamagedHistory as error:
                why = str(error)
            if not self._is_ours():
                raise LingoLiteError(
                    f"{self.path} is no history of LingoLite ({why}), so it is left as it is",
                    hint="name another file: `history` in lingolite.toml, or LINGOLITE_HISTORY",
                )
            saved = _salvage(self.path)
            aside = _free_name(self.path)
            self.path.rename(aside)
            self._add(saved)
        self._warn(
            f"{self.path} was damaged ({why}); it is kept as {aside.name}. {len(saved)} of its runs were whole and are "
            "in the history again, with those that are on disk"
        )

    def _is_ours(self) -> bool:
        """Whether LingoLite made the file: it says so itself, or else has the name that no other program gives."""
        with self.path.open("rb") as stream:
            head = stream.read(72)
        return head[68:] == APPLICATION_ID.to_bytes(4, "big") or self.path.name == DEFAULT_NAME

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn failures of the database and of its disk into errors for users."""
        try:
            yield
        except DamagedHistory as error:
            raise LingoLiteError(f"cannot {verb} {self.path}: {error}", hint=_REFILL_HINT) from error
        except sqlite3.Error as error:
            raise LingoLiteError(f"cannot {verb} {self.path}: {error}") from error
        except OSError as error:
            raise LingoLiteError(f"cannot {verb} {self.path}: {error.strerror}") from error


def _checked(entry: RunEntry) -> RunEntry:
    """An entry as it will be read, or an error where it would not be."""
    try:
        return msgspec.json.decode(msgspec.json.encode(entry), type=RunEntry)
    except ValueError as error:
        raise LingoLiteError(f"run {entry.id[:100]!r} cannot be kept: {error}") from None


def _whole(found: StoredRuns) -> list[RunEntry]:
    if found.damage:
        others = f"; and {len(found.damage) - 1} more" if len(found.damage) > 1 else ""
        raise DamagedHistory(f"{found.damage[0]}{others}")
    return found.entries


_LOGIC_ERROR = 1
"""SQLite's own code for a statement that does not fit the tables: ours do, unless the tables were changed."""


def _tells_damage(error: sqlite3.Error) -> bool:
    if type(error) is sqlite3.DatabaseError:  # the codes CORRUPT and NOTADB; the others have classes of their own
        return True
    return isinstance(error, sqlite3.OperationalError) and (
        getattr(error, "sqlite_errorcode", None) == _LOGIC_ERROR
        or str(error).startswith(("no such", "malformed", "table", "duplicate column"))
    )


def _salvage(path: Path) -> list[RunEntry]:
    """The runs of a damaged file that are what was written; none of one from before there were checksums."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return salvage_runs(connection)
    except (sqlite3.Error, ValueError):
        return []


def _free_name(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return found
