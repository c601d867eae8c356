"""The history file: what it keeps, and what becomes of it under several writers, damage and other versions."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.history.entry import RunEntry
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


def _with_system(**changes: Any) -> dict[str, Any]:
    return {"systems": ({**msgspec.to_builtins(SYSTEM), **changes},)}


@pytest.mark.parametrize(
    "bad",
    [
        {"seconds": float("nan")},
        {"seconds": float("inf")},
        {"threads": 10**30},
        {"started": "9999-12-31T23:59:59-12:00"},
        {"started": "2026-01-01T00:00:00"},
        {"id": "a\n"},
        {"id": "a" * 201},
        {"recipe": "n" * 300},
        {"systems": (SYSTEM, SYSTEM)},
        _with_system(size_bytes=2**63),
        _with_system(scores=SYSTEM.scores * 2),
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_entry_that_cannot_be_kept_is_none(bad: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(entry(1)), **msgspec.to_builtins(bad)}, RunEntry)


def test_text_that_is_none_keeps_nothing(store: HistoryStore) -> None:
    store.add([entry(1)])
    with pytest.raises(LingoLiteError, match="cannot be kept"):
        store.add([entry(2), msgspec.structs.replace(entry(3), problem="half a \ud83d")])
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
    assert store.entries() in ([], [entry(1)]), "what was whole is saved"
    aside = store.path.with_name("history.sqlite.damaged-1")
    assert aside.read_bytes() == damaged
    (warning,) = warnings
    assert str(store.path) in warning
    assert aside.name in warning
    store.add([entry(2)])
    assert store.entries()[-1:] == [entry(2)]
    _garbage(store.path)
    assert store.add([entry(3)]) == [entry(3)]
    assert store.path.with_name("history.sqlite.damaged-2").exists()
    assert store.entries() == [entry(3)]


def test_runs_that_are_whole_are_saved_from_a_file_that_has_others(store: HistoryStore, warnings: list[str]) -> None:
    store.add([entry(1), entry(2), entry(3)])
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE scores SET value = value + 1 WHERE run = ? AND metric = 'bleu'", (entry(2).id,))
    connection.close()
    assert store.entries() == [entry(1), entry(3)]
    assert "2 of its runs were whole" in warnings[0]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE runs SET status = 'broken budget'",
        "UPDATE runs SET checksum = NULL",
        "UPDATE systems SET size_bytes = size_bytes + 1 WHERE name = 'shipped'",
        "UPDATE systems SET position = 1 - position",
        "UPDATE scores SET low = NULL",
        "DELETE FROM scores WHERE metric = 'chrf'",
        "DELETE FROM systems WHERE name = 'baseline'",
        "UPDATE runs SET cpu = CAST(X'ff00ff' AS TEXT)",
        "DROP TABLE scores",
        "PRAGMA user_version = 1",
        "PRAGMA user_version = 0",
    ],
)
def test_changed_figures_are_never_shown(store: HistoryStore, warnings: list[str], change: str) -> None:
    """Changes that leave a file that SQLite finds nothing wrong with."""
    store.add([entry(1)])
    with sqlite3.connect(store.path) as connection:
        connection.execute(change)
    connection.close()
    assert store.entries() in ([], [entry(1)])
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "seeds", [range(40), pytest.param(range(40, 1000), marks=pytest.mark.slow)], ids=["small", "large"]
)
def test_damaged_bytes_never_give_wrong_figures(tmp_path: Path, seeds: range) -> None:
    """Bits, bytes and blocks of a file, changed at random: errors and losses are told, figures are right."""
    written = [entry(number) for number in range(12)]
    original = HistoryStore(tmp_path / "history.sqlite", warn=print)
    original.add(written)
    good = original.path.read_bytes()
    for seed in seeds:
        generator = random.Random(seed)
        data = bytearray(good)
        for _ in range(generator.choice([1, 1, 2, 5])):
            start = generator.randrange(len(data))
            length = generator.choice([1, 1, 4, 64, 512])
            data[start : start + length] = generator.choice(
                [
                    bytes([data[start] ^ 1 << generator.randrange(8)]),
                    bytes(length),
                    generator.randbytes(length),
                    good[(moved := generator.randrange(len(good))) : moved + length],
                ]
            )
        directory = tmp_path / str(seed)
        directory.mkdir()
        (directory / "history.sqlite").write_bytes(data)
        said: list[str] = []
        store = HistoryStore(directory / "history.sqlite", warn=said.append)
        try:
            found = store.entries()
        except LingoLiteError:
            continue
        assert all(run in written for run in found), seed
        if found != written and not said:
            # A page that is gone without a trace: what is on disk is read again, as for a history that was removed.
            assert store.add(written, has_files=True) == [run for run in written if run not in found], seed
        shutil.rmtree(directory)


@pytest.mark.parametrize("content", [b"my notes\n" * 50, b"SQLite format 3\0" + b"x" * 200])
def test_file_that_is_no_history_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A project may come from elsewhere and name any file as its history."""
    notes = tmp_path / "notes.txt"
    notes.write_bytes(content)
    store = HistoryStore(notes, warn=print)
    for call in (store.entries, lambda: store.add([entry(1)])):
        with pytest.raises(LingoLiteError, match="is no history of LingoLite"):
            call()
    assert notes.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "notes.txt.lock") == ["notes.txt"]


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
        with pytest.raises(LingoLiteError, match=r"newer lingolite: it has version 4, and this one knows 3") as caught:
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


