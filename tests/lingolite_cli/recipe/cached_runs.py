"""Runs of the small recipe over one cache: which steps were run, what was planned, and where the cache keeps things."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from command_line import Outcome, read_run, runs

from lingolite_cli.runs.record import RunManifest, StepRecord

Command = Callable[..., Outcome]


def run(command: Command, project: Path, *arguments: str) -> tuple[Outcome, RunManifest]:
    """Run the recipe, and read the manifest that it leaves."""
    outcome = command("run", "recipes/small.toml", *arguments)
    assert outcome.code == 0, outcome.err
    return outcome, read_run(runs(project)[-1])


def done(manifest: RunManifest) -> list[str]:
    """Steps that were run and not served from the cache; reports are always written."""
    return [step.id for step in manifest.steps if step.status == "done" and step.uses != "report"]


def digests(steps: list[StepRecord]) -> list[object]:
    """What must be the same whenever the same work was done: keys, inputs and results."""
    return [(step.id, step.key, step.inputs, step.result) for step in steps]


def reasons(command: Command, *arguments: str) -> dict[str, str]:
    """What `--plan` says of each step."""
    plan = command("run", "recipes/small.toml", "--plan", "--json", *arguments).json
    return {step["id"]: step["why"] for step in plan}


def entry_of(project: Path, step: StepRecord) -> Path:
    """Where the cache keeps a step."""
    assert step.key is not None
    return project / ".lingolite" / "cache" / "steps" / step.key[:2] / step.key


def cached_artifact(project: Path, step: StepRecord) -> Path:
    """Where the cache keeps the artifact that a step made."""
    made = step.result.made
    assert made is not None
    return project / ".lingolite" / "cache" / "artifacts" / made.digest[:2] / made.digest
