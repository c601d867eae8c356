"""Runs on full and read-only disks, under a clock that is set, and two at once: nothing is lost or half-written."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from command_line import (
    GATED,
    Outcome,
    closed_gate,
    command,
    contents,
    environment,
    figures,
    half_written,
    read_history,
    read_run,
    run_command,
    runs,
)

from lingolite_cli.artifact import Artifact

Command = Callable[..., Outcome]
RUN = ("run", "recipes/small.toml")


@cache
def can_mount() -> bool:
    """Whether this user may mount, in a name space of its own."""
    script = "mount -t tmpfs -o size=1m none /tmp"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def mounting() -> None:
    """Skips where nothing may be mounted, as in a container without user name spaces."""
    if shutil.which("unshare") is None or not can_mount():
        pytest.skip("this user may not mount anything, not even in a name space of its own")


def in_name_space(script: str, *, cwd: Path, echo: Path) -> Outcome:
    """A shell script that may mount; the mounts are gone when it ends."""
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-ec", script],
        cwd=cwd,
        env={**environment([echo]), "RUN": shlex.join(command(*RUN))},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


FULL = """
mount -t tmpfs -o size=4m none disk
cp -r project/. disk
cd disk
head -c 8m /dev/zero > ballast 2> ../ballast.txt || true
truncate -s -200k ballast
set +e
$RUN; code=$?
set -e
rm ballast
find . -name '*.partial' -o -name '*.old' > ../left.txt
$RUN 2> ../again.txt
cp -r . ../after
exit $code
"""


def test_full_disk_ends_the_run_and_the_next_one_goes_on(mounting: None, project: Path, echo: Path) -> None:
    """There is room for the first step's translations, and none for the second one's artifact."""
    (project.parent / "disk").mkdir()
    outcome = in_name_space(FULL, cwd=project.parent, echo=echo)
    assert outcome.code == 2, outcome.err
    assert "error: no room is left on the disk: " in outcome.err
    assert "hint: make room, then run the same command again" in outcome.err
    assert "Traceback" not in outcome.err
    assert (project.parent / "left.txt").read_text() == ""
    again = (project.parent / "again.txt").read_text()
    assert [line.split(":")[0] for line in again.splitlines() if ": cached" in line] == ["baseline"]
    statuses = [read_run(run).status for run in runs(project.parent / "after")]
    assert statuses == ["failed", "done"], "the report of what was finished found room, too"


def test_file_larger_than_allowed_ends_the_run(with_echo: Command, project: Path, echo: Path) -> None:
    """As a full disk, where nothing may be mounted: the artifact does not fit, and all before it does."""
    done = subprocess.run(
        command(*RUN),
        cwd=project,
        env=environment([echo]),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 2, done.stderr
    assert "error: a file would be larger than this process may write (`ulimit -f`)" in done.stderr
    assert "Traceback" not in done.stderr
    assert half_written(project) == []
    assert [read_run(run).status for run in runs(project)] == ["failed"]
    (failed,) = read_history(project)
    assert (failed.status, failed.shipped) == ("failed", "baseline")
    assert str(failed.problem).startswith("at `half`: a file would be larger")
    again = with_echo(*RUN)
    assert again.code == 0, again.err
    assert "baseline: cached" in again.err


READ_ONLY = """
cd /
mount --bind {place} {place}
mount -o remount,bind,ro {place}
cd {project}
$RUN
"""


@pytest.mark.parametrize("place", [".", "runs", ".lingolite"])
def test_read_only_directory_is_refused_before_any_work(mounting: None, project: Path, echo: Path, place: str) -> None:
    (project / place).mkdir(exist_ok=True)
    before = contents(project)
    outcome = in_name_space(READ_ONLY.format(place=project / place, project=project), cwd=project, echo=echo)
    assert (outcome.code, outcome.err.split("\n")[0]) == (
        2,
        f"error: cannot write to {project if place == '.' else place}: its file system is read-only",
    )
    assert "hint: " in outcome.err
    assert contents(project) == before


ELSEWHERE = {"LINGOLITE_CACHE": "cache", "LINGOLITE_RUNS": "runs", "LINGOLITE_HISTORY": "history.sqlite"}


def test_read_only_project_works_with_its_places_elsewhere(
    mounting: None, project: Path, echo: Path, tmp_path: Path
) -> None:
    before = contents(project)
    variables = {name: str(tmp_path / "elsewhere" / place) for name, place in ELSEWHERE.items()}
    exports = "".join(f"export {name}={place}\n" for name, place in variables.items())
    script = READ_ONLY.format(place=project, project=project)
    outcome = in_name_space(exports + script, cwd=project, echo=echo)
    assert outcome.code == 0, outcome.err
    assert contents(project) == before
    assert len(list((tmp_path / "elsewhere" / "runs" / "small").iterdir())) == 1
    assert (tmp_path / "elsewhere" / "history.sqlite").is_file()


@pytest.mark.parametrize("where", ["project", "out"])
def test_commands_say_before_work_that_they_cannot_write(
    mounting: None, project: Path, echo: Path, tmp_path: Path, where: str
) -> None:
    """The cache of a read-only project, and a read-only place for what is made."""
    out = tmp_path / "out"
    out.mkdir()
    read_only = project if where == "project" else out
    script = READ_ONLY.format(place=read_only, project=project)
    flags = f"quantize --method fp16 --out {out}/made"
    outcome = in_name_space(script.replace("$RUN\n", f"${{RUN% run *}} {flags}\n"), cwd=project, echo=echo)
    assert (outcome.code, outcome.err.split("\n")[0]) == (
        2,
        f"error: cannot write to {read_only}: its file system is read-only",
    )


def test_forbidden_directory_is_refused_before_any_work(project: Path, echo: Path) -> None:
    """As a read-only one, where nothing may be mounted; root may write everywhere."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    project.chmod(0o555)
    try:
        outcome = run_command(*RUN, cwd=project, plugins=[echo])
    finally:
        project.chmod(0o755)
    assert outcome.code == 2
    assert f"error: cannot write to {project}: permission denied" in outcome.err


