"""What an exported artifact says of itself in its manifest's `details`.

Owns that part of the manifest. Values are those that artifacts have had from the start: the ORT profile is `optimized`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lingolite_cli.artifact import ArtifactDetails


class GraphCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was done with a pair of graphs before it was handed over.

    Attributes:
        graph: `portable`, `optimized` for what offline graph optimization made of these, or `ort` for ONNX Runtime's
            own format. In the ORT profile
            `optimized` is the decoder for few rows, `batch` the one for many rows, and `shortlist` a decoder over
            candidate tokens.
        checked_by: what passed, in order.
        max_abs_difference: largest difference of a logit from the independent computation, to two digits; None
            when that test was not asked for.
        max_abs_logit: largest logit of that computation, to two digits.
        tolerance: the difference allowed, as a share of the largest logit.
    """

    graph: Literal[
        "portable", "ort", "optimized", "optimized batch", "optimized shortlist", "optimized shortlist batch"
    ]
    checked_by: tuple[str, ...]
    max_abs_difference: float | None = None
    max_abs_logit: float | None = None
    tolerance: float | None = None


class OnnxExportDetails(ArtifactDetails, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exporter's part of the manifest; holds no time and no path.

    Attributes:
        opset_version: of the default `ai.onnx` operators.
        max_seq_len: positions that source and target may have.
        weights: the smallest dtype that matrices are stored in.
        activations: how activations meet quantized matrices: dynamically quantized per row, or per group where
            matrices are stored in groups, or with calibrated ranges.
        exact: everything between integer products is computed in float64.
        optimize: method of offline graph optimization, or `none`.
        graphs: names of the graphs' files.
        checks: what was done with them before they were handed over.
        onnx_version: of the package that wrote the graphs.
        onnxruntime_version: of the package that checked them.
        profile: name of a `lingolite_onnx.profiles.Profile`.
        shortlist: source and target language of the vocabulary shortlist, if there is one.
    """

    opset_version: int
    max_seq_len: int
    weights: Literal["float32", "float16", "bfloat16", "int8", "int4"]
    activations: Literal["float32", "by row", "by group", "calibrated"] = "float32"
    exact: bool
    optimize: str
    graphs: tuple[str, ...]
    checks: tuple[GraphCheck, ...]
    onnx_version: str
    onnxruntime_version: str
    profile: Literal["portable", "optimized"] = "portable"
    shortlist: tuple[str, str] | None = None
