"""What the measuring process and a worker say to each other: one JSON document a line."""

from __future__ import annotations

from typing import Any

import msgspec

from lingolite_cli.decoding.options import DecodingOptions


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Load(_Message, tag="load", frozen=True, kw_only=True):
    """Open an artifact with a backend; the first message."""

    artifact: str
    backend: str
    options: dict[str, Any]
    threads: int
    blocked: list[str]


class Translate(_Message, tag="translate", frozen=True, kw_only=True):
    """Translate and time. A batch size of 1 gives a latency for each sentence."""

    sources: list[str]
    languages: tuple[str, str]
    decoding: DecodingOptions
    batch_size: int


Request = Load | Translate


class Loaded(_Message, tag="loaded", frozen=True, kw_only=True):
    """`seconds` from before the engine's import to a backend that is ready."""

    seconds: float


class Timed(_Message, tag="timed", frozen=True, kw_only=True):
    """Seconds for all sentences, target tokens made, and milliseconds a sentence at batch size 1."""

    seconds: float
    num_tokens: int
    latencies_ms: list[float]
    peak_memory_mb: float | None


class Failed(_Message, tag="failed", frozen=True, kw_only=True):
    """What the worker could not do."""

    message: str
    hint: str | None
    exit_code: int


Response = Loaded | Timed | Failed
