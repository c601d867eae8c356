"""Writing the files of the portable profile.

Owns which graphs there are and where their weights go; what they compute is in `lingolite_onnx.portable.graphs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.graph import WEIGHTS_FILE, WeightFile, write_model
from lingolite_onnx.portable.graphs import build_portable_decoder, build_portable_encoder
from lingolite_onnx.portable.interface import GRAPHS
from lingolite_onnx.portable.offline_optimization import optimize

if TYPE_CHECKING:
    from lingolite_onnx.profiles import GraphSettings


def write_portable_graphs(weights: Weights, directory: Path, settings: GraphSettings) -> tuple[str, ...]:
    """Write `encoder.onnx`, `decoder.onnx` and `weights.bin`, and what `settings` asks for besides: the graphs as
    offline graph optimization or ONNX Runtime's own format has them.

    Returns:
        The names of the graphs.

    Raises:
        LingoLiteError: a matrix cannot be carried, or the optimizer is missing or fails.
    """
    weight_file = WeightFile(directory / WEIGHTS_FILE)
    for name, build in zip(GRAPHS["portable"], (build_portable_encoder, build_portable_decoder), strict=True):
        graph = build(
            weights,
            weight_file,
            num_positions=settings.max_seq_len,
            opset_version=settings.opset_version,
            is_exact=settings.is_exact,
        )
        write_model(graph.model, directory / name)
    written: tuple[str, ...] = GRAPHS["portable"]
    if settings.optimize != "none":
        optimize(directory, settings.optimize, config=weights.config)
        written += GRAPHS["optimized"]
    if settings.ort:
        # ONNX Runtime's converter imports PyTorch where that is installed, which takes a second.
        from lingolite_onnx.portable.ort_format import convert_to_ort

        convert_to_ort(directory)
        written += GRAPHS["ort"]
    return written
