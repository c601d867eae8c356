"""Runs that are killed or interrupted: nothing half-written is left to be read, and nothing finished is done again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from command_line import (
    GATED,
    RECIPE,
    Outcome,
    closed_gate,
    command,
    environment,
    figures,
    half_written,
    hear_interruptions,
    read_history,
    read_run,
    run_command,
    runs,
)

from lingolite_cli.runs.record import RunManifest


@pytest.fixture
def gated(project: Path) -> Path:
    """The project, with the recipe that waits."""
    (project / "recipes" / "small.toml").write_text(GATED)
    return project


@contextmanager
def started(project: Path, *arguments: str, plugins: list[Path]) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, as a shell would start it."""
    process = subprocess.Popen(
        command(*arguments),
        cwd=project,
        env=environment(plugins),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=hear_interruptions,
    )
    assert process.stderr is not None
    with process.stderr:
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def read_until(stream: IO[str] | None, text: str) -> list[str]:
    """Lines of a stream up to the one that begins with `text`."""
    assert stream is not None
    lines = []
    for line in stream:
        lines.append(line.rstrip("\n"))
        if line.startswith(text):
            return lines
    raise AssertionError(f"`{text}` never came: {lines}")


def kill(process: subprocess.Popen[str], number: signal.Signals) -> str:
    """Send a signal to the whole group, and return what is left on stderr."""
    os.killpg(process.pid, number)
    assert process.stderr is not None
    rest = process.stderr.read()
    process.wait()
    return rest


def uninterrupted(project: Path, echo: Path) -> RunManifest:
    """The manifest of a run in a project of its own, which nothing disturbed."""
    other = Path(shutil.copytree(project, project.parent / "undisturbed", ignore=shutil.ignore_patterns(".lingolite")))
    assert run_command("run", "recipes/small.toml", cwd=other, plugins=[echo]).code == 0
    return read_run(runs(other)[-1])


def test_a_killed_run_goes_on_where_it_stopped(gated: Path, echo: Path) -> None:
    arguments = ("run", "recipes/small.toml")
    with closed_gate(gated), started(gated, *arguments, plugins=[echo]) as process:
        seen = read_until(process.stderr, "waiting at the gate")
        kill(process, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    assert [line.split(":")[0] for line in seen if " s" in line] == ["baseline", "half"]
    assert half_written(gated), "the step was killed while it was writing"
    assert not (gated / "runs").exists()

    resumed = run_command(*arguments, cwd=gated, plugins=[echo])
    assert resumed.code == 0, resumed.err
    assert [line for line in resumed.err.splitlines() if ": cached" in line] == [
        "baseline: cached, bleu 100.00, exact 100.00",
        "half: cached, bundle-fp16, 0.38 MB",
    ]
    assert half_written(gated) == [], "what the killed process left is swept"
    manifest = read_run(runs(gated)[0])
    assert [step.status for step in manifest.steps] == ["cached", "cached", "done", "done", "done"]
    assert figures(manifest) == figures(uninterrupted(gated, echo))


def test_a_run_may_be_killed_at_any_step(project: Path, echo: Path) -> None:
    """Killed again and again, each time one line later and with every step done anew."""
    for number in range(1, 10):
        with started(project, "run", "recipes/small.toml", "--fresh", plugins=[echo]) as process:
            assert process.stderr is not None
            for _ in range(number):
                assert process.stderr.readline()
            kill(process, signal.SIGKILL)
    left = runs(project) if (project / "runs").exists() else []
    assert all(read_run(run).status == "done" for run in left)
    outcome = run_command("run", "recipes/small.toml", cwd=project, plugins=[echo])
    assert outcome.code == 0, outcome.err
    assert figures(read_run(runs(project)[-1])) == figures(uninterrupted(project, echo))


def test_what_a_living_process_is_writing_is_not_swept(gated: Path, echo: Path) -> None:
    """Two runs of one recipe at a time: the second finds no finished step, does it itself, and disturbs nobody."""
    arguments = ("run", "recipes/small.toml")
    with closed_gate(gated), started(gated, *arguments, plugins=[echo]) as first:
        read_until(first.stderr, "waiting at the gate")
        writing = half_written(gated)
        assert writing
        with started(gated, *arguments, plugins=[echo]) as second:
            read_until(second.stderr, "waiting at the gate")
            assert set(writing) < set(half_written(gated))
            kill(second, signal.SIGKILL)
        assert set(writing) < set(half_written(gated))


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_exits_130_and_leaves_nothing_half_written(gated: Path, echo: Path, ending: signal.Signals) -> None:
    arguments = ("run", "recipes/small.toml")
    with closed_gate(gated), started(gated, *arguments, plugins=[echo]) as process:
        read_until(process.stderr, "waiting at the gate")
        rest = kill(process, ending)
        assert process.returncode == 130
    assert rest.split("\n")[-2:] == ["interrupted; finished steps are kept", ""]
    assert "Traceback" not in rest
    assert half_written(gated) == []
    assert not (gated / "runs").exists()
    resumed = run_command(*arguments, cwd=gated, plugins=[echo])
    assert "half: cached" in resumed.err
    interrupted, done = read_history(gated)
    assert (interrupted.status, interrupted.problem, interrupted.shipped) == ("interrupted", "at `shipped`", "baseline")
    assert (done.status, done.id) == ("done", runs(gated)[0].name)


def test_ctrl_c_ends_the_workers_of_a_benchmark_in_silence(gated: Path, echo: Path) -> None:
    (gated / "recipes" / "speed.toml").write_text(
        RECIPE[: RECIPE.index("[[steps]]")]
        + '[[steps]]\nid = "speed"\nuses = "benchmark"\n'
        + 'systems = [{ model = "inputs.model", backend = "echo", options = { gate = "gate" } }]\n'
    )
    with closed_gate(gated), started(gated, "run", "recipes/speed.toml", plugins=[echo]) as process:
        read_until(process.stderr, "waiting at the gate")
        rest = kill(process, signal.SIGINT)
        assert process.returncode == 130
        with pytest.raises(ProcessLookupError):
            os.killpg(process.pid, 0)
    assert rest == "interrupted; finished steps are kept\n"


def test_a_killed_run_is_no_half_run(project: Path, echo: Path) -> None:
    """A run's directory appears under its name when it is whole; until then it has another one, which is swept."""
    stale = project / "runs" / "small" / ".20200101-000000-0000.0123456789ab.partial"
    (stale / "artifacts").mkdir(parents=True)
    stale.with_suffix(".lease").touch()
    mine = project / "runs" / "small" / "notes.partial"
    mine.mkdir()
    outcome: Outcome = run_command("run", "recipes/small.toml", cwd=project, plugins=[echo])
    assert outcome.code == 0
    assert not stale.exists()
    assert mine.exists(), "only what carries the mark of an unfinished run is removed"
