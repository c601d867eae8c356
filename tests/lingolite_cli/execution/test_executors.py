"""Steps' work goes through an executor, and what it gives does not depend on where it was done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import contents

from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.execution.executor import Executor, T, Task
from lingolite_cli.execution.local import LocalExecutor
from lingolite_cli.execution.runner import Runner
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.recipe.cache import StepCache
from lingolite_cli.recipe.kinds import RecipeFile
from lingolite_cli.recipe.plan import make_plan
from lingolite_cli.schema import convert
from lingolite_cli.settings import find_project


class ElsewhereExecutor:
    """Does tasks in threads of its own, and counts them."""

    def __init__(self) -> None:
        self.directories: list[Path] = []

    def run(self, tasks: Iterable[Task[T]]) -> Iterator[T]:
        taken = list(tasks)
        self.directories += [task.directory for task in taken]
        with ThreadPoolExecutor() as threads:
            yield from threads.map(lambda task: task.work(task.directory), taken)


@pytest.fixture(params=[LocalExecutor, ElsewhereExecutor])
def executor(request: pytest.FixtureRequest) -> Executor:
    made: Executor = request.param()
    return made


def _tasks(root: Path, *works: Callable[[Path], T]) -> list[Task[T]]:
    tasks = [Task(root / str(number), work) for number, work in enumerate(works)]
    for task in tasks:
        task.directory.mkdir()
    return tasks


def _write(text: str) -> Callable[[Path], int]:
    return lambda directory: (directory / "text").write_text(text)


def test_outcomes_come_in_the_order_of_the_tasks_with_their_files(executor: Executor, tmp_path: Path) -> None:
    tasks = _tasks(tmp_path, *(_write("x" * size) for size in (3, 1, 2)))
    assert list(executor.run(tasks)) == [3, 1, 2]
    assert [(task.directory / "text").read_text() for task in tasks] == ["xxx", "x", "xx"]


def test_an_error_comes_out_as_it_is(executor: Executor, tmp_path: Path) -> None:
    error = LingoLiteError("no engine", hint="install one", exit_code=ExitCode.PLUGIN)

    def fail(directory: Path) -> int:
        raise error

    with pytest.raises(LingoLiteError) as caught:
        list(executor.run(_tasks(tmp_path, fail)))
    assert caught.value is error


def test_no_task_begins_after_one_that_failed(tmp_path: Path) -> None:
    def interrupt(directory: Path) -> int:
        raise KeyboardInterrupt

    tasks = _tasks(tmp_path, _write("a"), interrupt, _write("b"))
    outcomes = LocalExecutor().run(tasks)
    assert next(outcomes) == 1
    with pytest.raises(KeyboardInterrupt):
        next(outcomes)
    assert contents(tmp_path).keys() == {"0/text"}


STEPS = [
    {"id": "base", "uses": "evaluate", "backend": "cached", "metrics": ["bleu"], "max_samples": 3},
    {"id": "half", "uses": "quantize", "method": "fp16"},
    {"id": "report", "uses": "report", "reporters": ["markdown"]},
]


def _execute(project: Path, cache: Path, executor: Executor) -> list[tuple[str, str, str | None]]:
    """Status and key of each step, run through `executor`."""
    inputs = {"model": {"bundle": "model"}, "test": {"tsv": "test.tsv", "languages": ["en", "da"]}}
    recipe = convert({"name": "small", "inputs": inputs, "steps": STEPS}, RecipeFile, where="here")
    registry = load_registry()
    plan = make_plan(recipe, path="here", project=find_project(project), registry=registry)
    console = Console(quiet=True)
    runner = Runner(plan, cache=StepCache(cache), console=console, host=registry.host, executor=executor)
    with runner.scratch():
        return [(record.id, record.status, record.key) for record in runner.execute()]


def test_a_run_leaves_the_same_bytes_wherever_its_work_was_done(project: Path, tmp_path: Path) -> None:
    elsewhere = ElsewhereExecutor()
    here = _execute(project, tmp_path / "here", LocalExecutor())
    there = _execute(project, tmp_path / "there", elsewhere)
    assert here == there
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert len(elsewhere.directories) == len(STEPS)


def test_what_is_in_the_cache_is_given_to_no_executor(project: Path, tmp_path: Path) -> None:
    _execute(project, tmp_path / "cache", LocalExecutor())
    again = ElsewhereExecutor()
    records = _execute(project, tmp_path / "cache", again)
    assert [status for _, status, _ in records] == ["cached", "cached", "done"]
    assert [directory.name for directory in again.directories] == ["report"]
