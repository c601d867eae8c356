"""What the translating process and its workers say to each other."""

from __future__ import annotations

from typing import Any

import msgspec

from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.tokenization.description import DecodingIds
from lingolite_cli.workers.channel import Failed


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Open(_Message, tag="open", frozen=True, kw_only=True):
    """Open an artifact with a backend; the first message."""

    artifact: str
    backend: str
    options: dict[str, Any]
    threads: int
    blocked: list[str]


class Search(_Message, tag="search", frozen=True, kw_only=True):
    """Translate a batch: the ids of each framed source, without padding."""

    sources: list[list[int]]
    options: DecodingOptions
    ids: DecodingIds


Request = Open | Search


class Opened(_Message, tag="opened", frozen=True, kw_only=True):
    """What the backend says of this machine."""

    warnings: list[str]


class Found(_Message, tag="found", frozen=True, kw_only=True):
    """The hypotheses of each source, best first, and the peak memory of the worker's process so far."""

    hypotheses: list[list[Hypothesis]]
    peak_memory_mb: float | None


Response = Opened | Found | Failed
