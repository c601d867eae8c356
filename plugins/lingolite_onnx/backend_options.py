"""Options of the ONNX backend; cheap to import. Which of them a profile has is decided by its runner."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class OnnxBackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How graphs are run.

    Attributes:
        provider: ONNX Runtime's execution provider: `cpu`, `cuda`, `coreml`, …, or its full name.
        graph: which graphs of a portable artifact to run: `portable`, or `optimized` or `ort` for those that the export
            options `optimize` and `ort` wrote beside them. Default: `portable`. The ORT profile has no such choice.
        shortlist: let each sentence choose from the candidate tokens of its vocabulary shortlist only, which is faster
            and may cost quality. The artifact must have been exported with a shortlist.
        cores: processors to pin threads to, counted from 0, one per thread. The first is for the thread that opens the
            backend. Default: the operating system schedules threads freely.
        huge_pages: on Linux 6.1 and newer, move the memory that was allocated since the backend was opened to huge
            pages after 1,024 target tokens, unless huge pages are disabled on the system. Faster, for up to 1/16 more
            memory.
    """

    provider: str = "cpu"
    graph: Literal["portable", "optimized", "ort"] | None = None
    shortlist: bool = False
    cores: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    huge_pages: bool = True
