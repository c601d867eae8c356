"""A system to measure, and the process that runs it; the messages are `protocol`, the other end is `worker`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from lingolite_cli.benchmark.protocol import Load, Response
from lingolite_cli.workers.channel import Child

_MODULE = "lingolite_cli.benchmark.worker"


class System(msgspec.Struct, frozen=True, kw_only=True):
    """A backend with an artifact under a name, for a process of its own."""

    name: str
    load: Load


class WorkerProcess(Child):
    """The running worker process of one system."""

    def __init__(self, system: System) -> None:
        super().__init__(_MODULE, response=Response, what=f"benchmark of {system.name}", threads=system.load.threads)
        self.system = system


@contextmanager
def start_worker(system: System) -> Iterator[WorkerProcess]:
    """A fresh process for one system; it ends with the block, however that ends."""
    worker = WorkerProcess(system)
    try:
        yield worker
    finally:
        worker.close()
