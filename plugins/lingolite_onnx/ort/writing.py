"""Writing the graphs of the ORT profile.

Owns which graphs there are, over which weights, and what these operators cannot run; what the graphs compute is in
`lingolite_onnx.ort.graphs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.graph import WEIGHTS_FILE, WeightFile, write_model
from lingolite_onnx.ort.candidate_graphs import (
    build_candidate_rows,
    build_shortlist_batch_decoder,
    build_shortlist_decoder,
)
from lingolite_onnx.ort.graphs import (
    build_batch_decoder,
    build_ort_decoder,
    build_ort_encoder,
)
from lingolite_onnx.ort.interface import (
    BATCH_DECODER,
    CANDIDATE_LOOKUP,
    DECODER,
    ENCODER,
    SHORTLIST_BATCH_DECODER,
    SHORTLIST_DECODER,
)

if TYPE_CHECKING:
    from lingolite_onnx.profiles import GraphSettings

_HEAD_DIM_MULTIPLE, _ROTARY_HEAD_DIM_MULTIPLE = 8, 16


def write_ort_graphs(weights: Weights, directory: Path, settings: GraphSettings) -> tuple[str, ...]:
    """Write the graphs and `weights.bin`. Only int8 has decoders for many rows, for only int8 has two kinds of product.

    Returns:
        The names of the graphs.

    Raises:
        LingoLiteError: the heads have the wrong width.
    """
    _require_exportable(weights)
    builders = {ENCODER: build_ort_encoder, DECODER: build_ort_decoder}
    if weights.has_int8:
        builders[BATCH_DECODER] = build_batch_decoder
    if settings.has_shortlist:
        builders |= {CANDIDATE_LOOKUP: build_candidate_rows, SHORTLIST_DECODER: build_shortlist_decoder}
    if settings.has_shortlist and weights.has_int8:
        builders[SHORTLIST_BATCH_DECODER] = build_shortlist_batch_decoder
    weight_file = WeightFile(directory / WEIGHTS_FILE)
    for name, build in builders.items():
        graph = build(weights, weight_file, num_positions=settings.max_seq_len, opset_version=settings.opset_version)
        write_model(graph.model, directory / name)
    return tuple(builders)


def _require_exportable(weights: Weights) -> None:
    """Refuse what these operators cannot run.

    Raises:
        LingoLiteError: the heads have the wrong width.
    """
    config = weights.config
    multiple = _ROTARY_HEAD_DIM_MULTIPLE if parts_of(config).is_rotary else _HEAD_DIM_MULTIPLE
    if config.head_dim % multiple:
        raise LingoLiteError(
            f"the ORT profile cannot carry heads of {config.head_dim} dimensions: ONNX Runtime's "
            f"GroupQueryAttention requires a multiple of {multiple}",
            hint='export with profile = "portable"',
        )
