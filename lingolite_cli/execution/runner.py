"""Running a plan: each step from the cache or done now, then the run's directory, whole or not at all.

Owns the order of the work and when a run's directory is written. A run that stops with an error leaves reports of what
it finished, if its recipe asks for any; one that is interrupted or dies leaves no directory. Finished steps are in the
cache in any case, and the same command goes on where it stopped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import msgspec

from lingolite_cli.artifact import atomic_directory
from lingolite_cli.console import Console
from lingolite_cli.environment import describe_environment
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.disk import check_writable, explained
from lingolite_cli.history.entry import entry_of_manifest
from lingolite_cli.plugins.manager import PluginHost
from lingolite_cli.recipe.cache import CachedStep, Entry, StepCache, changes, step_key, sweep_partial
from lingolite_cli.recipe.keys import describe_work
from lingolite_cli.recipe.kinds import KINDS
from lingolite_cli.recipe.scope import Plan, PlannedStep, PluginChoice
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.directory import add_report, artifact_place, fill, with_places
from lingolite_cli.runs.finished import new_run_name, place_of
from lingolite_cli.runs.record import PluginUse, RunManifest, StepRecord, Stop
from lingolite_cli.runs.results import StepResult

if TYPE_CHECKING:
    from lingolite_cli.history.store import HistoryStore


class StepForecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do with a step, and why."""

    id: str
    uses: str
    summary: str
    is_cached: bool
    why: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A finished run: its manifest, the directory where it was written if it was, and what reporters put there."""

    manifest: RunManifest
    directory: Path | None
    reports: list[Path] = []


class Runner:
    """Runs one plan.

    Args:
        plan: checked.
        cache: of finished steps.
        console: for progress and remarks.
        host: whose observers are told.
        is_fresh: do every step again, and put the result into the cache.
    """

    def __init__(
        self, plan: Plan, *, cache: StepCache, console: Console, host: PluginHost, is_fresh: bool = False
    ) -> None:
        self._plan = plan
        self._cache = cache
        self._console = console
        self._host = host
        self._is_fresh = is_fresh
        self._workspace = Workspace(plan, console, state_root=cache.state_root, is_fresh=is_fresh)
        self._digests: dict[str, str] = {}
        self._scratch: Path | None = None
        self._records: list[StepRecord] = []
        self._running: str | None = None
        self._since = 0.0

    def forecast(self) -> list[StepForecast]:
        """What `run` would do. Reads the inputs and the cache; writes nothing."""
        self._read_inputs()
        return [self._forecast(planned) for planned in self._plan.steps]

    def execute(self) -> list[StepRecord]:
        """Run all steps.

        Raises:
            LingoLiteError: a step could not be done; those before it stay in the cache.
        """
        self._read_inputs()
        self._records = []
        with self._noticing_losses():
            for planned in self._plan.steps:
                self._enter(planned.step.id)
                self._records.append(self._execute(planned))
        self._running = None
        return self._records

    @contextmanager
    def _noticing_losses(self) -> Iterator[None]:
        """Tell of what vanished from the cache under a run: by another one that does it afresh, or by hand."""
        try:
            yield
        except FileNotFoundError as error:
            if error.filename is None or not Path(error.filename).is_relative_to(self._cache.root):
                raise
            raise LingoLiteError(
                f"{error.filename} is gone: it was removed from the cache, or replaced by another run",
                hint="run the same command again: what is still there is not done again",
            ) from error

    @contextmanager
    def scratch(self) -> Iterator[Runner]:
        """Where steps that are never cached write; it lives as long as the block."""
        with TemporaryDirectory(prefix="lingolite-") as name:
            self._scratch = Path(name)
            yield self

    def run(self, runs_directory: Path, *, history: HistoryStore) -> Outcome:
        """Run all steps, write `runs/NAME/ID/`, and keep how it ended in the history.

        Args:
            runs_directory: where the runs of all recipes are.
            history: where a run is kept, also one that fails or is interrupted. That it cannot be is a warning.

        Raises:
            LingoLiteError: as `execute`, after the reports that the recipe asks for were written of what was finished;
                or the runs' directory cannot be written, which is refused before any work.
        """
        before = time.perf_counter()
        draft = self._begin(runs_directory / self._plan.recipe.name)
        directory = runs_directory / draft.name / draft.id
        try:
            outcome = self._run(draft, before, directory)
        except BaseException as error:
            self._stopped(draft, error, before, directory, history)
            raise
        self._keep(outcome.manifest, directory, history)
        return outcome

    def _begin(self, directory: Path) -> RunManifest:
        """Name the run, once it is sure that it can be written in the end: its manifest before the first step."""
        for place in (directory, self._cache.root):
            check_writable(place)
        started = datetime.now(timezone.utc)
        name = new_run_name(directory, started)
        if name.behind is not None:
            self._console.warn(
                f"the clock says {started:%Y-%m-%d %H:%M} UTC, which is before run {name.behind}; "
                f"this one is called {name.id}, so that it comes after it"
            )
        recipe = self._plan.recipe
        return RunManifest(
            name=recipe.name,
            id=name.id,
            status="done",
            started=started.isoformat(timespec="seconds"),
            seconds=0.0,
            seed=recipe.seed,
            recipe_path=self._plan.path,
            recipe=msgspec.to_builtins(recipe),
            environment=describe_environment(threads=self._plan.threads),
            steps=[],
        )

    def _run(self, draft: RunManifest, before: float, directory: Path) -> Outcome:
        self._host.notify("lingolite_run_started", plan=self._plan)
        with self.scratch():
            records = self.execute()
            manifest = msgspec.structs.replace(draft, steps=records, seconds=time.perf_counter() - before)
            if any(verdict.breaks_run for _, verdict in manifest.verdicts):
                manifest = msgspec.structs.replace(manifest, status="broken budget")
            sweep_partial(directory.parent)
            reports: list[str] = []
            with self._noticing_losses(), atomic_directory(directory) as temporary:
                fill(temporary, manifest, self._workspace.finished)
                for step, choice in self._reporters():
                    self._enter(step)
                    reports += add_report(temporary, manifest, self._workspace.create(choice).report)
        self._host.notify("lingolite_run_finished", manifest=manifest)
        return Outcome(manifest=manifest, directory=directory, reports=[directory / name for name in reports])

    def _stopped(
        self, draft: RunManifest, error: BaseException, before: float, directory: Path, history: HistoryStore
    ) -> None:
        """Keep where and why a run ended before its end; of one that failed, write reports, too."""
        now = time.perf_counter()
        manifest = msgspec.structs.replace(
            draft,
            status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed",
            seconds=now - before,
            steps=[record for record in self._records if record.id != self._running],
            stop=_describe_stop(error, step=self._running, seconds=now - self._since if self._running else 0.0),
        )
        is_written = False
        try:
            is_written = isinstance(error, Exception) and self._report_stop(manifest, directory)
        finally:
            self._keep(manifest, directory if is_written else None, history)

    def _report_stop(self, manifest: RunManifest, directory: Path) -> bool:
        """Whether reports of what was finished were written: those that can be, if any step was begun.

        What goes wrong here is a warning, for the error that stopped the run is what must be told.
        """
        reporters = self._reporters()
        if not reporters or not (manifest.steps or self._running):
            return False
        written: list[str] = []
        try:
            with atomic_directory(directory) as temporary:
                fill(temporary, manifest, self._workspace.finished)
                for step, choice in reporters:
                    try:
                        written += add_report(temporary, manifest, self._workspace.create(choice).report)
                    except Exception as error:
                        self._console.warn(f"{step}: no report by {choice.loaded.spec.name} of the run: {error}")
        except Exception as error:
            self._console.warn(f"there is no report of this run: {error}")
            return False
        for name in written:
            self._console.note(f"report of what was finished: {os.path.relpath(directory / name)}")
        return True

    def _reporters(self) -> list[tuple[str, PluginChoice]]:
        """(step, reporter) of all `report` steps."""
        return [(planned.step.id, choice) for planned in self._plan.steps for choice in planned.reporters]

    def _enter(self, step: str) -> None:
        self._running, self._since = step, time.perf_counter()

    def _keep(self, manifest: RunManifest, directory: Path | None, history: HistoryStore) -> None:
        place = None if directory is None else place_of(directory, root=self._plan.root)
        try:
            history.add([entry_of_manifest(manifest, place)])
        except LingoLiteError as error:
            self._console.warn(f"this run is not in the history: {error.message}")

    def finished(self, step: str) -> CachedStep:
        """The outcome of a step that was run."""
        return self._workspace.finished[step]

    def _read_inputs(self) -> None:
        plan = self._plan
        for reference in (*plan.models, *plan.corpora, *plan.pairs, *plan.shortlists):
            self._digests[reference] = self._workspace.input_digest(reference)

    def _forecast(self, planned: PlannedStep) -> StepForecast:
        is_cached, why = self._status(planned)
        return StepForecast(
            id=planned.step.id, uses=planned.uses, summary=planned.summary, is_cached=is_cached, why=why
        )

    def _status(self, planned: PlannedStep) -> tuple[bool, str]:
        why = KINDS[planned.uses].not_cached
        if why is not None:
            return False, why
        description = describe_work(planned, self._plan, self._digests)
        if description is None:
            waits = [reference for reference in planned.inputs if reference not in self._digests]
            return False, f"`{waits[0]}` runs first"
        if not self._is_fresh:
            cached = self._cache.find(step_key(description))
            if cached is not None:
                self._finish(planned, cached)
                if planned.is_timed:
                    return False, "timings are always taken anew; the rest was done before"
                return True, "the same work was done before"
        last = self._cache.recall(self._plan.recipe.name, planned.step.id)
        return False, "asked to run afresh" if self._is_fresh else changes(last, description)

    def _execute(self, planned: PlannedStep) -> StepRecord:
        before = time.perf_counter()
        description = describe_work(planned, self._plan, self._digests)
        assert description is not None, "steps refer backwards only"
        key = step_key(description) if KINDS[planned.uses].not_cached is None else None
        found = self._cache.find(key) if key else None
        cached = None if self._is_fresh else found
        status: Literal["cached", "done"] = "cached" if cached and not planned.is_timed else "done"
        if status == "done":
            kind = "" if planned.step.id == planned.uses else f"{planned.uses}: "
            self._console.note(f"{planned.step.id}: {kind}{planned.summary}")
        if cached is None:
            cached = self._work(planned, key, instead_of=found)
        cached = self._judge(planned, cached)
        if key:
            self._cache.remember(self._plan.recipe.name, planned.step.id, description)
        self._finish(planned, cached)
        record = self._record(planned, cached, status, seconds=time.perf_counter() - before, key=key)
        self._console.note(describe_record(record))
        self._host.notify("lingolite_step_finished", record=record)
        return record

    def _work(self, planned: PlannedStep, key: str | None, *, instead_of: CachedStep | None) -> CachedStep:
        kind = KINDS[planned.uses]
        if key is not None:
            work = partial(kind.run, planned, self._workspace)
            return self._cache.store(key, work, instead_of=instead_of)
        assert self._scratch is not None, "outside `scratch`"
        directory = self._scratch / planned.step.id
        with explained(self._scratch):
            directory.mkdir()
            result = kind.run(planned, self._workspace, directory)
        return CachedStep(directory, Entry(result=result, files={}, digest=""))

    def _judge(self, planned: PlannedStep, cached: CachedStep) -> CachedStep:
        """The outcome with what is not kept with it: the verdicts of budgets."""
        judge = KINDS[planned.uses].judge
        if judge is None:
            return cached
        entry = msgspec.structs.replace(cached.entry, result=judge(planned, self._workspace, cached.entry.result))
        return msgspec.structs.replace(cached, entry=entry)

    def _finish(self, planned: PlannedStep, cached: CachedStep) -> None:
        self._workspace.finished[planned.step.id] = cached
        self._digests[planned.step.id] = self._workspace.input_digest(planned.step.id)

    def _record(
        self,
        planned: PlannedStep,
        cached: CachedStep,
        status: Literal["cached", "done"],
        *,
        seconds: float,
        key: str | None,
    ) -> StepRecord:
        return StepRecord(
            id=planned.step.id,
            uses=planned.uses,
            status=status,
            seconds=seconds,
            key=key,
            plugins=[
                PluginUse(
                    kind=choice.loaded.kind,
                    name=choice.loaded.spec.name,
                    distribution=choice.loaded.origin.distribution,
                    version=choice.loaded.origin.version,
                )
                for choice in planned.plugins
            ],
            inputs={reference: self._digests[reference] for reference in planned.inputs},
            result=with_places(planned.step.id, cached.entry.result, self._artifact_paths()),
        )

    def _artifact_paths(self) -> dict[str, str]:
        """Where each artifact lies, by digest: as the recipe has it, or inside the run's directory."""
        inputs = self._plan.recipe.inputs
        paths = {
            artifact.digest: str(inputs[reference.removeprefix("inputs.")]["bundle"])
            for reference, artifact in self._plan.models.items()
        }
        for name in self._workspace.finished:
            if self._workspace.finished[name].artifact_path is not None:
                paths.setdefault(self._digests[name], artifact_place(name))
        return paths


def _describe_stop(error: BaseException, *, step: str | None, seconds: float) -> Stop:
    """What ended a run, in the words of the error that the user sees."""
    message, hint = str(error), None
    if isinstance(error, LingoLiteError):
        message, hint = error.message, error.hint
    elif isinstance(error, Exception):
        message = f"{type(error).__name__}: {error}"
    return Stop(
        where=f"at `{step}`" if step else "while its files were written",
        step=step,
        seconds=seconds,
        error=type(error).__name__,
        message=message,
        hint=hint,
    )


def describe_record(record: StepRecord) -> str:
    """One line on a finished step."""
    state = "cached" if record.status == "cached" else f"{record.seconds:.1f} s"
    return f"{record.id}: {state}{describe_result(record.result)}"


def describe_result(result: StepResult) -> str:
    """The figures of a result, for the line on its step."""
    if result.made is not None:
        return f", {result.made.format}, {result.made.size_bytes / 1e6:.2f} MB"
    return "".join(f", {name} {score.value:.2f}" for name, score in result.scores.items())
