"""The figures of a benchmark, and how they are made of what the clock said.

Cheap to import, for run records and reports. Figures that later versions added have defaults, so that older manifests
can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec

NOISY_WIDTH = 0.25
"""A ratio is noisy if its range over the rounds is wider than this share of the median."""


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Ratio(_Struct, frozen=True, kw_only=True):
    """How many times as fast as the first system, above 1 is faster: median and range over the paired rounds.

    `is_noisy` says that the range is too wide for a conclusion: a quarter of the median. The first system has no ratio
    to itself; there it refers to its speed.
    """

    median: float
    low: float
    high: float
    is_noisy: bool


class BenchmarkRow(_Struct, frozen=True, kw_only=True):
    """Speed at one batch size (sentences) over the same sentences for every system. Latency is that of one
    batch-of-one translation, so it is None at larger batches."""

    batch_size: int
    num_sentences: int
    num_tokens: int
    tokens_per_second: float
    spread: float
    """(largest − smallest) / median over the rounds, of tokens_per_second."""
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None
    latency_p50_low_ms: float | None = None
    """The smallest of the rounds' own medians."""
    latency_p50_high_ms: float | None = None
    """The largest of them."""
    latency_quantiles_ms: list[float] = []
    """At equal shares of the sentences, from the fastest (0 %) to the slowest (100 %), such as every 5 %."""
    ratio: Ratio | None = None


class LengthBucket(_Struct, frozen=True, kw_only=True):
    """One batch with every hypothesis forced to `num_tokens` target tokens. `milliseconds` are those of a sentence,
    `ratio` is to the first system, where above 1 is faster; `low` and `high` are over the paired rounds."""

    num_tokens: int
    system: str
    milliseconds: float
    ratio: float
    low: float
    high: float
    batch_size: int = 1
    is_noisy: bool = False


class Round(_Struct, frozen=True, kw_only=True):
    """The figures of one system in one round of its own process.

    `first_token_ms` is the median over the sentences, latencies are percentiles over them, one sentence at a time.
    `peak_memory_mb` is None where the system does not tell.
    """

    load_seconds: float
    cold_start_seconds: float
    first_token_ms: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    tokens_per_second: float
    peak_memory_mb: float | None


class RoundClock(_Struct, frozen=True, kw_only=True):
    """What the clock said in one round, from which its figures are made; it is not recorded.

    Attributes:
        load_seconds: from before the engine's import until the backend is ready.
        cold_start_seconds: from process creation to the first translation.
        first_token_latencies_ms: of each sentence alone, stopped after one token.
        latencies_ms: of each sentence alone.
        num_tokens: target tokens of all sentences, translated in batches.
        seconds: that this took.
        peak_memory_mb: of the process; None where the system does not tell.
    """

    load_seconds: float
    cold_start_seconds: float
    first_token_latencies_ms: list[float]
    latencies_ms: list[float]
    num_tokens: int
    seconds: float
    peak_memory_mb: float | None

    def figures(self) -> Round:
        """The figures of the round, of one sentence or more."""
        latencies = sorted(self.latencies_ms)
        return Round(
            load_seconds=self.load_seconds,
            cold_start_seconds=self.cold_start_seconds,
            first_token_ms=median(self.first_token_latencies_ms),
            latency_p50_ms=nearest_rank(latencies, 0.50),
            latency_p95_ms=nearest_rank(latencies, 0.95),
            latency_p99_ms=nearest_rank(latencies, 0.99),
            tokens_per_second=self.num_tokens / self.seconds,
            peak_memory_mb=self.peak_memory_mb,
        )


class TimedSystem(_Struct, frozen=True, kw_only=True):
    """A system and its rounds, in the order in which they were taken."""

    name: str
    rounds: list[Round]


class Timing(_Struct, frozen=True, kw_only=True):
    """What budgets on time and memory were judged on: rounds in which the systems took turns.

    `systems` has the one that is judged last, and before it the one that ratios are to, if there were ratios.
    `tokens_per_second` are those of batches of `batch_size` sentences. `machine` is where the rounds were taken, if not
    here.
    """

    num_sentences: int
    batch_size: int
    threads: int
    systems: list[TimedSystem]
    machine: str | None = None


class RecordedTiming(_Struct, frozen=True, kw_only=True):
    """Rounds that were taken on another machine, one sentence at a time: what it was, and sentences of a round."""

    machine: str
    num_sentences: int
    rounds: list[Round]


def paired_ratio(first: Sequence[float], own: Sequence[float]) -> Ratio:
    """The ratio of two systems' speeds, round by round.

    Args:
        first: speeds of the first system, one a round.
        own: those of the other, or the same again for the first itself.
    """
    ratios = [mine / theirs for mine, theirs in zip(own, first, strict=True)]
    return Ratio(
        median=median(ratios),
        low=min(ratios),
        high=max(ratios),
        is_noisy=spread(own if own is first else ratios) > NOISY_WIDTH,
    )


def spread(values: Sequence[float]) -> float:
    """(largest − smallest) / median."""
    return (max(values) - min(values)) / median(values)


def quantiles(ordered: Sequence[float]) -> list[float]:
    """Quantiles of the ascending values at 0, 5, …, 100 %, by nearest rank; empty for no values."""
    found = (percentile(ordered, step / 20) for step in range(21))
    return [value for value in found if value is not None]


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """As `nearest_rank`; None of no values."""
    return nearest_rank(ordered, share) if ordered else None


def nearest_rank(ordered: Sequence[float], share: float) -> float:
    """The smallest of the ascending values that at least `share` of them do not exceed, of one value or more."""
    rank = -(-len(ordered) * share // 1)  # rounded up: -(-x // 1) is the ceiling of x
    return ordered[max(int(rank) - 1, 0)]
