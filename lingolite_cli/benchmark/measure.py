"""Measuring several systems against each other.

Owns the order of the turns and the figures made of them. Systems take turns within each round, so that a machine whose
speed drifts does so for all of them, and ratios are taken pair by pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from statistics import median

import msgspec

from lingolite_cli.benchmark.figures import BenchmarkRow, LengthBucket, paired_ratio, percentile, quantiles, spread
from lingolite_cli.benchmark.process import System, WorkerProcess, start_worker
from lingolite_cli.benchmark.protocol import BackendLoaded, Timed, Translate
from lingolite_cli.console import Progress
from lingolite_cli.decoding.options import DecodingOptions

BUCKET_SENTENCES = 3
"""Sentences forced to each length at batch 1: few, because the slowest system recomputes its prefix at every token."""


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """What every system is given: the same sentences, in the same batches.

    Attributes:
        sources: the sentences.
        languages: source and target language.
        decoding: how they are translated, forced lengths and first tokens excepted.
        batch_sizes: sentences in a batch.
        lengths: target tokens to force.
        length_batch_sizes: sentences in a batch of forced lengths.
        rounds: how often each system has its turn.
        cold_starts: how often a fresh process is timed up to its first translation.
    """

    sources: list[str]
    languages: tuple[str, str]
    decoding: DecodingOptions
    batch_sizes: tuple[int, ...]
    lengths: tuple[int, ...]
    rounds: int
    length_batch_sizes: tuple[int, ...] = (1,)
    cold_starts: int = 1

    @property
    def num_turns(self) -> int:
        """How often each system is asked, starts and warm-up not counted."""
        return self.rounds * (1 + len(self.batch_sizes) + len(self.lengths) * len(self.length_batch_sizes))


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one system.

    `first_token_ms` is the median over the sentences, at batch 1 with `max_length` 1: the source is read and one token
    is made. None where workers share the sentences, as there are no latencies then.
    """

    load_seconds: float
    cold_start_seconds: float
    first_token_ms: float | None
    peak_memory_mb: float | None
    rows: list[BenchmarkRow]


class _Start(msgspec.Struct, frozen=True):
    """Seconds of one start: of loading, and from the new process to its first translation."""

    load_seconds: float
    cold_start_seconds: float


def measure(
    systems: Sequence[System], workload: Workload, *, progress: Progress
) -> tuple[list[Measured], list[LengthBucket]]:
    """Start all systems, one after the other, warm each up, and let them take turns.

    Returns:
        What was seen of each system, in their order, and the runs of forced length.
    """
    progress.begin("starts", total=workload.cold_starts * len(systems))
    starts: list[list[_Start]] = [[] for _ in systems]
    for system, seen in zip(systems, starts, strict=True):
        for _ in range(workload.cold_starts - 1):
            seen.append(_start_and_end(system, workload))
            progress.advance()
    with ExitStack() as stack:
        workers = []
        for system, seen in zip(systems, starts, strict=True):
            workers.append(stack.enter_context(start_worker(system)))
            seen.append(_start(workers[-1], workload))
            progress.advance()
        for worker in workers:
            _ask(worker, _request(workload, workload.sources[:4], batch_size=1))
        requests = _Requests(workload)
        turns = _Turns(workers, workload.rounds, progress)
        progress.begin("turns", total=workload.num_turns * len(systems))
        progress.weigh(workload.rounds * len(systems) * sum(map(_num_words, requests.all)))
        first_tokens = turns.take(requests.first_tokens)
        by_batch = [turns.take(request) for request in requests.by_batch]
        by_length = {key: turns.take(request) for key, request in requests.by_length.items()}
    measured = [
        Measured(
            load_seconds=median(start.load_seconds for start in seen),
            cold_start_seconds=median(start.cold_start_seconds for start in seen),
            first_token_ms=_median(_latencies_ms(first_tokens[index])),
            peak_memory_mb=_peak_memory_mb([*(timings[index] for timings in by_batch), first_tokens[index]]),
            rows=[
                _row(size, len(workload.sources), timings[0], timings[index])
                for size, timings in zip(workload.batch_sizes, by_batch, strict=True)
            ],
        )
        for index, seen in enumerate(starts)
    ]
    names = [system.name for system in systems]
    buckets = [
        bucket for (size, length), timings in by_length.items() for bucket in _buckets(size, length, names, timings)
    ]
    return measured, buckets


class _Requests:
    """All requests of a workload: one token a sentence, free lengths by batch size, and forced lengths."""

    def __init__(self, workload: Workload) -> None:
        self.first_tokens = _request(workload, workload.sources, batch_size=1, most_tokens=1)
        self.by_batch = [_request(workload, workload.sources, batch_size=size) for size in workload.batch_sizes]
        self.by_length = {
            (size, length): _request(workload, _forced_sources(workload, size), batch_size=size, length=length)
            for size in workload.length_batch_sizes
            for length in workload.lengths
        }

    @property
    def all(self) -> list[Translate]:
        """Each once, in the order of the turns."""
        return [self.first_tokens, *self.by_batch, *self.by_length.values()]


