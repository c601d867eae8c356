"""`lingolite run --lock` and `--locked`: writing a recipe's lock, and refusing to differ from it."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.console import Console
from lingolite_cli.environment import cpu_features
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.recipe.lock import (
    Lock,
    cpu_drift,
    describe_plan,
    outcome_drift,
    plan_drift,
    read_lock,
    say,
    with_outcomes,
    write_lock,
)
from lingolite_cli.recipe.scope import Plan
from lingolite_cli.runs.drift import Drift
from lingolite_cli.runs.record import RunManifest

__all__ = ["check_outcome", "check_plan", "read_lock", "write"]


def check_plan(lock: Lock, plan: Plan, *, recipe: Path, console: Console) -> None:
    """Refuse a run that is not the locked one, before anything is done; tell of another CPU.

    Raises:
        LingoLiteError: naming each file, package, plugin and option that differs.
    """
    drifts = plan_drift(lock, describe_plan(plan))
    if drifts:
        raise LingoLiteError(
            _listed("this would not be the locked run", drifts),
            hint=f"undo the differences, or lock what there is now: lingolite run {recipe} --lock",
        )
    if cpu := cpu_drift(lock, cpu_features()):
        console.warn(_listed("another CPU than the locked one; scores are compared within their tolerance", cpu))


def check_outcome(lock: Lock, plan: Plan, manifest: RunManifest, *, recipe: Path) -> None:
    """Refuse an outcome that is not the locked one.

    Raises:
        LingoLiteError: with the exit code of a broken budget, naming each artifact and score that differs.
    """
    now = with_outcomes(describe_plan(plan), manifest)
    drifts = outcome_drift(lock, now, is_same_cpu=not cpu_drift(lock, cpu_features()))
    if drifts:
        raise LingoLiteError(
            _listed("the run came out otherwise than locked", drifts),
            hint=f"what can be expected of this machine: lingolite verify-lock {recipe}",
            exit_code=ExitCode.BUDGET_BROKEN,
        )


def write(plan: Plan, manifest: RunManifest, *, recipe: Path, console: Console) -> None:
    """Write the lock of a finished run."""
    path = write_lock(with_outcomes(describe_plan(plan), manifest), recipe)
    console.print(f"lock: {path}")


def _listed(message: str, drifts: list[Drift]) -> str:
    return "\n  ".join((message, *map(say, drifts)))
