"""The executor of this machine: this process does the tasks, one by one.

A step that uses several processes, for its `workers` or to measure each system alone, starts them itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lingolite_cli.execution.executor import T, Task


class LocalExecutor:
    """An `Executor`. It begins a task when the outcome of the one before was taken."""

    def run(self, tasks: Iterable[Task[T]]) -> Iterator[T]:
        """The outcomes, each when it is asked for."""
        for task in tasks:
            yield task.work(task.directory)
