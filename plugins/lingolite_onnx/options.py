"""Options of the ONNX exporter, and the name of its format; cheap to import."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lingolite_onnx.profiles import PROFILES

FORMAT = "onnx"
OPSET_VERSIONS = (18, 19, 20)


class OnnxExportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How graphs are written.

    Attributes:
        opset_version: version of the default `ai.onnx` operators, 18 to 20; the lowest runs on the most devices.
        max_seq_len: positions that source and target may have; None for the model's own. A smaller number makes
            smaller rotary tables. A larger one is refused: the model has never seen such positions.
        profile: which operators the graphs are made of. `portable`: standard operators, which every runtime has.
            `optimized`: the ORT profile, ONNX Runtime's own operators, for the CPU only; several times as fast.
        exact: compute everything between the integer products of portable int8 graphs in float64, so that a sentence
            gets the same tokens on every runtime and in every batch. Default: true. False computes it in float32,
            which is faster in large batches, but another runtime then translates a few sentences in a hundred
            differently. No effect on float graphs.
        optimize: offline graph optimization: also write the portable graphs as fused for ONNX Runtime. `onnxruntime`
            uses its own optimizer, `onnxruntime-tools` the package of that name, which is no longer maintained.
        ort: also write the portable graphs in ONNX Runtime's own format, with the list of operators for a custom build
            of it. Such a build is smaller; the files are larger.
        test: compare the graphs with an independent computation from the same weights, and fail beyond a tolerance.
    """

    opset_version: Annotated[int, Meta(ge=OPSET_VERSIONS[0], le=OPSET_VERSIONS[-1])] = 18
    max_seq_len: Annotated[int, Meta(ge=1)] | None = None
    profile: Literal["portable", "optimized"] = "portable"
    exact: bool | None = None
    optimize: Literal["none", "onnxruntime", "onnxruntime-tools"] = "none"
    # UNSET is not encoded: manifests of exports without it keep their bytes.
    ort: bool | msgspec.UnsetType = msgspec.UNSET
    test: bool = True

    def __post_init__(self) -> None:
        profile = PROFILES[self.profile]
        if self.exact and not profile.has_exact:
            raise ValueError(f'exact = true needs profile = "portable": the {profile.title} computes in float32')
        if self.optimize != "none" and not profile.has_offline_optimization:
            raise ValueError(f'optimize = "{self.optimize}" needs profile = "portable": it optimizes those graphs')
        if self.ort is True and not profile.has_ort_format:
            raise ValueError(
                f'ort = true needs profile = "portable": older runtimes lack operators of the {profile.title}'
            )
