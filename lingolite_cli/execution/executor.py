"""Where work is done: the protocol between the runner, which decides what is done, and what does it somewhere.

Owns the contract alone. An executor knows no recipe, cache or record; the executor of this machine is in `local`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Task(msgspec.Struct, Generic[T], frozen=True):
    """A piece of work.

    Attributes:
        directory: exists and is empty. What the work writes, it writes there.
        work: given that directory, does it.
    """

    directory: Path
    work: Callable[[Path], T]


class Executor(Protocol):
    """Does tasks.

    Wherever it does them, it guarantees:

    - Outcomes and files have the same bytes as if this process did the tasks one by one. No task sees another one's
      files or state.
    - Once it has given a task's outcome, all files of the task are in its directory, and nothing writes there any more.
    - What a task raises, the executor raises unchanged: an error keeps its hint and its exit code, and an interruption
      stays one. It then begins no further task.
    """

    def run(self, tasks: Iterable[Task[T]]) -> Iterator[T]:
        """The outcomes of tasks that do not depend on each other, in the order of the tasks."""
