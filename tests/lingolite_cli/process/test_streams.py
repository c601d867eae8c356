"""Outcomes do not depend on who reads: pipes that are closed early, streams that are closed from the start."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from command_line import Outcome, command, environment, read_history, runs

PASSING = "verify.budget.size_ratio_max=0.95"
BROKEN = "verify.budget.size_ratio_max=0.01"


def run_with(redirection: str, *arguments: str | Path, cwd: Path, plugins: list[Path]) -> Outcome:
    """The command with its streams redirected by a shell."""
    words = " ".join(f"'{word}'" for word in command(*arguments))
    done = subprocess.run(
        ["bash", "-c", f"{words} {redirection}"],
        cwd=cwd,
        env=environment(plugins),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def piped_to_nobody(*arguments: str | Path, cwd: Path, plugins: list[Path], stream: str = "stdout") -> int:
    """The exit code of a command whose stdout or stderr has a reader that went away before the first word."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            command(*arguments),
            cwd=cwd,
            env=environment(plugins),
            stdin=subprocess.DEVNULL,
            timeout=300,
            check=False,
            **{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writing},
        )
    finally:
        os.close(writing)
    return done.returncode


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_broken_budget_exits_3_whoever_reads(project: Path, echo: Path, stream: str) -> None:
    broken = ["run", "recipes/small.toml", "--set", BROKEN]
    assert piped_to_nobody(*broken, cwd=project, plugins=[echo], stream=stream) == 3
    (run,) = runs(project)
    assert (run / "report.md").is_file()
    assert [entry.status for entry in read_history(project)] == ["broken budget"]


def test_a_lock_is_written_whoever_reads(project: Path, echo: Path) -> None:
    arguments = ["run", "recipes/small.toml", "--lock", "--set", PASSING]
    assert piped_to_nobody(*arguments, cwd=project, plugins=[echo]) == 0
    assert (project / "recipes" / "small.lock.toml").is_file()
    assert piped_to_nobody("run", "recipes/small.toml", "--locked", cwd=project, plugins=[echo]) == 2
    (project / "test.tsv").write_text("another text\tanother text\n")
    assert piped_to_nobody("verify-lock", "recipes/small.toml", cwd=project, plugins=[echo]) == 3


def test_results_are_written_to_their_files_with_every_stream_closed(project: Path, echo: Path) -> None:
    evaluated = run_with("<&- >&- 2>&-", "eval", "--output", "result.json", cwd=project, plugins=[echo])
    assert evaluated == Outcome(0, "", "")
    assert b'"bleu"' in (project / "result.json").read_bytes()


@pytest.mark.parametrize(
    ("redirection", "message"),
    [
        ("<&-", "error: stdin is closed: there is nothing to translate"),
        (">&-", "error: stdout is closed: translations have nowhere to go"),
    ],
)
def test_what_translate_cannot_do_without_is_refused(project: Path, echo: Path, redirection: str, message: str) -> None:
    outcome = run_with(redirection, "translate", cwd=project, plugins=[echo])
    assert outcome.code == 2
    assert outcome.err.startswith(message)
    assert "Traceback" not in outcome.err


def test_a_text_is_translated_with_stdin_and_stderr_closed(project: Path, echo: Path) -> None:
    outcome = run_with("<&- 2>&-", "translate", "The boat.", "--backend", "echo", cwd=project, plugins=[echo])
    assert outcome == Outcome(0, "The boat.\n", "")


def test_workers_translate_with_every_other_stream_closed(project: Path, echo: Path) -> None:
    arguments = ["translate", "The boat.", "--backend", "echo", "--workers", "2"]
    assert run_with("<&- 2>&-", *arguments, cwd=project, plugins=[echo]) == Outcome(0, "The boat.\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_results_that_cannot_be_shown_are_an_error_of_their_own_and_hide_no_verdict(project: Path, echo: Path) -> None:
    shown = run_with("> /dev/full", "eval", cwd=project, plugins=[echo])
    assert shown.code == 2
    assert "error: cannot write to stdout: No space left on device" in shown.err
    assert "Traceback" not in shown.err
    broken = ["run", "recipes/small.toml", "--set", BROKEN]
    assert run_with("> /dev/full", *broken, cwd=project, plugins=[echo]).code == 3


def test_a_reader_that_is_slow_on_a_pipe_that_does_not_block_gets_everything(project: Path) -> None:
    """As Node and other event loops hand pipes to their children. The pipe is full before anything is read."""
    reading, writing = os.pipe()
    size = fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    arguments = command("plugins", "list", "--json")
    with subprocess.Popen(arguments, cwd=project, env=environment([]), stdout=writing, stderr=subprocess.PIPE) as child:
        os.close(writing)
        while num_waiting(reading) < size and child.poll() is None:
            os.sched_yield()
        with os.fdopen(reading, "rb") as stream:
            found = stream.read()
        assert child.stderr is not None
        assert child.stderr.read() == b""
    assert child.returncode == 0
    assert len(found) > size
    assert json.loads(found)


def num_waiting(reading: int) -> int:
    """Bytes in a pipe."""
    return int.from_bytes(fcntl.ioctl(reading, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_all_three_streams_block() -> None:
    """A pipe with nothing in it yet would otherwise be an empty text."""
    code = (
        "import os; from lingolite_cli.process.streams import secure_standard_streams as secure; secure(); "
        "raise SystemExit(not all(map(os.get_blocking, range(3))))"
    )
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    streams = {"stdin": ends[0], "stdout": ends[1], "stderr": ends[1]}
    done = subprocess.run([sys.executable, "-c", code], env=environment([]), check=False, **streams)
    for end in ends:
        os.close(end)
    assert done.returncode == 0