def _num_words(request: Translate) -> int:
    """Words that are read and made, where a translation is as long as its source: what tokens are in proportion to."""
    decoding = request.decoding
    read = [len(source.split()) for source in request.sources]
    return sum(read) + sum(min(max(words, decoding.min_length), decoding.max_length) for words in read)


class _Turns:
    """Sends the same request to all systems, round by round."""

    def __init__(self, workers: Sequence[WorkerProcess], rounds: int, progress: Progress) -> None:
        self._workers = workers
        self._rounds = rounds
        self._progress = progress

    def take(self, request: Translate) -> list[list[Timed]]:
        """[system][round]; every other round goes through the systems backwards."""
        timings: list[list[Timed]] = [[] for _ in self._workers]
        for turn in range(self._rounds):
            order = range(len(self._workers)) if turn % 2 == 0 else reversed(range(len(self._workers)))
            for index in order:
                timings[index].append(_ask(self._workers[index], request))
                self._progress.advance(work=_num_words(request))
        return timings


def _start_and_end(system: System, workload: Workload) -> _Start:
    with start_worker(system) as worker:
        return _start(worker, workload)


def _start(worker: WorkerProcess, workload: Workload) -> _Start:
    """Load, and translate one sentence."""
    loaded = worker.ask(worker.system.load)
    assert isinstance(loaded, BackendLoaded)
    _ask(worker, _request(workload, workload.sources[:1], batch_size=1))
    return _Start(loaded.seconds, worker.age_seconds)


def _request(
    workload: Workload,
    sources: list[str],
    *,
    batch_size: int,
    length: int | None = None,
    most_tokens: int | None = None,
) -> Translate:
    decoding = workload.decoding
    if length is not None:
        decoding = msgspec.structs.replace(decoding, min_length=length, max_length=length)
    elif most_tokens is not None:
        decoding = msgspec.structs.replace(decoding, min_length=0, max_length=most_tokens)
    return Translate(sources=sources, languages=workload.languages, decoding=decoding, batch_size=batch_size)


def _forced_sources(workload: Workload, batch_size: int) -> list[str]:
    """A few sentences, or one batch, repeated where there are not so many."""
    return list(islice(cycle(workload.sources), _num_forced(batch_size)))


def _num_forced(batch_size: int) -> int:
    return BUCKET_SENTENCES if batch_size == 1 else batch_size


def _ask(worker: WorkerProcess, request: Translate) -> Timed:
    response = worker.ask(request)
    assert isinstance(response, Timed)
    return response


def _peak_memory_mb(timings: Sequence[Sequence[Timed]]) -> float | None:
    known = [timed.peak_memory_mb for own in timings for timed in own if timed.peak_memory_mb is not None]
    return max(known, default=None)


def _row(batch_size: int, num_sentences: int, first: Sequence[Timed], own: Sequence[Timed]) -> BenchmarkRow:
    speeds = [timed.num_tokens / timed.seconds for timed in own]
    latencies = _latencies_ms(own)
    medians = [found for timed in own if (found := percentile(sorted(timed.latencies_ms), 0.50)) is not None]
    return BenchmarkRow(
        batch_size=batch_size,
        num_sentences=num_sentences,
        num_tokens=own[0].num_tokens,
        tokens_per_second=median(speeds),
        spread=spread(speeds),
        latency_p50_ms=percentile(latencies, 0.50),
        latency_p95_ms=percentile(latencies, 0.95),
        latency_p99_ms=percentile(latencies, 0.99),
        latency_p50_low_ms=min(medians, default=None),
        latency_p50_high_ms=max(medians, default=None),
        latency_quantiles_ms=quantiles(latencies),
        ratio=paired_ratio(speeds if own is first else [timed.num_tokens / timed.seconds for timed in first], speeds),
    )


def _latencies_ms(timings: Sequence[Timed]) -> list[float]:
    """One a sentence, ascending; none at larger batches.

    Each is the median of one sentence over the rounds: a disturbance is in one round, a long sentence in all.
    """
    return sorted(median(values) for values in zip(*(timed.latencies_ms for timed in timings), strict=True))


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _buckets(
    batch_size: int, length: int, names: Sequence[str], timings: Sequence[Sequence[Timed]]
) -> list[LengthBucket]:
    num_sentences = _num_forced(batch_size)
    speeds = [[1 / timed.seconds for timed in own] for own in timings]
    buckets = []
    for name, own, seen in zip(names, speeds, timings, strict=True):
        ratio = paired_ratio(speeds[0], own)
        buckets.append(
            LengthBucket(
                num_tokens=length,
                system=name,
                milliseconds=median(timed.seconds for timed in seen) * 1e3 / num_sentences,
                ratio=ratio.median,
                low=ratio.low,
                high=ratio.high,
                batch_size=batch_size,
                is_noisy=ratio.is_noisy,
            )
        )
    return buckets
