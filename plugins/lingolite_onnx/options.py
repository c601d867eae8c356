"""Options of the ONNX exporter and backend; cheap to import."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lingolite_onnx.profiles import PROFILES

OPSET_VERSIONS = (18, 19, 20)


class OnnxExportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How graphs are written.

    Attributes:
        opset_version: version of the default `ai.onnx` operators, 18 to 20; the lowest runs on the most devices.
        max_seq_len: positions that source and target may have; None for the model's own. A smaller number makes
            smaller rotary tables. A larger one is refused: the model has never seen such positions.
        profile: `portable` for standard operators, which any runtime has; `optimized` for operators that only ONNX
            Runtime has, and only for the CPU: several times as fast.
        exact: in portable int8 graphs, compute what lies between integer products in float64, so that a sentence gets
            the same tokens on every runtime and in every batch; so it is unless told otherwise. False computes it in
            float32, which is faster in large batches and translates a few sentences in a hundred differently
            elsewhere. No matter to float graphs.
        optimize: also write portable graphs optimized for ONNX Runtime: `onnxruntime` by its own offline optimizer,
            `onnxruntime-tools` by the package of that name, which is no longer maintained.
        test: compare the graphs with an independent computation of the same weights, and fail beyond a tolerance.
    """

    opset_version: Annotated[int, Meta(ge=OPSET_VERSIONS[0], le=OPSET_VERSIONS[-1])] = 18
    max_seq_len: Annotated[int, Meta(ge=1)] | None = None
    profile: Literal["portable", "optimized"] = "portable"
    exact: bool | None = None
    optimize: Literal["none", "onnxruntime", "onnxruntime-tools"] = "none"
    test: bool = True

    def __post_init__(self) -> None:
        profile = PROFILES[self.profile]
        if self.exact and not profile.has_exact:
            raise ValueError(f'exact = true needs profile = "portable": the {profile.title} computes in float32')
        if self.optimize != "none" and not profile.has_offline_optimization:
            raise ValueError(f'optimize = "{self.optimize}" needs profile = "portable": it optimizes those graphs')


class OnnxBackendOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How graphs are run.

    Attributes:
        provider: ONNX Runtime's execution provider: `cpu`, `cuda`, `coreml`, …, or its full name.
        graph: of an artifact of the portable profile: `portable` for its standard operators, `optimized` for the graphs
            that the export option `optimize` wrote beside them.
        shortlist: let each sentence choose from the words of its vocabulary shortlist only, which is faster and may
            cost quality; for artifacts that were exported with one.
        cores: processors, counted from 0, one for each thread, that these stay on; the first is that of the thread that
            opens the backend. Without them the system moves threads about as it likes.
        huge_pages: on Linux 6.1 and later, move the memory that was taken since the backend was opened to huge pages
            once 1,024 tokens were translated, unless the system has turned them off. Faster, for up to a sixteenth
            more memory.
    """

    provider: str = "cpu"
    graph: Literal["portable", "optimized"] | None = None
    shortlist: bool = False
    cores: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    huge_pages: bool = True
