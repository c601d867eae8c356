"""Workers on this machine: a process each, with a handler of its own.

Owns which worker gets which request, and what becomes of a request whose worker dies. How a process is asked is
`lingolite_cli.workers.channel`'s.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from queue import SimpleQueue

from lingolite_cli.plugins.executors import Answer, Work
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.workers.channel import Child, ChildDied
from lingolite_cli.workers.handling import Handle, Handled, HandlerResponse, Make
from lingolite_cli.workers.load import check_load

_MODULE = "lingolite_cli.workers.handler"
REQUESTS_PER_WORKER = 2
"""One that is worked on, and one that waits, so that a worker need not wait for this process."""


class LocalExecutor:
    """An `Executor` of processes on this machine.

    Args:
        work: what they do.
        options: none.
        num_workers: how many.

    Raises:
        LingoLiteError: there is not enough memory, or a handler cannot be made.
    """

    def __init__(self, work: Work, *, options: NoOptions, num_workers: int) -> None:
        size_bytes = sum(map(_size_bytes, work.artifacts.values()))
        check_load(threads=work.threads, workers=num_workers, size_bytes=size_bytes)
        self._threads = ThreadPoolExecutor(num_workers)
        self._most_requests = REQUESTS_PER_WORKER * num_workers
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker(work, number) for number in range(1, num_workers + 1)]
        try:
            for worker in self._workers:
                worker.start()
            list(self._threads.map(_Worker.make_handler, self._workers))
        except BaseException:
            self.close()
            raise
        for worker in self._workers:
            self._idle.put(worker)

    def answers(self, requests: Iterable[bytes]) -> Iterator[Answer]:
        """Let the processes answer `requests`."""
        waiting = enumerate(requests)
        under_way: set[Future[Answer]] = set()
        while True:
            while len(under_way) < self._most_requests and (found := next(waiting, None)) is not None:
                under_way.add(self._threads.submit(self._answer, *found))
            if not under_way:
                return
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()

    def close(self) -> None:
        """End all processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.end()
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.free()

    def _answer(self, position: int, request: bytes) -> Answer:
        worker = self._idle.get()
        try:
            return Answer(position=position, content=worker.ask(request))
        except ChildDied as error:
            return Answer(position=position, death=error.message)
        finally:
            self._idle.put(worker)


class _Worker:
    """The place of one process, which gets a successor when it dies. One thread at a time asks it."""

    def __init__(self, work: Work, number: int) -> None:
        self._work = work
        self._what = f"worker {number}"
        self._changing = threading.Lock()
        self._is_ended = False
        self._child: Child | None = None

    def start(self) -> None:
        """Make the process, in place of one that died.

        Raises:
            ChildDied: the executor is being closed.
        """
        with self._changing:
            if self._is_ended:
                raise ChildDied(f"{self._what}: it was ended")
            if self._child is not None:
                self._child.close()
            self._child = Child(_MODULE, response=HandlerResponse, what=self._what, threads=self._work.threads)

    def make_handler(self) -> None:
        """Let the process make its handler."""
        assert self._child is not None
        artifacts = {name: str(path.resolve()) for name, path in self._work.artifacts.items()}
        self._child.ask(Make(handler=self._work.handler, setup=self._work.setup, artifacts=artifacts))

    def ask(self, request: bytes) -> bytes:
        """The answer; asked once more, of a new process, if this one dies over it.

        Raises:
            ChildDied: the new one died as well.
        """
        try:
            return self._ask(request)
        except ChildDied:
            self._renew()
        try:
            return self._ask(request)
        except ChildDied:
            self._renew()
            raise

    def end(self) -> None:
        """End the process for good, whatever it is doing."""
        with self._changing:
            self._is_ended = True
            if self._child is not None:
                self._child.kill()

    def free(self) -> None:
        """Free the pipes of the process, when no thread waits for its answer any more."""
        if self._child is not None:
            self._child.close()

    def _ask(self, request: bytes) -> bytes:
        assert self._child is not None
        handled: Handled = self._child.ask(Handle(request=request))
        return handled.content

    def _renew(self) -> None:
        self.start()
        self.make_handler()


def _size_bytes(directory: Path) -> int:
    return sum((Path(place) / name).stat().st_size for place, _, names in os.walk(directory) for name in names)