def test_file_from_before_latencies_had_a_range_is_read_and_upgraded(store: HistoryStore, warnings: list[str]) -> None:
    old = entry(1)
    store.add([old])
    plain = msgspec.to_builtins(old)
    for system in plain["systems"]:
        del system["latency_p50_low_ms"], system["latency_p50_high_ms"]
    with sqlite3.connect(store.path) as connection:
        (kept,) = connection.execute("SELECT checksum FROM runs").fetchone()
        connection.execute("ALTER TABLE systems DROP COLUMN latency_p50_low_ms")
        connection.execute("ALTER TABLE systems DROP COLUMN latency_p50_high_ms")
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    assert kept == sha256_json(plain), "what the older version wrote"
    assert store.entries() == [old]
    timed = msgspec.structs.replace(SYSTEM, latency_p50_low_ms=4.0, latency_p50_high_ms=4.5)
    new = msgspec.structs.replace(entry(2), systems=(entry(2).systems[0], timed))
    store.add([new])
    assert store.entries() == [old, new]
    assert warnings == []
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE systems SET latency_p50_low_ms = NULL WHERE run = ?", (new.id,))
    connection.close()
    assert store.entries() == [old]
    assert "its figures are not those that were written" in warnings[0]


def test_file_from_before_there_were_checksums_is_upgraded(store: HistoryStore, warnings: list[str]) -> None:
    store.path.parent.mkdir()
    with sqlite3.connect(store.path) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA application_id = 0x4C4C4849")
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO runs VALUES ('old', 'mobile', 'done', '2026-01-01T00:00:00+00:00', 1.5, 0, NULL, NULL, "
            "'0.1.0', 'a CPU', 1, NULL, NULL)"
        )
    connection.close()
    (old,) = store.entries()
    assert old.id == "old"
    store.add([entry(1)])
    assert {found.id for found in store.entries()} == {"old", entry(1).id}
    assert warnings == []


@pytest.mark.slow
def test_a_file_whose_tables_are_just_made_is_no_other_programs(tmp_path: Path) -> None:
    """Three begin one history at the same moment, 400 times: in 1 of 200, one saw tables and no owner."""

    def add(path: Path, number: int) -> list[RunEntry]:
        return HistoryStore(path, warn=print).add([entry(number)])

    with ThreadPoolExecutor(3) as pool:
        for place in range(400):
            path = tmp_path / str(place) / "history.sqlite"
            added = list(pool.map(partial(add, path), range(3)))
            assert added == [[entry(number)] for number in range(3)]
