"""`lingolite verify-lock`: a recipe's lock against this machine and what it has made."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lingolite_cli.artifact import Artifact
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag
from lingolite_cli.console import Console, status_text
from lingolite_cli.environment import cpu_features
from lingolite_cli.errors import ExitCode, LingoLiteError
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
from lingolite_cli.recipe.plan import make_plan, read_recipe
from lingolite_cli.runs.finished import last_run, read_run


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared, how it differs if it does, and what another CPU may make of it."""

    what: str
    differences: list[str]
    elsewhere: str

    @property
    def status(self) -> str:
        """As a verdict's."""
        return "fail" if self.differences else "pass"


def verify_lock(
    typer_context: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe whose lock is checked.")],
    run: Annotated[
        Path | None, typer.Option("--run", metavar="DIR", help="The run to check; without it, the last one.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Check a lock against the inputs, packages and artifacts of this machine. Exits 3 when something differs."""
    context = context_of(typer_context)
    console = context.console(json=json)
    lock = read_lock(recipe)
    plan = make_plan(
        read_recipe(recipe, context.project), path=str(recipe), project=context.project, registry=context.registry
    )
    now = describe_plan(plan)
    drifts = [say(drift) for drift in plan_drift(lock, now)]
    findings = [Finding(what="inputs, packages, options", differences=drifts, elsewhere="the same")]
    directory = run or last_run(context.project.runs_directory / lock.recipe)
    if directory is not None:
        findings += _outcome_findings(lock, now, directory)
    _show(findings, lock, directory, console)
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(ExitCode.BUDGET_BROKEN)


def _outcome_findings(lock: Lock, now: Lock, directory: Path) -> list[Finding]:
    manifest = read_run(directory)
    if [step.id for step in manifest.steps] != [step.id for step in now.steps]:
        raise LingoLiteError(f"{directory} is a run of other steps", hint="name another one: --run DIR")
    for step in lock.steps:
        if step.artifact:
            Artifact.open(directory / "artifacts" / step.id)  # each file against its digest
    drifts = outcome_drift(lock, with_outcomes(now, manifest), is_same_cpu=not cpu_drift(lock, cpu_features()))
    found = []
    for step in lock.steps:
        if step.artifact or step.metrics:
            own = [say(drift) for drift in drifts if drift.what.startswith(f"step `{step.id}`,")]
            what = f"{step.id}: {', '.join(step.metrics) or 'artifact'}"
            found.append(Finding(what=what, differences=own, elsewhere=_elsewhere(step)))
    return found


def _elsewhere(step: LockedStep) -> str:
    """What can be expected of this step on another CPU."""
    if step.uses == "train" or "data" in step.options or "calibration" in step.options:
        return "not the same: the model is run, and float sums follow the CPU's instructions"
    if step.artifact:
        return "the same bytes, if what it was made from is the same"
    tolerance = max(metric.tolerance for metric in step.metrics.values())
    return f"within {tolerance:g}; the same where all products are exact integers"


def _show(findings: list[Finding], lock: Lock, directory: Path | None, console: Console) -> None:
    cpu = [say(drift) for drift in cpu_drift(lock, cpu_features())]
    console.print_json({"findings": findings, "run": directory and str(directory), "cpu": cpu})
    rows = [[finding.what, status_text(finding.status), finding.elsewhere] for finding in findings]
    console.table(["what", "here", "on another CPU"], rows)
    for difference in (difference for finding in findings for difference in finding.differences):
        console.print(f"differs: {difference}")
    console.print(
        f"run: {os.path.relpath(directory)}" if directory else f"no run of {lock.recipe} here: no outcome was checked"
    )
    console.print("CPU: " + ("the instruction sets of the lock" if not cpu else "; ".join(cpu)))
