"""Several workers as one backend: each is a process with its own engine, and batches go to idle ones.

Processes and not threads: between the steps of an engine the search runs in Python, and one interpreter runs one of
them at a time. Files of weights that engines map are in memory once all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.registry import Loaded
from lingolite_cli.workers.channel import Child, ChildDied
from lingolite_cli.workers.home_process import HomeProcess
from lingolite_cli.workers.load import check_load
from lingolite_cli.workers.memory import peak_memory_mb
from lingolite_cli.workers.protocol import Found, Open, Opened, Response, Search

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray
    from lingolite_cli.decoding.hypothesis import Hypothesis
    from lingolite_cli.decoding.options import DecodingOptions
    from lingolite_cli.tokenization.description import DecodingIds

CAPABILITIES = frozenset({"submit"})
_MODULE = "lingolite_cli.workers.worker"


class OpenedBackend(NamedTuple):
    """A backend, or a pool of them, and what it can do."""

    backend: Any
    capabilities: frozenset[str]


def open_backend(
    loaded: Loaded,
    artifact: Artifact,
    *,
    options: Mapping[str, Any],
    threads: int,
    workers: int,
    blocked: tuple[str, ...] = (),
) -> OpenedBackend:
    """Open `artifact` with a backend: in this process, or in `workers` processes if there are to be several.

    Args:
        loaded: the backend.
        artifact: what to run.
        options: the backend's.
        threads: of each worker.
        workers: how many; at least 1.
        blocked: plugins that workers must not load.

    Raises:
        LingoLiteError: the backend cannot run the artifact, or an option is wrong.
    """
    check_load(threads=threads, workers=workers, size_bytes=artifact.size_bytes)
    if workers == 1:
        return OpenedBackend(loaded.open(artifact, options=options, threads=threads), loaded.spec.capabilities)
    pool = open_pool(loaded, artifact, options=options, threads=threads, workers=workers, blocked=blocked)
    return OpenedBackend(pool, CAPABILITIES)


def open_pool(
    loaded: Loaded,
    artifact: Artifact,
    *,
    options: Mapping[str, Any],
    threads: int,
    workers: int,
    blocked: tuple[str, ...] = (),
) -> WorkerPool:
    """As `open_backend`, in other processes even where one worker is enough: an engine that crashes ends no more."""
    check_load(threads=threads, workers=workers, size_bytes=artifact.size_bytes)
    loaded.options(options)  # refused here, before processes are made
    engine = Open(
        artifact=str(artifact.path.resolve()),
        backend=loaded.spec.name,
        options=dict(options),
        threads=threads,
        blocked=list(blocked),
    )
    # Workers digest nothing, so that they start fast: this process knows what the files were that they have opened.
    return artifact.reading(lambda: WorkerPool(engine, num_workers=workers), undo=WorkerPool.close)


class WorkerPool:
    """Workers that search batches, one at a time each. Declares `submit`: batches are queued.

    Each has its next batch before it is done with one, so that it need not wait for this process, which has no
    processor to itself when there are as many workers as processors.

    Args:
        engine: what each of them opens.
        num_workers: how many.

    Attributes:
        num_workers: how many.
        warnings: what the backend says of this machine.

    Raises:
        LingoLiteError: a worker cannot open the engine.
    """

    def __init__(self, engine: Open, *, num_workers: int) -> None:
        self.num_workers = num_workers
        self._home = HomeProcess("a pool of workers")
        self._threads = ThreadPoolExecutor(2 * num_workers)
        self._choosing = threading.Lock()
        self._places: list[_Place] = []
        try:
            for number in range(1, num_workers + 1):
                self._places.append(_Place(engine, number=number))
            opened: list[Opened] = list(self._threads.map(_Place.open, self._places))
        except BaseException:
            self.close()
            raise
        self.warnings = tuple(opened[0].warnings)

    def submit(
        self, source_ids: IntArray, source_mask: BoolArray, options: DecodingOptions, ids: DecodingIds
    ) -> Future[list[list[Hypothesis]]]:
        """Queue a batch; see `lingolite_cli.decoding.search.search` for its result and the arguments.

        Raises:
            LingoLiteError: this is a fork of the process that made the pool, and has none of the pool's threads.
        """
        self._home.require()
        sources = [row[mask].tolist() for row, mask in zip(source_ids, source_mask, strict=True)]
        return self._threads.submit(self._search, Search(sources=sources, options=options, ids=ids))

    @property
    def peak_memory_mb(self) -> float | None:
        """Peak resident memory of this process and its workers together, in MB; what they share counts for each."""
        peaks = [peak_memory_mb(), *(place.peak_memory_mb for place in self._places if place.has_worked)]
        known = [peak for peak in peaks if peak is not None]
        return sum(known) if len(known) == len(peaks) else None

    def close(self) -> None:
        """End all workers, whatever they are doing, and forget what is queued."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for place in self._places:
            place.kill()
        self._threads.shutdown(wait=True)
        for place in self._places:
            place.close()

    def _search(self, request: Search) -> list[list[Hypothesis]]:
        with self._choosing:  # there are two threads a place, so that one has room
            place = min(self._places, key=_Place.burden)
            place.num_batches += 1
        try:
            return place.search(request)
        finally:
            with self._choosing:
                place.num_batches -= 1


class _Place:
    """The place of one worker, which gets another process when its own dies.

    Args:
        engine: what is opened.
        number: from 1; messages call it by that.

    Attributes:
        num_batches: those that are with it now, at most two.
        has_worked: whether any batch was searched here.
        peak_memory_mb: peak resident memory of its process in MB; None where the system does not tell.
    """

    def __init__(self, engine: Open, *, number: int) -> None:
        self._engine = engine
        self._number = number
        self._what = f"worker {number}"
        self.num_batches = 0
        self._replacing = threading.Lock()
        self._is_closed = False
        self._dead: list[Child] = []
        self.child = self._start()
        self.has_worked = False
        self.peak_memory_mb: float | None = None

    def burden(self) -> tuple[int, int]:
        """The place with the least has the next batch.

        Who is idle comes first. The longest batches come first too, so who began last is done first.
        """
        return self.num_batches, -self._number * self.num_batches

    def open(self) -> Opened:
        """Open the engine."""
        opened: Opened = self.child.ask(self._engine)
        return opened

    def search(self, request: Search) -> list[list[Hypothesis]]:
        """Search a batch; once more, in a new process, if this one dies over it.

        Raises:
            ChildDied: the new one died as well: it is the batch, or the machine.
        """
        child = self.child
        try:
            found: Found = child.ask(request)
        except ChildDied:
            found = self._successor(child).ask(request)
        self.has_worked, self.peak_memory_mb = True, found.peak_memory_mb
        return found.hypotheses

    def kill(self) -> None:
        """End the process for good, whatever it is doing."""
        with self._replacing:
            self._is_closed = True
            self.child.kill()

    def close(self) -> None:
        """Free what is left of it."""
        for child in (*self._dead, self.child):
            child.close()

    def _start(self) -> Child:
        return Child(_MODULE, response=Response, what=self._what, threads=self._engine.threads)

    def _successor(self, dead: Child) -> Child:
        """The process in place of `dead`: two batches may have been with it, and one of them comes first.

        Raises:
            ChildDied: the pool is being closed.
        """
        with self._replacing:
            if self._is_closed:
                raise ChildDied(f"{self._what}: it was ended")
            if self.child is dead:
                self._dead.append(dead)  # freed later: another thread may still be waiting for its answer
                self.child = self._start()
                self.open()
            return self.child
