"""Steps done ahead of runs: workers of an executor put into the cache what several runs, or one, will find there.

Owns which steps are done ahead and by whom. What times is not among them: it is done by the run itself, alone on its
machine. A run finds what was done in the cache, and does the rest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.execution.step import StepExecution
from lingolite_cli.files.scratch import scratch_directory
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.recipe.cache import StepCache, step_key
from lingolite_cli.recipe.keys import describe_work
from lingolite_cli.recipe.kinds import KINDS, RecipeFile
from lingolite_cli.recipe.plan import make_plan
from lingolite_cli.recipe.scope import Plan, PlannedStep
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.settings import find_project

if TYPE_CHECKING:
    from lingolite_cli.plugins.executors import Executor, Work

_MARK = "executor.mark"


class FillSetup(msgspec.Struct, frozen=True, kw_only=True):
    """Where workers find what they need: on disks that all machines share, at the same paths.

    Attributes:
        directory: in which the command was run.
        root: of the project.
        cache: of finished steps.
        mark: what a file in the cache says, so that a worker can tell that it sees the same one.
        blocked: plugins that are not loaded.
    """

    directory: str
    root: str
    cache: str
    mark: str
    blocked: tuple[str, ...] = ()


class FillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a recipe that is to be in the cache; those that it refers to are there already."""

    recipe: bytes
    path: str
    step: str


class FillAnswer(msgspec.Struct, frozen=True):
    """What went wrong with a step, if anything did: the run itself will meet it, and tell."""

    error: str | None = None


class StepFiller:
    """A `lingolite_cli.plugins.executors.Handler`: does a step and leaves it in the cache.

    Args:
        setup: a `FillSetup`, as msgpack.
        artifacts: none.

    Raises:
        LingoLiteError: this machine does not see the project or its cache.
    """

    def __init__(self, setup: bytes, artifacts: Mapping[str, Path]) -> None:
        decoded = msgspec.msgpack.decode(setup, type=FillSetup)
        self._cache = StepCache(Path(decoded.cache))
        mark = self._cache.root / _MARK
        if not mark.is_file() or mark.read_text(encoding="ascii") != decoded.mark:
            raise LingoLiteError(
                f"a worker does not see the cache at {decoded.cache}",
                hint="steps are handed over on disk: put project and cache where all machines have them at one path",
            )
        os.chdir(decoded.directory)
        self._project = find_project(Path(decoded.root))
        self._registry = load_registry(blocked=decoded.blocked)

    def __call__(self, request: bytes) -> bytes:
        """Do the step."""
        asked = msgspec.msgpack.decode(request, type=FillRequest)
        try:
            self._fill(asked)
        except LingoLiteError as error:
            return msgspec.msgpack.encode(FillAnswer(error.message))
        return msgspec.msgpack.encode(FillAnswer())

    def _fill(self, asked: FillRequest) -> None:
        recipe = msgspec.json.decode(asked.recipe, type=RecipeFile)
        plan = make_plan(recipe, path=asked.path, project=self._project, registry=self._registry)
        needed = _needed(plan, asked.step)
        plan = msgspec.structs.replace(plan, steps=tuple(step for step in plan.steps if step.step.id in needed))
        workspace = Workspace(plan, Console(quiet=True), cache=self._cache)
        workspace.read_inputs()
        steps = StepExecution(workspace, self._cache)
        for planned in plan.steps:
            steps.execute(planned)


def _needed(plan: Plan, step: str) -> set[str]:
    """A step and all that it refers to, directly or not."""
    by_id = {planned.step.id: planned for planned in plan.steps}
    found: set[str] = set()
    waiting = [step]
    while waiting:
        id = waiting.pop()
        if id in by_id and id not in found:
            found.add(id)
            waiting += by_id[id].inputs
    return found


def can_be_done_ahead(planned: PlannedStep) -> bool:
    """Whether the outcome of a step does not depend on when and beside what it is done."""
    return KINDS[planned.uses].not_cached is None and not planned.is_timed


def fill(
    plans: Sequence[Plan], cache: StepCache, *, start: Callable[[Work], Executor], root: Path, console: Console
) -> int:
    """Let workers do the steps of runs that are not in the cache yet; equal steps of several runs are done once.

    Args:
        plans: of the runs.
        cache: of the project, on a disk that workers see.
        start: starts an executor for a work.
        root: of the project.
        console: told of each step.

    Returns:
        How many steps were done.
    """
    from lingolite_cli.plugins.executors import Work

    workspaces = [Workspace(plan, Console(quiet=True), cache=cache) for plan in plans]
    for workspace in workspaces:
        workspace.read_inputs()
    tried: set[str] = set()
    due = _due(workspaces, cache, tried)
    if not due:
        return 0
    cache.root.mkdir(parents=True, exist_ok=True)
    with scratch_directory() as unique:
        mark = cache.root / _MARK
        mark.write_text(unique.name, encoding="ascii")
        setup = FillSetup(
            directory=os.getcwd(),
            root=str(root.resolve()),
            cache=str(cache.root.resolve()),
            mark=unique.name,
            blocked=plans[0].blocked,
        )
        threads = max(plan.threads for plan in plans)
        work = Work(handler=f"{__name__}:StepFiller", setup=msgspec.msgpack.encode(setup), threads=threads)
        executor = start(work)
        try:
            while due:
                _do(due, executor, console)
                tried |= due.keys()
                due = _due(workspaces, cache, tried)
        finally:
            executor.close()
            mark.unlink(missing_ok=True)
    return len(tried)


def _due(workspaces: Sequence[Workspace], cache: StepCache, tried: set[str]) -> dict[str, FillRequest]:
    """What can be done now, by key: steps that are not in the cache and refer only to what is."""
    due: dict[str, FillRequest] = {}
    for workspace in workspaces:
        for planned in _unfinished(workspace):
            description = describe_work(planned, workspace.plan, workspace.digests)
            if description is None or not can_be_done_ahead(planned):
                continue
            key = step_key(description)
            found = cache.find(key)
            if found is not None:
                workspace.finish(planned.step.id, found)
            elif key not in tried:
                recipe = msgspec.json.encode(workspace.plan.recipe)
                due.setdefault(key, FillRequest(recipe=recipe, path=workspace.plan.path, step=planned.step.id))
    return due


def _unfinished(workspace: Workspace) -> Iterator[PlannedStep]:
    return (planned for planned in workspace.plan.steps if planned.step.id not in workspace.finished)


def _do(due: Mapping[str, FillRequest], executor: Executor, console: Console) -> None:
    requests = list(due.values())
    for answer in executor.answers([msgspec.msgpack.encode(request) for request in requests]):
        step = requests[answer.position].step
        error = answer.death
        if answer.content is not None:
            error = msgspec.msgpack.decode(answer.content, type=FillAnswer).error
        console.note(f"{step}: done by a worker" if error is None else f"{step}: failed in a worker: {error}")