def test_run_that_cannot_be_kept_in_the_history_is_a_run_all_the_same(
    mounting: None, with_echo: Command, project: Path, echo: Path
) -> None:
    """The history's own directory is read-only; `lingolite history` then shows it with what is on disk."""
    (project / "kept").mkdir()
    text = (project / "lingolite.toml").read_text()
    (project / "lingolite.toml").write_text(text.replace("schema = 1\n", 'schema = 1\nhistory = "kept/history"\n'))
    assert with_echo(*RUN).code == 0
    before = contents(project / "kept")
    script = READ_ONLY.format(place=project / "kept", project=project) + "${RUN% run *} history --json\n"
    outcome = in_name_space(script.replace("$RUN\n", "$RUN > run.txt\n", 1), cwd=project, echo=echo)
    assert outcome.code == 0, outcome.err
    assert "warning: this run is not in the history: cannot write " in outcome.err
    assert "attempt to write a readonly database; 1 of the runs shown were read from " in outcome.err
    assert [run["id"] for run in outcome.json["runs"]] == [run.name for run in runs(project)]
    assert contents(project / "kept") == before


CLOCK = """
import datetime, os
from pathlib import Path

class Jumping(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        days = int(os.environ["DAYS"])
        return super().now(tz) + datetime.timedelta(days=days)

datetime.datetime = Jumping
"""


