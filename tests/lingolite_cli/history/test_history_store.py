"""The history file: what it keeps, and what becomes of it under several writers, damage and other versions."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.history.schema import MIGRATIONS
from lingolite_cli.history.store import HistoryStore
from tests.lingolite_cli.history.history_entries import SYSTEM, entry


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings: list[str]) -> HistoryStore:
    return HistoryStore(tmp_path / "kept" / "history.sqlite", warn=warnings.append)


def test_entries_come_back_as_they_were_and_in_order(store: HistoryStore) -> None:
    assert store.entries() == []
    assert not store.path.exists(), "reading makes nothing"
    assert store.add([entry(2)]) == [entry(2)]
    assert store.add([entry(1), entry(2), entry(3)]) == [entry(1), entry(3)]
    assert store.entries() == [entry(1), entry(2), entry(3)]


def test_runs_of_one_second_stay_in_the_order_they_came_in(store: HistoryStore) -> None:
    """Ids end in chance; an interrupted run leaves no directory that the name of the next one could come after."""
    interrupted, done = (msgspec.structs.replace(entry(1), id=f"20260102-030405-{end}") for end in ("ffffff", "000000"))
    store.add([interrupted])
    store.add([done])
    assert store.entries() == [interrupted, done]


def test_entry_that_cannot_be_kept_keeps_none(store: HistoryStore) -> None:
    store.add([entry(1)])
    same_name = msgspec.structs.replace(SYSTEM, name="baseline")
    twice = msgspec.structs.replace(entry(3), systems=(*entry(3).systems, same_name))
    with pytest.raises(sqlite3.IntegrityError):
        store.add([entry(2), twice])
    assert store.entries() == [entry(1)]


def _garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _overwrite(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096 : 4096 + 512] = b"\xff" * 512
    path.write_bytes(data)


def _mistype(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE runs SET started = 'yesterday'")
    connection.close()


@pytest.mark.parametrize("damage", [_garbage, _cut, _overwrite, _mistype])
def test_damaged_file_is_set_aside_and_never_lost(
    store: HistoryStore, warnings: list[str], damage: Callable[[Path], None]
) -> None:
    store.add([entry(1)])
    damage(store.path)
    damaged = store.path.read_bytes()
    assert store.entries() == []
    aside = store.path.with_name("history.sqlite.damaged-1")
    assert aside.read_bytes() == damaged
    (warning,) = warnings
    assert str(store.path) in warning
    assert aside.name in warning
    store.add([entry(2)])
    assert store.entries() == [entry(2)]
    _garbage(store.path)
    assert store.add([entry(3)]) == [entry(3)]
    assert store.path.with_name("history.sqlite.damaged-2").exists()
    assert store.entries() == [entry(3)]


def test_older_file_is_upgraded_and_newer_one_refused(store: HistoryStore, warnings: list[str]) -> None:
    store.add([entry(1)])
    newer = HistoryStore(
        store.path,
        warn=warnings.append,
        migrations=(*MIGRATIONS, ("CREATE TABLE notes (run TEXT)", "UPDATE runs SET cpu = 'known'")),
    )
    assert [found.cpu for found in newer.entries()] == ["known"]
    assert store.entries() == [entry(1)], "reading upgrades a copy alone"
    newer.add([entry(2)])
    assert [found.cpu for found in newer.entries()] == ["known", "a CPU"]
    before = store.path.read_bytes()
    for call in (store.entries, lambda: store.add([entry(3)])):
        with pytest.raises(LingoLiteError, match=r"newer lingolite: it has version 2, and this one knows 1") as caught:
            call()
        assert "upgrade lingolite" in str(caught.value.hint)
    assert store.path.read_bytes() == before
    assert warnings == []


def test_database_of_another_program_is_left_alone(store: HistoryStore) -> None:
    store.path.parent.mkdir()
    with sqlite3.connect(store.path) as connection:
        connection.execute("CREATE TABLE theirs (value TEXT)")
    connection.close()
    before = store.path.read_bytes()
    for call in (store.entries, lambda: store.add([entry(3)])):
        with pytest.raises(LingoLiteError, match="a database of another program"):
            call()
    assert store.path.read_bytes() == before


def test_directory_in_its_place_is_an_error(store: HistoryStore) -> None:
    store.path.mkdir(parents=True)
    for call in (store.entries, lambda: store.add([entry(3)])):
        with pytest.raises(
            LingoLiteError, match=r"cannot (read|write) .*history\.sqlite: unable to open database file"
        ):
            call()


WRITER = """
import sys
from pathlib import Path
from tests.lingolite_cli.history.history_entries import entry
from lingolite_cli.history.store import HistoryStore
store = HistoryStore(Path(sys.argv[1]), warn=lambda text: print(text, file=sys.stderr))
print("ready", flush=True)
sys.stdin.read()
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 4):
    store.add([entry(number), entry(59)])
    assert entry(number) in store.entries()
"""


def _started(script: str, store: HistoryStore, *arguments: str, path: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, str(store.path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.parametrize("is_damaged", [False, True])
def test_processes_at_once_lose_nothing(store: HistoryStore, is_damaged: bool) -> None:
    """They start from no file at all, or all find a damaged one."""
    if is_damaged:
        store.path.parent.mkdir()
        _garbage(store.path)
    path = os.pathsep.join(sys.path)
    said = ""
    with ExitStack() as stack:
        writers = [stack.enter_context(_started(WRITER, store, str(first), path=path)) for first in (0, 4, 8)]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
        for writer in writers:
            assert writer.stderr is not None
            said += writer.stderr.read()
            assert writer.wait() == 0, said
    assert store.entries() == [entry(number) for number in (*range(12), 59)]
    assert said.count("was damaged") == is_damaged
    assert len(list(store.path.parent.glob("*.damaged-*"))) == is_damaged


HALF_WRITER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM scores")
marks = "(?, ?, ?, ?, ?, ?)"
for number in range(2000):
    row = (str(number), "x", 0, "y", "z", 1)
    connection.execute("INSERT INTO systems (run, name, position, format, digest, size_bytes) VALUES " + marks, row)
print("half", flush=True)
sys.stdin.read()
"""


def test_writer_that_is_killed_leaves_what_was_there(store: HistoryStore) -> None:
    store.add([entry(1), entry(2)])
    before = store.path.stat().st_size
    with _started(HALF_WRITER, store) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half\n"
        assert store.path.stat().st_size > before, "it has written to the file itself"
        writer.send_signal(signal.SIGKILL)
    assert store.entries() == [entry(1), entry(2)]
    store.add([entry(3)])
    assert store.entries() == [entry(1), entry(2), entry(3)]
