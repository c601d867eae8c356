"""Running a plan: its steps in order, then the run's directory, whole or not at all.

Owns the order of the work, and what observers are told. A run that stops with an error leaves reports of what it
finished, if its recipe asks for any; one that is interrupted or dies leaves no directory. Finished steps are in the
cache in any case, and the same command goes on where it stopped. How one step is done is in `step`, what is written of
the run in `run_files`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.execution.forecast import StepForecast, forecast_step
from lingolite_cli.execution.run_files import RunFiles
from lingolite_cli.execution.step import StepExecution
from lingolite_cli.execution.step_record import describe_record
from lingolite_cli.execution.stop import RunPosition
from lingolite_cli.files.disk import check_writable
from lingolite_cli.plugins.manager import PluginHost
from lingolite_cli.recipe.cache import CachedStep, StepCache
from lingolite_cli.recipe.kinds import KINDS
from lingolite_cli.recipe.scope import Plan
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.record import RunManifest, StepRecord

if TYPE_CHECKING:
    from lingolite_cli.history.store import HistoryStore


class FinishedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that came to its end: its manifest, the directory that it wrote, and what reporters put there."""

    manifest: RunManifest
    directory: Path
    reports: list[Path] = []


class Runner:
    """Runs one plan.

    Args:
        plan: checked.
        cache: of finished steps.
        console: for progress and remarks.
        host: whose observers are told.
        is_fresh: do every step again, and put the result into the cache.

    Attributes:
        plan: what is run.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        cache: StepCache,
        console: Console,
        host: PluginHost,
        is_fresh: bool = False,
    ) -> None:
        self.plan = plan
        self._cache = cache
        self._host = host
        self._workspace = Workspace(plan, console, cache=cache, is_fresh=is_fresh)
        self._steps = StepExecution(self._workspace, cache)
        self._position = RunPosition()
        self._records: list[StepRecord] = []

    def forecast(self) -> list[StepForecast]:
        """What `run` would do. Reads the inputs and the cache; writes nothing."""
        self._workspace.read_inputs()
        return [forecast_step(planned, self._workspace, self._cache) for planned in self.plan.steps]

    @contextmanager
    def scratch(self) -> Iterator[Runner]:
        """A temporary directory for steps that are never cached; it exists as long as the block runs."""
        with self._steps.scratch():
            yield self

    def execute(self) -> list[StepRecord]:
        """Run all steps, inside `scratch`.

        Raises:
            LingoLiteError: a step could not be done; those before it stay in the cache. Or the cache cannot be written.
        """
        if any(KINDS[planned.uses].not_cached is None for planned in self.plan.steps):
            check_writable(self._cache.root)
        self._cache.sweep()
        self._workspace.read_inputs()
        self._records = []
        with self._cache.explaining_losses():
            for planned in self.plan.steps:
                self._position.enter(planned.step.id)
                record = self._steps.execute(planned)
                self._records.append(record)
                if not planned.reporters:  # those write when the others are done
                    self._tell(record)
        self._position.leave()
        return self._records

    def _tell(self, record: StepRecord) -> None:
        self._workspace.console.note(describe_record(record))
        self._host.notify("lingolite_step_finished", record=record)

    def run(self, runs_directory: Path, *, history: HistoryStore) -> FinishedRun:
        """Run all steps, write `runs/NAME/ID/`, and enter it in the history.

        Args:
            runs_directory: where the runs of all recipes are.
            history: where the run is entered, also if it fails or is interrupted. Failure to write it is a warning.

        Raises:
            LingoLiteError: as `execute`, after the reports that the recipe asks for were written of what was finished;
                or the runs' directory cannot be written, which is refused before any work.
        """
        for place in (runs_directory / self.plan.recipe.name, self._cache.root):
            check_writable(place)
        files = RunFiles(self._workspace, runs_directory, history)
        try:
            run = self._run(files)
        except BaseException as error:  # an interruption is entered in the history, too
            self._stop(files, error)
            raise
        files.keep(run.manifest, is_written=True)
        return run

    def _run(self, files: RunFiles) -> FinishedRun:
        self._host.notify("lingolite_run_started", plan=self.plan)
        with self.scratch():
            records = self.execute()
            manifest = msgspec.structs.replace(files.draft, steps=records, seconds=files.seconds)
            # Judged before anything is written, so that reports show the final status.
            if any(verdict.breaks_run for _, verdict in manifest.verdicts):
                manifest = msgspec.structs.replace(manifest, status="broken budget")
            with self._cache.explaining_losses():
                written = files.write(manifest, enter=self._position.enter)
        for planned, record in zip(self.plan.steps, written.manifest.steps, strict=True):
            if planned.reporters:
                self._tell(record)
        self._host.notify("lingolite_run_finished", manifest=written.manifest)
        return FinishedRun(manifest=written.manifest, directory=files.directory, reports=written.reports)

    def _stop(self, files: RunFiles, error: BaseException) -> None:
        """Enter where and why the run stopped; if it failed, write reports as well."""
        manifest = msgspec.structs.replace(
            files.draft,
            status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed",
            seconds=files.seconds,
            # A `report` step has its record before reporters run: one that fails there is not finished.
            steps=[record for record in self._records if record.id != self._position.step],
            stop=self._position.stop(error),
        )
        written = None
        try:
            written = files.write_stopped(manifest) if isinstance(error, Exception) else None
        finally:
            files.keep(written or manifest, is_written=written is not None)

    def finished(self, step: str) -> CachedStep:
        """The outcome of a step that was run."""
        return self._workspace.finished[step]
