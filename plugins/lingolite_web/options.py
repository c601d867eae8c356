"""Options of the exporter, and the names of formats; cheap to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

FORMAT = "web"
ONNX = "onnx"
"""The format that a page is made of."""


class WebExportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a page is made with.

    Attributes:
        runtime: an installed `node_modules/onnxruntime-web` of the version that the plugin pins; None to install it
            with npm into a temporary directory.
        pairs: languages between which the page translates, such as `en:da,da:en`; None for the model's first pair.
        threads: threads of the runtime, for large models: those of small ones wait for each other. More than 1 need the
            headers COOP and COEP from the server; without them the page takes 1.
        sentences: a text file with the sentences of `golden.json`, one a line; None for LingoLite's own.
    """

    runtime: str | None = None
    pairs: str | None = None
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    sentences: str | None = None

    def __post_init__(self) -> None:
        if self.pairs is not None:
            for pair in self.pairs.split(","):
                if pair.count(":") != 1 or "" in pair.split(":"):
                    raise ValueError(f"pairs: expected languages such as en:da,da:en, not {self.pairs!r}")

    @property
    def language_pairs(self) -> tuple[tuple[str, str], ...]:
        """`pairs`, taken apart; empty where there are none."""
        if self.pairs is None:
            return ()
        found = (pair.split(":") for pair in self.pairs.split(","))
        return tuple(dict.fromkeys((source.strip(), target.strip()) for source, target in found))

    def files(self) -> list[Path]:
        """The sentences. The runtime's files are those of a pinned version, wherever they lie."""
        return [] if self.sentences is None else [Path(self.sentences)]


class ChromiumOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a page is run.

    Attributes:
        executable: Chromium's; None for the one on the path, or else the one that Playwright installed.
    """

    executable: str | None = None
