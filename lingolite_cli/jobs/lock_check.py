"""`lingolite verify-lock`: a recipe's lock against this machine and what it has made.

Owns which differences are looked for, and what can be expected of another CPU. What is in a lock, and how two differ,
is in `lingolite_cli.recipe.lock`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.environment import cpu_features
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.recipe_plan import open_recipe, plan_recipe
from lingolite_cli.recipe.lock import (
    Lock,
    LockedStep,
    cpu_drift,
    describe_plan,
    outcome_drift,
    plan_drift,
    read_lock,
    say,
    with_outcomes,
)
from lingolite_cli.runs.directory import artifact_place
from lingolite_cli.runs.finished import last_run, read_run


class LockFinding(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, how it differs if it does, and what another CPU may make of it."""

    what: str
    differences: list[str]
    elsewhere: str

    @property
    def status(self) -> str:
        """As a verdict's."""
        return "fail" if self.differences else "pass"


class LockCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A lock compared with this machine.

    Attributes:
        recipe: name of the locked recipe.
        run: the run whose outcome was compared; None where there is none.
        cpu: how this CPU differs from the locked one.
    """

    recipe: str
    findings: list[LockFinding]
    run: Path | None
    cpu: list[str]

    @property
    def differs(self) -> bool:
        """Whether anything does, the CPU aside."""
        return any(finding.differences for finding in self.findings)


def check_lock(context: JobContext, recipe: Path, *, run: Path | None) -> LockCheck:
    """Compare the lock of `recipe` with the inputs, packages and artifacts of this machine.

    Args:
        context: the project.
        recipe: a TOML file.
        run: the directory of a run of it; None is the last one.

    Raises:
        LingoLiteError: there is no lock, the recipe is wrong, or the run is one of other steps.
    """
    lock = read_lock(recipe)
    owned = open_recipe(context, recipe)
    context = owned.context
    plan = plan_recipe(owned, recipe)
    now = describe_plan(plan)
    drifts = [say(drift) for drift in plan_drift(lock, now)]
    # A drift of these is one of this machine, whatever its CPU.
    findings = [LockFinding(what="inputs, packages, options", differences=drifts, elsewhere="the same")]
    directory = run or last_run(context.project.runs_directory / lock.recipe)
    if directory is not None:
        findings += _outcome_findings(lock, now, directory)
    cpu = [say(drift) for drift in cpu_drift(lock, cpu_features())]
    return LockCheck(recipe=lock.recipe, findings=findings, run=directory, cpu=cpu)


def _outcome_findings(lock: Lock, now: Lock, directory: Path) -> list[LockFinding]:
    manifest = read_run(directory)
    if [step.id for step in manifest.steps] != [step.id for step in now.steps]:
        raise LingoLiteError(f"{directory} is a run of other steps", hint="name another one: --run DIR")
    if [step.id for step in lock.steps] != [step.id for step in now.steps]:
        return []  # which is told already, as another order of the steps
    outcome = _as_on_disk(with_outcomes(now, manifest), directory)
    drifts = outcome_drift(lock, outcome, is_same_cpu=not cpu_drift(lock, cpu_features()))
    found = []
    for locked, step in zip(lock.steps, outcome.steps, strict=True):
        # What came out and is not in the lock is a difference, too.
        if any((locked.artifact, locked.metrics, step.artifact, step.metrics)):
            own = [say(drift) for drift in drifts if drift.what.startswith(f"step `{step.id}`,")]
            what = f"{step.id}: {', '.join(step.metrics) or 'artifact'}"
            found.append(LockFinding(what=what, differences=own, elsewhere=_elsewhere(step)))
    return found


def _as_on_disk(outcome: Lock, directory: Path) -> Lock:
    """The outcome with the digests of the artifacts that lie in the run, each file of them verified."""
    steps = []
    for step in outcome.steps:
        if step.artifact:
            step = msgspec.structs.replace(step, artifact=Artifact.open(directory / artifact_place(step.id)).digest)
        steps.append(step)
    return msgspec.structs.replace(outcome, steps=steps)


def _elsewhere(step: LockedStep) -> str:
    """What can be expected of this step on another CPU."""
    if step.uses == "train" or "data" in step.options or "calibration" in step.options:
        return "not the same: the model is run, and float sums follow the CPU's instructions"
    if step.artifact:
        return "the same bytes, if what it was made from is the same"
    tolerance = max((metric.tolerance for metric in step.metrics.values()), default=0.0)
    return f"within {tolerance:g}; the same where all products are exact integers"
