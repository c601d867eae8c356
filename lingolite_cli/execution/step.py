"""One step: taken from the cache, or done now and put there.

Owns when work is done again. What a step's record says is in `step_record`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.execution.step_record import record_step
from lingolite_cli.files.disk import explained
from lingolite_cli.files.integrity import FileWatch
from lingolite_cli.files.scratch import scratch_directory
from lingolite_cli.recipe.cache import CachedStep, CacheEntry, StepCache, changes, step_key
from lingolite_cli.recipe.file_digests import option_paths
from lingolite_cli.recipe.keys import describe_work
from lingolite_cli.recipe.kinds import KINDS
from lingolite_cli.recipe.scope import PlannedStep
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.record import StepRecord
from lingolite_cli.runs.results import StepResult


class StepExecution:
    """Does the steps of one run.

    Args:
        workspace: of the run; a step that was executed is finished in it.
        cache: of finished steps.
    """

    def __init__(self, workspace: Workspace, cache: StepCache) -> None:
        self._workspace = workspace
        self._cache = cache
        self._scratch: Path | None = None
        self._is_upgrade_told = False

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """A temporary directory for steps that are never cached; it exists as long as the block runs."""
        with scratch_directory() as directory:
            self._scratch = directory
            yield

    def execute(self, planned: PlannedStep) -> StepRecord:
        """Execute a step whose inputs are finished, or take its outcome from the cache.

        Raises:
            LingoLiteError: it could not be done.
        """
        before = time.perf_counter()
        workspace, cache, kind = self._workspace, self._cache, KINDS[planned.uses]
        watch = FileWatch(option_paths(planned))
        description = describe_work(planned, workspace.plan, workspace.digests)
        assert description is not None, "steps refer backwards only"
        key = step_key(description) if kind.not_cached is None else None
        found = cache.find(key) if key else None
        done = None if workspace.is_fresh else found  # `found` is replaced in the cache only if nobody else did so
        is_cached = done is not None and not planned.is_timed
        if not is_cached:
            label = "" if planned.step.id == planned.uses else f"{planned.uses}: "
            workspace.console.note(f"{planned.step.id}: {label}{planned.summary}")
        if done is None:
            self._tell_of_other_versions(planned, description)
            done = self._do(partial(self._run, planned, description, watch), planned, key=key, instead_of=found)
        if kind.judge is not None:
            done = _with_result(done, kind.judge(planned, workspace, done.entry.result))
        # After the work: a step that fails keeps the description of its last success.
        if key:
            cache.remember(workspace.plan.recipe.name, planned.step.id, description)
        workspace.finish(planned.step.id, done)
        return record_step(
            planned, done.entry.result, workspace, is_cached=is_cached, seconds=time.perf_counter() - before, key=key
        )

    def _do(
        self,
        work: Callable[[Path], StepResult],
        planned: PlannedStep,
        *,
        key: str | None,
        instead_of: CachedStep | None,
    ) -> CachedStep:
        if key is not None:
            return self._cache.store(key, work, instead_of=instead_of)
        assert self._scratch is not None, "outside `scratch`"
        directory = self._scratch / planned.step.id
        with explained(self._scratch):
            directory.mkdir()
            result = work(directory)
        return CachedStep(directory, CacheEntry(key="", host="", result=result, files={}, artifact=None, digest=""))

    def _run(self, planned: PlannedStep, description: dict[str, Any], watch: FileWatch, directory: Path) -> StepResult:
        run: Any = KINDS[planned.uses].run
        result: StepResult = run(planned, self._workspace, directory)
        self._workspace.check_artifacts()
        self._check_unchanged(planned, description)
        watch.check()
        # A text to train on was checked before the first step, and is not read afterwards.
        self._workspace.check_untouched(set(planned.inputs) & set(self._workspace.plan.shortlists))
        return result

    def _tell_of_other_versions(self, planned: PlannedStep, description: dict[str, Any]) -> None:
        """Say once in a run that an upgrade makes it do work again that was done before."""
        workspace = self._workspace
        last = self._cache.recall(workspace.plan.recipe.name, planned.step.id)
        is_told = self._is_upgrade_told or workspace.is_fresh or KINDS[planned.uses].not_cached is not None
        if not is_told and isinstance(last, dict) and last.get("host") != description["host"]:
            self._is_upgrade_told = True
            workspace.console.note(
                "steps were finished by another version of lingolite, and are done again by this one; "
                "`lingolite cache prune` clears what only the other one can use"
            )

    def _check_unchanged(self, planned: PlannedStep, description: dict[str, Any]) -> None:
        """Refuse an outcome that was made of other files than its key says: it would be served for them ever after."""
        workspace = self._workspace
        now = describe_work(planned, workspace.plan, workspace.digests_now(planned.inputs))
        if now != description:
            raise LingoLiteError(
                f"{planned.step.id}: what it reads was changed while it ran: {changes(description, now or {})}; "
                "the outcome is not kept",
                hint="run the same command again",
            )


def _with_result(done: CachedStep, result: StepResult) -> CachedStep:
    """The outcome with another result than the cached one: it has the verdicts of budgets."""
    return msgspec.structs.replace(done, entry=msgspec.structs.replace(done.entry, result=result))
