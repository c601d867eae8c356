"""Directories that take the place of others: whenever the process is killed, one of the two is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from command_line import environment

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory, copy_atomic, write_atomic
from lingolite_cli.files.exchange import exchange

KILLED = """
import os, signal, sys
from pathlib import Path
from lingolite_cli.files import atomic

number, calls = int(sys.argv[2]), 0

def dying(event, arguments):
    # Python tells of each change to the file system before it is made.
    global calls
    if event in ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "ctypes.dlopen"):
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)

with atomic.atomic_directory(Path(sys.argv[1]), overwrite=True) as directory:
    (directory / "file").write_text("new")
    if "without" in sys.argv:
        atomic.exchange = lambda first, second: False
    sys.addaudithook(dying)
print("done")
"""


@pytest.mark.parametrize("how", ["with", "without"])
def test_old_or_new_is_there_whenever_the_process_is_killed(tmp_path: Path, how: str) -> None:
    """Killed before its first, its second, ... change to the file system, with and without an exchange in one step."""
    target = tmp_path / "model"
    contents = []
    for number in range(1, 20):
        target.mkdir(exist_ok=True)
        (target / "file").write_text("old")
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(target), str(number), how],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if how == "with":
            contents.append((target / "file").read_text())
        with pytest.raises(LingoLiteError, match="exists"), atomic_directory(target):
            pass
        contents.append((target / "file").read_text())
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "done\n"
    assert set(contents) == {"old", "new"}
    with atomic_directory(target, overwrite=True) as directory:
        (directory / "file").write_text("last")
    assert [path.name for path in tmp_path.iterdir()] == ["model"], "the next one cleared what the killed ones left"


WRITER = """
import os, sys
from pathlib import Path
from lingolite_cli.files.atomic import write_atomic

def dying(event, arguments):
    if event == "os.rename":
        os._exit(9)

sys.addaudithook(dying)
write_atomic(Path(sys.argv[1]), b"new")
"""


def test_file_of_a_killed_writer_is_what_it_was_and_the_next_one_clears_up(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomic(path, b"old")
    done = subprocess.run([sys.executable, "-c", WRITER, str(path)], env=environment(), check=False)
    assert done.returncode == 9
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 3, "what it wrote, and its lease"
    write_atomic(path, b"newer")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"state.json": b"newer"}


def test_exchanged_paths_are_both_there(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
    if not exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this system exchanges no directories")
    assert (tmp_path / "a" / "b").read_text() == "b"
    assert (tmp_path / "b" / "a").read_text() == "a"
    assert not exchange(tmp_path / "a", tmp_path / "missing")


@pytest.mark.parametrize("is_there", [True, False])
def test_link_is_followed_and_stays(tmp_path: Path, is_there: bool) -> None:
    (tmp_path / "models").mkdir()
    if is_there:
        (tmp_path / "models" / "first").mkdir()
        (tmp_path / "models" / "first" / "file").write_text("old")
    (tmp_path / "model").symlink_to("models/first")
    with atomic_directory(tmp_path / "model", overwrite=is_there) as directory:
        (directory / "file").write_text("new")
    assert (tmp_path / "model").is_symlink()
    assert (tmp_path / "models" / "first" / "file").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["model", "models"]
    assert os.listdir(tmp_path / "models") == ["first"]


def test_links_that_lead_nowhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(LingoLiteError, match="cannot write"), atomic_directory(tmp_path / "a"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_names_as_long_as_the_disk_takes_them_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("å" * 127)
    with atomic_directory(target) as directory:
        (directory / "file").write_text("new")
    assert (target / "file").read_text() == "new"


def test_a_large_file_is_copied_in_blocks(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "new" / "target"
    source.write_bytes(os.urandom(1000) * 20_000)
    tracemalloc.start()
    try:
        copy_atomic(source, target)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert target.read_bytes() == source.read_bytes()
    assert peak < 5_000_000
