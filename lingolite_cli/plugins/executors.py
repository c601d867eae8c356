"""What executors must be able to do, and the work that they are handed.

The work is data, so that it can be sent to another machine. Interfaces of other kinds of plugin are in `interfaces`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What the workers of an executor do, as data, so that it can be sent to another machine.

    Attributes:
        handler: "package.module:Class" of a `Handler`. Each worker makes one, in a process of its own.
        setup: for the handler, in an encoding of its own.
        artifacts: directories that handlers read, by a name of the handler's own.
        threads: that a handler keeps busy.
    """

    handler: str
    setup: bytes
    artifacts: dict[str, Path] = {}
    threads: int = 1


class Handler(Protocol):
    """Answers requests. Made by `factory(setup, artifacts)`, where `artifacts` leads to copies on its machine.

    An answer depends on the request and on nothing that was asked before, so that it does not matter which worker
    gives it.
    """

    def __call__(self, request: bytes) -> bytes:
        """The answer to one request."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request.

    Attributes:
        position: of the request, from 0.
        content: the handler's answer; None where the request ended two workers.
        death: how the second of these workers ended; None otherwise.
    """

    position: int
    content: bytes | None = None
    death: str | None = None


class Executor(Protocol):
    """Lets workers do shards of work. Made by `factory(work, options=OPTIONS, num_workers=N)`, which starts them.

    Wherever they are, it guarantees:

    - Each request is answered exactly once, with the bytes that a handler in this process would give.
    - Requests are taken as workers need them: at most two for each worker are taken and not answered yet.
    - A request whose worker ends before it answers is given to a new one. Where that ends as well, the `Answer` says
      so, and the other requests go on.
    - What a handler raises, `answers` raises: an error keeps its message, hint and exit code. A handler that cannot be
      made is told by the factory, or by the first answer.
    """

    def answers(self, requests: Iterable[bytes]) -> Iterator[Answer]:
        """Let workers answer `requests`, and give each answer as soon as it is there, in whatever order."""

    def close(self) -> None:
        """End the workers, whatever they are doing. The executor is not used again."""
