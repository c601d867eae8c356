"""Options of the Core ML exporter and backends, and the name of their format; cheap to import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

FORMAT = "coreml"
ON_MAC_FORMAT = "coreml-on-mac"

Target: TypeAlias = Literal["ios16", "ios18"]
Compute: TypeAlias = Literal["float32", "float16"]
Cache: TypeAlias = Literal["state", "buffers"]
Shapes: TypeAlias = Literal["flexible", "fixed"]


class CoreMLExportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a program is written.

    Attributes:
        target: the oldest system that runs it. `ios18` (macOS 15): one package with the functions `encode` and
            `decode` over shared weights. `ios16` (macOS 13): a package for each, and no 4-bit integers.
        compute: type of activations. `float16` is what the Neural Engine and the GPU compute in; norms are scaled so
            that they cannot overflow.
        cache: what the decoder keeps between calls. `state`: Core ML's own state, which is float16 and needs iOS 18;
            `buffers`: inputs and outputs of a fixed size. Default: `state` where target and compute have it.
        shapes: of sources. `flexible`: as long as the source is, which Core ML computes on the CPU. `fixed`: padded to
            `max_seq_len`, as the Neural Engine wants it; choose that small.
        max_seq_len: positions that source and target may have. Default: the model's own.
        test: translate text with the written float16 program, and refuse a model whose values overflow.
        calibration: that text: a file of sentences, one a line, or a TSV corpus. Default: a few sentences.
    """

    target: Target = "ios18"
    compute: Compute = "float16"
    cache: Cache | None = None
    shapes: Shapes = "flexible"
    max_seq_len: Annotated[int, Meta(ge=1)] | None = None
    test: bool = True
    calibration: str | None = None

    def __post_init__(self) -> None:
        if self.cache == "state" and not _has_state(self):
            raise ValueError('cache = "state" needs target = "ios18" and compute = "float16": states are float16')

        if self.calibration is not None and not (self.test and self.compute == "float16"):
            raise ValueError('calibration is read with compute = "float16" and test = true only')

    def files(self) -> list[Path]:
        """The text that is read."""
        return [] if self.calibration is None else [Path(self.calibration)]

    @property
    def kept(self) -> Cache:
        """What the decoder keeps between calls."""
        return self.cache or ("state" if _has_state(self) else "buffers")


def _has_state(options: CoreMLExportOptions) -> bool:
    return options.target == "ios18" and options.compute == "float16"


class CoreMLBackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How Core ML runs a program.

    Attributes:
        compute_units: which processors it may use.
    """

    compute_units: Literal["all", "cpu", "cpu-and-gpu", "cpu-and-neural-engine"] = "all"


class OnMacOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is translated on the Mac.

    Attributes:
        sentences: a file of sentences, one a line, or a TSV corpus. Default: a few that test tokenizers.
    """

    sentences: str | None = None

    def files(self) -> list[Path]:
        """The text that is read."""
        return [] if self.sentences is None else [Path(self.sentences)]


class RecordedOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the translations are.

    Attributes:
        result: the file that `run_on_mac.py` wrote.
    """

    result: str

    def files(self) -> list[Path]:
        """The result."""
        return [Path(self.result)]
