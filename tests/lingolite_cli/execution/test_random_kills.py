"""Whole runs, killed at random moments by a seed: the next run clears up and ends as if nothing had happened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from command_line import RECIPE, command, environment, figures, half_written, read_run, run_command, runs

from lingolite_cli.artifact import MANIFEST_NAME, Artifact
from lingolite_cli.runs.record import RunManifest

KILLS = 68

EXPORTING = """
[[steps]]
id = "int8"
uses = "quantize"
method = "dynamic-int8"

[[steps]]
id = "exported"
uses = "export"
model = "int8"

[[steps]]
id = "there"
uses = "evaluate"
model = "exported"
backend = "onnx"
max_samples = 4

[[steps]]
id = "same"
uses = "verify"
reference = "there"
candidate = "there"
[steps.budget]
exported_kl_max = 0.01

[[steps]]
id = "speed"
uses = "benchmark"
systems = [{ model = "exported", backend = "onnx" }]
num_sentences = 2
batch_sizes = [1]
rounds = 1

[[steps]]
id = "report"
"""
ALL_KINDS = EXPORTING.join(RECIPE.split('\n[[steps]]\nid = "report"\n'))


class Victim:
    """A project whose runs are killed, with a directory for temporary files of its own.

    Args:
        project: with the recipe above.
        plugins: to install.
        temporary: for temporary files.
    """

    def __init__(self, project: Path, plugins: list[Path], temporary: Path) -> None:
        self.project = project
        self._plugins = plugins
        self._temporary = temporary

    def killed_after(self, seconds: float, *arguments: str, is_group: bool) -> bool:
        """Start a command and kill it after some time: its group, or the first process alone. Whether it was killed."""
        variables = environment(self._plugins, {"TMPDIR": str(self._temporary)})
        process = subprocess.Popen(
            command(*arguments),
            cwd=self.project,
            env=variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            if is_group:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
            return True
        return False

    def run(self, *arguments: str) -> RunManifest:
        """A run to its end. The tiny model translates nothing, so that its export breaks a budget."""
        outcome = run_command(
            *arguments, cwd=self.project, plugins=self._plugins, variables={"TMPDIR": str(self._temporary)}
        )
        assert outcome.code == 3, outcome.err
        return read_run(runs(self.project)[-1])

    def standing(self) -> list[Path]:
        """Every artifact and run that stands under its name; each must be whole."""
        made = [path.parent for path in self.project.rglob(MANIFEST_NAME)]
        visible = [
            path for path in made if not any(part.startswith(".") and part != ".lingolite" for part in path.parts)
        ]
        for path in visible:
            Artifact.open(path)
        if (self.project / "runs" / "small").is_dir():
            for run in runs(self.project):
                read_run(run)
        return visible

    def left_behind(self) -> list[Path]:
        """What dead processes left, in the project and among temporary files."""
        return [*half_written(self.project), *self._temporary.glob("lingolite-*")]


@pytest.mark.slow
def test_runs_killed_at_random_moments_leave_nothing_and_change_nothing(
    project: Path, echo: Path, tmp_path: Path
) -> None:
    (project / "recipes" / "small.toml").write_text(ALL_KINDS)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    victim = Victim(project, [echo], temporary)
    expected = _lasting(victim.run("run", "recipes/small.toml"))
    seconds = read_run(runs(project)[-1]).seconds + 2  # with its start
    shutil.rmtree(project / ".lingolite")
    num_killed = num_left = 0
    for seed in count():
        chance = random.Random(seed)
        arguments = ["run", "recipes/small.toml", *(["--fresh"] if chance.random() < 0.5 else [])]
        if victim.killed_after(chance.uniform(0, seconds), *arguments, is_group=chance.random() < 0.7):
            num_killed += 1
            num_left += bool(victim.left_behind())
        victim.standing()
        assert _lasting(victim.run("run", "recipes/small.toml")) == expected, seed
        assert victim.left_behind() == [], seed
        assert len(victim.standing()) >= 4
        if chance.random() < 0.3:
            shutil.rmtree(project / ".lingolite" / "cache")
        if num_killed == KILLS:
            break
    assert num_left > KILLS // 8, "else no run was killed in the midst of writing"
    print(f"{num_killed} killed, {num_left} of them with something left behind")


def _lasting(manifest: RunManifest) -> list[object]:
    """What another run repeats: all but timings."""
    untimed = {step.id for step in manifest.steps if step.key is not None}
    return [figure for figure, step in zip(figures(manifest), manifest.steps, strict=True) if step.id in untimed]
