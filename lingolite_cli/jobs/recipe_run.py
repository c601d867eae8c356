"""`lingolite run`: a recipe from its first step to its reports, with its lock written or held to.

Owns what a run does about a lock (`--lock`, `--locked`). What is in one, and how two differ, is in
`lingolite_cli.recipe.lock`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.environment import cpu_features
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.execution.runner import FinishedRun, Runner
from lingolite_cli.files.output import check_output
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.recipe_plan import open_recipe, plan_recipe
from lingolite_cli.jobs.steps_ahead import Ahead, do_ahead
from lingolite_cli.recipe.lock import (
    Lock,
    cpu_drift,
    describe_plan,
    lock_path,
    outcome_drift,
    plan_drift,
    read_lock,
    say,
    with_outcomes,
    write_lock,
)
from lingolite_cli.runs.drift import Drift
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.training.launch import num_processes


class RecipeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is run.

    Attributes:
        recipe: a TOML file.
        overrides: of `--set`, by dotted key.
        varied: of `--matrix`, for this run, by dotted key.
        is_fresh: do every step again, cached or not.
        is_locking: a lock will be written of it.
        ahead: who does steps ahead of the run, if anybody does.
    """

    recipe: Path
    overrides: Mapping[str, str] = {}
    varied: Mapping[str, str] = {}
    is_fresh: bool = False
    is_locking: bool = False
    ahead: Ahead | None = None


class RecipeRun:
    """A recipe that passed its checks, ready to run.

    Raises:
        LingoLiteError: the recipe is wrong, or torchrun started several processes for it.
    """

    def __init__(self, context: JobContext, request: RecipeRequest, console: Console) -> None:
        if num_processes() > 1:
            raise LingoLiteError(
                "a recipe is run by one process, not by torchrun",
                hint="`torchrun … -m lingolite_cli train RECIPE` trains",
            )
        self._console = console
        self._path = request.recipe
        self._is_locking = request.is_locking
        self._ahead = request.ahead
        owned = open_recipe(context, request.recipe, overrides=request.overrides, varied=request.varied)
        self._context = owned.context
        self._plan = plan_recipe(owned, request.recipe)
        self.runner = Runner(
            self._plan,
            cache=self._context.cache,
            console=console,
            host=self._context.registry.host,
            is_fresh=request.is_fresh,
        )

    def run(self) -> FinishedRun:
        """Run it, among the project's runs and in its history.

        Raises:
            LingoLiteError: a step could not be done; or the lock cannot be written, which is refused before any work.
        """
        if self._is_locking:
            check_output(lock_path(self._path), flag="--lock")
            _ = self._described
        if self._ahead is not None:
            do_ahead(self._context, [self._plan], self._ahead, self._console)
        return self.runner.run(self._context.project.runs_directory, history=self._context.history(self._console))

    @cached_property
    def _described(self) -> Lock:
        """What would run. Its files are read once, before the run: a lock tells of those that were read."""
        return describe_plan(self._plan)

    def check_lock(self) -> Lock:
        """Refuse a run that is not the locked one, before anything is done; warn of another CPU.

        Raises:
            LingoLiteError: there is no lock; or naming each file, package, plugin and option that differs.
        """
        lock = read_lock(self._path)
        drifts = plan_drift(lock, self._described)
        if drifts:
            raise LingoLiteError(
                _listed("this would not be the locked run", drifts),
                hint=f"undo the differences, or lock what there is now: lingolite run {self._path} --lock",
            )
        if cpu := cpu_drift(lock, cpu_features()):
            self._console.warn(
                _listed("another CPU than the locked one; scores are compared within their tolerance", cpu)
            )
        return lock

    def check_outcome(self, lock: Lock, manifest: RunManifest) -> None:
        """Refuse an outcome that is not the locked one.

        Raises:
            LingoLiteError: with the exit code of a broken budget, naming each artifact and score that differs.
        """
        now = with_outcomes(self._described, manifest)
        drifts = outcome_drift(lock, now, is_same_cpu=not cpu_drift(lock, cpu_features()))
        if drifts:
            raise LingoLiteError(
                _listed("the run came out otherwise than locked", drifts),
                hint=f"what can be expected of this machine: lingolite verify-lock {self._path}",
                exit_code=ExitCode.BUDGET_BROKEN,
            )

    def write_lock(self, manifest: RunManifest) -> Path:
        """Write the lock of a finished run beside its recipe."""
        return write_lock(with_outcomes(self._described, manifest), self._path)


def _listed(message: str, drifts: list[Drift]) -> str:
    return "\n  ".join((message, *map(say, drifts)))
