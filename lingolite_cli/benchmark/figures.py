"""The figures of a benchmark."""

from __future__ import annotations

import msgspec


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


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


class LengthBucket(_Struct, frozen=True, kw_only=True):
    """Batch 1 with every hypothesis forced to `num_tokens` target tokens. `ratio` is to the first system, where
    above 1 is faster; `low` and `high` are over the paired rounds."""

    num_tokens: int
    system: str
    milliseconds: float
    ratio: float
    low: float
    high: float
