"""What a run writes of itself: its directory with manifest, artifacts and reports, and its entry in the history.

Owns when these are written, and what happens if they cannot be. The directory is written atomically. The names
inside it are in `lingolite_cli.runs.directory`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.environment import describe_environment
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.files.lease import sweep_dead
from lingolite_cli.history.entry import entry_of_manifest
from lingolite_cli.recipe.scope import PlannedStep
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.directory import add_report, fill, write_run_manifest
from lingolite_cli.runs.finished import new_run_name, place_of
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.revision import find_revision

if TYPE_CHECKING:
    from lingolite_cli.history.store import HistoryStore


class WrittenRun(msgspec.Struct, frozen=True):
    """A run on disk: its manifest, and what reporters put at the top of its directory."""

    manifest: RunManifest
    reports: list[Path]


class RunFiles:
    """The files of one run, which gets its name here.

    Args:
        workspace: of the run.
        runs_directory: where the runs of all recipes are.
        history: where the run is entered when it ends.

    Attributes:
        draft: its manifest, before the first step.
        directory: `NAME/ID` under `runs_directory`; it does not exist before `write`.
    """

    def __init__(self, workspace: Workspace, runs_directory: Path, history: HistoryStore) -> None:
        self._workspace = workspace
        self._history = history
        self._started = time.perf_counter()
        directory = runs_directory / workspace.plan.recipe.name
        self.draft = self._begin(directory)
        self.directory = directory / self.draft.id

    def _begin(self, directory: Path) -> RunManifest:
        started = datetime.now(timezone.utc)
        name = new_run_name(directory, started)
        if name.behind is not None:
            self._workspace.console.warn(
                f"the clock says {started:%Y-%m-%d %H:%M} UTC, which is before run {name.behind}; "
                f"this one is called {name.id}, so that it comes after it"
            )
        plan = self._workspace.plan
        return RunManifest(
            name=plan.recipe.name,
            id=name.id,
            status="done",
            started=started.isoformat(timespec="seconds"),
            seconds=0.0,
            seed=plan.recipe.seed,
            recipe_path=plan.path,
            recipe=msgspec.to_builtins(plan.recipe),
            environment=describe_environment(threads=plan.threads),
            revision=find_revision(plan.root),
            steps=[],
        )

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.perf_counter() - self._started

    def write(self, manifest: RunManifest, *, enter: Callable[[str], None]) -> WrittenRun:
        """Write the directory of a finished run.

        Reporters see the manifest without the time that they take; the one on disk has it.

        Args:
            manifest: the run's.
            enter: called with the id of each `report` step before its reporters run.
        """
        sweep_dead(self.directory.parent)
        names: list[str] = []
        with atomic_directory(self.directory) as temporary:
            fill(temporary, manifest, self._workspace.finished)
            for planned in self._reports():
                enter(planned.step.id)
                before = time.perf_counter()
                for choice in planned.reporters:
                    names += add_report(temporary, manifest, self._workspace.create(choice).report)
                manifest = _with_time(manifest, planned.step.id, time.perf_counter() - before)
            manifest = msgspec.structs.replace(manifest, seconds=self.seconds)
            write_run_manifest(temporary, manifest)
        return WrittenRun(manifest, [self.directory / name for name in names])

    def write_stopped(self, manifest: RunManifest) -> RunManifest | None:
        """Write reports of a run that failed, if it began any step. Returns the manifest that was written, if one was.

        Failures here are warnings only: the error that stopped the run must reach the user.
        """
        reports = self._reports()
        is_begun = manifest.steps or (manifest.stop is not None and manifest.stop.step is not None)
        if not reports or not is_begun:
            return None
        console = self._workspace.console
        written: list[str] = []
        try:
            with atomic_directory(self.directory) as temporary:
                fill(temporary, manifest, self._workspace.finished)
                for planned in reports:
                    before = time.perf_counter()
                    written += self._report_stop(planned, manifest, temporary)
                    manifest = _with_time(manifest, planned.step.id, time.perf_counter() - before)
                manifest = msgspec.structs.replace(manifest, seconds=self.seconds)
                write_run_manifest(temporary, manifest)
        except Exception as error:
            console.warn(f"there is no report of this run: {error}")
            return None
        for name in written:
            console.note(f"report of what was finished: {os.path.relpath(self.directory / name)}")
        return manifest

    def _report_stop(self, planned: PlannedStep, manifest: RunManifest, directory: Path) -> list[str]:
        """What the reporters of a step write of a run that failed."""
        written: list[str] = []
        for choice in planned.reporters:
            try:
                written += add_report(directory, manifest, self._workspace.create(choice).report)
            except Exception as error:  # a plugin's own code; the other reporters still write
                name = choice.loaded.spec.name
                self._workspace.console.warn(f"{planned.step.id}: no report by {name} of the run: {error}")
        return written

    def keep(self, manifest: RunManifest, *, is_written: bool) -> None:
        """Enter the run in the history. Failure to write the history is a warning.

        Args:
            manifest: the run's.
            is_written: whether its directory was written.
        """
        place = place_of(self.directory, root=self._workspace.plan.root) if is_written else None
        try:
            self._history.add([entry_of_manifest(manifest, place)], has_files=is_written)
        except (LingoLiteError, ValueError) as error:
            self._workspace.console.warn(f"this run is not in the history: {error}")

    def _reports(self) -> list[PlannedStep]:
        """The steps with reporters."""
        return [planned for planned in self._workspace.plan.steps if planned.reporters]


def _with_time(manifest: RunManifest, step: str, seconds: float) -> RunManifest:
    """The manifest with what the step of that id took besides."""
    steps = [
        msgspec.structs.replace(record, seconds=record.seconds + seconds) if record.id == step else record
        for record in manifest.steps
    ]
    return msgspec.structs.replace(manifest, steps=steps)
