"""Measuring several systems against each other.

Owns the workers, the order of the rounds and the figures made of them. Systems take turns within each round, so
that a machine whose speed drifts does so for all of them, and ratios are taken pair by pair.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from statistics import median
from typing import Any

import msgspec

from lingolite_cli.benchmark.figures import BenchmarkRow, LengthBucket
from lingolite_cli.benchmark.protocol import Failed, Load, Loaded, Request, Response, Timed, Translate
from lingolite_cli.console import Progress
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import ExitCode, LingoLiteError

BUCKET_SENTENCES = 3
"""Sentences forced to each length: few, for the slowest system recomputes its prefix at every token."""


class System(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker shall load."""

    name: str
    load: Load


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What every system is given: the same sentences, in the same batches."""

    sources: list[str]
    languages: tuple[str, str]
    decoding: DecodingOptions
    batch_sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    rounds: int

    @property
    def num_turns(self) -> int:
        """How often each system is asked, warm-up not counted."""
        return self.rounds * (len(self.batch_sizes) + len(self.lengths))


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one system."""

    load_seconds: float
    peak_memory_mb: float | None
    rows: list[BenchmarkRow]


class WorkerProcess:
    """A worker, seen from the measuring process."""

    def __init__(self, system: System, process: subprocess.Popen[bytes]) -> None:
        self.system = system
        self._process = process

    def ask(self, request: Request) -> Response:
        """Send a request and wait for the answer.

        Raises:
            LingoLiteError: the worker could not do it, or died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:  # it is gone already
            line = b""
        if not line:
            code = self._process.wait()
            raise LingoLiteError(f"benchmark of {self.system.name}: its process died with exit code {code}")
        response: Response = msgspec.json.decode(line, type=Response)
        if isinstance(response, Failed):
            raise LingoLiteError(
                f"benchmark of {self.system.name}: {response.message}",
                hint=response.hint,
                exit_code=ExitCode(response.exit_code),
            )
        return response


@contextmanager
def start_worker(system: System) -> Iterator[WorkerProcess]:
    """A fresh process for one system; it ends with the block, however that ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lingolite_cli.benchmark.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(system.load.threads)},
    )
    try:
        yield WorkerProcess(system, process)
    finally:
        process.kill()
        process.communicate()


def measure(
    systems: Sequence[System], workload: Workload, *, progress: Progress
) -> tuple[list[Measured], list[LengthBucket]]:
    """Load all systems, warm each up, and let them take turns.

    Returns:
        What was seen of each system, in their order, and the runs of forced length.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(start_worker(system)) for system in systems]
        loads = [_loaded(worker.ask(worker.system.load)) for worker in workers]
        for worker in workers:
            _ask(worker, workload, workload.sources[:4], batch_size=1)
        by_batch = [
            _rounds(workers, workload, progress, sources=workload.sources, batch_size=size, length=None)
            for size in workload.batch_sizes
        ]
        by_length = [
            _rounds(
                workers, workload, progress, sources=workload.sources[:BUCKET_SENTENCES], batch_size=1, length=length
            )
            for length in workload.lengths
        ]
    measured = []
    for index, seconds in enumerate(loads):
        rows = [
            _row(size, len(workload.sources), timings[index])
            for size, timings in zip(workload.batch_sizes, by_batch, strict=True)
        ]
        peaks = [timed.peak_memory_mb for timings in by_batch for timed in timings[index]]
        known = [peak for peak in peaks if peak is not None]
        measured.append(Measured(load_seconds=seconds, peak_memory_mb=max(known, default=None), rows=rows))
    names = [system.name for system in systems]
    buckets = [
        bucket
        for length, timings in zip(workload.lengths, by_length, strict=True)
        for bucket in _buckets(length, names, timings)
    ]
    return measured, buckets


def _rounds(
    workers: Sequence[WorkerProcess],
    workload: Workload,
    progress: Progress,
    *,
    sources: list[str],
    batch_size: int,
    length: int | None,
) -> list[list[Timed]]:
    """[system][round]; every other round goes through the systems backwards."""
    timings: list[list[Timed]] = [[] for _ in workers]
    for turn in range(workload.rounds):
        order = range(len(workers)) if turn % 2 == 0 else reversed(range(len(workers)))
        for index in order:
            timings[index].append(_ask(workers[index], workload, sources, batch_size=batch_size, length=length))
            progress.advance()
    return timings


def _ask(
    worker: WorkerProcess, workload: Workload, sources: list[str], *, batch_size: int, length: int | None = None
) -> Timed:
    decoding = workload.decoding
    if length is not None:
        decoding = msgspec.structs.replace(decoding, min_length=length, max_length=length)
    response = worker.ask(
        Translate(sources=sources, languages=workload.languages, decoding=decoding, batch_size=batch_size)
    )
    assert isinstance(response, Timed)
    return response


def _loaded(response: Any) -> float:
    assert isinstance(response, Loaded)
    return response.seconds


def _row(batch_size: int, num_sentences: int, timings: Sequence[Timed]) -> BenchmarkRow:
    speeds = [timed.num_tokens / timed.seconds for timed in timings]
    # The median over the rounds of each sentence: a hiccup of the machine is in one round, a long sentence in all.
    latencies = sorted(median(values) for values in zip(*(timed.latencies_ms for timed in timings), strict=True))
    return BenchmarkRow(
        batch_size=batch_size,
        num_sentences=num_sentences,
        num_tokens=timings[0].num_tokens,
        tokens_per_second=median(speeds),
        spread=(max(speeds) - min(speeds)) / median(speeds),
        latency_p50_ms=_percentile(latencies, 0.50),
        latency_p95_ms=_percentile(latencies, 0.95),
    )


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of the values do not exceed (nearest rank)."""
    if not ordered:
        return None
    rank = -(-len(ordered) * share // 1)
    return ordered[max(int(rank) - 1, 0)]


def _buckets(length: int, names: Sequence[str], timings: Sequence[Sequence[Timed]]) -> list[LengthBucket]:
    buckets = []
    for name, own in zip(names, timings, strict=True):
        ratios = [first.seconds / timed.seconds for first, timed in zip(timings[0], own, strict=True)]
        milliseconds = median(timed.seconds for timed in own) * 1e3 / BUCKET_SENTENCES
        buckets.append(
            LengthBucket(
                num_tokens=length,
                system=name,
                milliseconds=milliseconds,
                ratio=median(ratios),
                low=min(ratios),
                high=max(ratios),
            )
        )
    return buckets