def test_clock_that_jumps_leaves_runs_in_their_order(project: Path, echo: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(CLOCK)
    errors = []
    for days in (0, 400, -400):
        outcome = run_command(*RUN, cwd=project, plugins=[echo, tmp_path], variables={"DAYS": str(days)})
        assert outcome.code == 0, outcome.err
        errors.append(outcome.err)
    directories = runs(project)  # in the order in which they were written
    assert [path.name for path in directories] == sorted(path.name for path in directories)
    manifests = [read_run(path) for path in directories]
    assert manifests[1].started > manifests[0].started > manifests[2].started
    assert all(0 < manifest.seconds < 300 for manifest in manifests)
    assert all(0 <= step.seconds < 300 for manifest in manifests for step in manifest.steps)
    assert [f"is before run {directories[number - 1].name}" in error for number, error in enumerate(errors)] == [
        False,
        False,
        True,
    ]
    assert [entry.id for entry in read_history(project)] == [path.name for path in directories]


def _started(*arguments: str, cwd: Path, echo: Path | None = None) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    plugins = [echo] if echo else []
    return subprocess.Popen(
        arguments, cwd=cwd, env=environment(plugins), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )


def test_two_runs_at_once_come_out_alike(with_echo: Command, project: Path, echo: Path) -> None:
    """Both do every step themselves, and end the same step at the same moment."""
    (project / "recipes" / "small.toml").write_text(GATED)
    with ExitStack() as stack:
        with closed_gate(project):
            both = [stack.enter_context(_started(*command(*RUN), cwd=project, echo=echo)) for _ in range(2)]
            for process in both:
                assert process.stderr is not None
                while "waiting at the gate" not in process.stderr.readline():
                    assert process.poll() is None
        errors = [process.communicate(timeout=120)[1] for process in both]
        assert [process.returncode for process in both] == [0, 0], errors
    first, second = map(read_run, runs(project))
    assert first.id != second.id
    assert figures(first) == figures(second)
    assert first.steps[2].status == second.steps[2].status == "done"
    assert half_written(project) == []
    assert {entry.id for entry in read_history(project)} == {first.id, second.id}
    third = with_echo(*RUN)
    assert ", 4 from the cache" in third.out, "what both stored is whole"
    for run in runs(project):
        Artifact.open(run / "artifacts" / "half")


def test_entry_that_vanishes_under_a_run_is_named(with_echo: Command, project: Path, echo: Path) -> None:
    """As when somebody clears the cache, or another run replaces what this one goes on with."""
    (project / "recipes" / "small.toml").write_text(GATED)
    with ExitStack() as stack:
        with closed_gate(project):
            process = stack.enter_context(_started(*command(*RUN), cwd=project, echo=echo))
            assert process.stderr is not None
            while "waiting at the gate" not in process.stderr.readline():
                assert process.poll() is None
            (entry,) = (path.parent for path in (project / ".lingolite").rglob("translations.jsonl"))
            shutil.rmtree(entry)
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 2, error
    assert f"error: {entry}/translations.jsonl is gone: it was removed from the cache, or replaced" in error
    assert "Traceback" not in error
    outcome = with_echo(*RUN)
    assert outcome.code == 0, outcome.err
    assert ", 2 from the cache" in outcome.out


STORER = """
import sys
from pathlib import Path
from lingolite_cli.recipe.cache import StepCache
from lingolite_cli.runs.record import ReportResult

def work(directory):
    (directory / "translations.jsonl").write_text(sys.argv[2] * 1000)
    return ReportResult(reporters=[sys.argv[2]])

cache = StepCache(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
for number in range(20):
    key = f"{number:064x}"
    stored = cache.find(key) or cache.store(key, work)
    assert cache.find(key) == stored, "an entry that a run goes on with is taken away"
    print(stored.entry.result.reporters[0], flush=True)
"""


def test_processes_that_store_one_key_go_on_with_one_entry(tmp_path: Path) -> None:
    with ExitStack() as stack:
        arguments = [sys.executable, "-c", STORER, str(tmp_path / "cache")]
        processes = [stack.enter_context(_started(*arguments, name, cwd=tmp_path)) for name in "abc"]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        used = [process.stdout.read().split() for process in processes if process.stdout is not None]
        assert [process.wait() for process in processes] == [0, 0, 0]
    assert used[0] == used[1] == used[2]
    assert len(used[0]) == 20
    assert half_written(tmp_path) == []
