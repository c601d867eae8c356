"""The messages between the measuring process and a worker."""

from __future__ import annotations

from typing import Any

import msgspec

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.workers.channel import Failed


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Load(_Message, tag="load", frozen=True, kw_only=True):
    """Open an artifact with a backend, in `workers` processes if there are several; the first message."""

    artifact: str
    backend: str
    options: dict[str, Any]
    threads: int
    blocked: list[str]
    workers: int = 1


class Translate(_Message, tag="translate", frozen=True, kw_only=True):
    """Translate and time. A batch size of 1 gives a latency for each sentence, unless several workers share them."""

    sources: list[str]
    languages: tuple[str, str]
    decoding: DecodingOptions
    batch_size: int


Request = Load | Translate


class BackendLoaded(_Message, tag="loaded", frozen=True, kw_only=True):
    """`seconds` from before the engine's import until the backend is ready."""

    seconds: float


class Timed(_Message, tag="timed", frozen=True, kw_only=True):
    """Seconds for all sentences, target tokens made, and milliseconds a sentence at batch size 1."""

    seconds: float
    num_tokens: int
    latencies_ms: list[float]
    peak_memory_mb: float | None


Response = BackendLoaded | Timed | Failed
