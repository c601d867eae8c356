"""Checks of the ORT profile's graphs: that ONNX Runtime runs them, and that they compute the model.

Owns the tolerances that `MatMulNBits` needs. The decoders over candidate tokens are checked in
`lingolite_onnx.checks.shortlist_graphs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.comparison import ROUNDING_TOLERANCE, TOLERANCE, compare_with_reference
from lingolite_onnx.checks.ort_recording import record_ort
from lingolite_onnx.checks.samples import Sample
from lingolite_onnx.checks.shortlist_graphs import check_shortlist_graphs, run_ort_decoder
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.ort.interface import BATCH_DECODER, DECODER, ENCODER

if TYPE_CHECKING:
    from lingolite_onnx.profiles import GraphSettings

_KERNEL_TOLERANCE = 1e-2
"""As `TOLERANCE`, for `MatMulNBits`, which rounds inside its kernel, where it cannot be recorded: an activation may be
one level away from what the replay assumes."""
_KERNEL_ROUNDING_TOLERANCE = 0.6
_GROUP_ROUNDING_TOLERANCE = 1.0
"""By groups there are more roundings, and levels are finer where a group has no large activation."""


def check_ort_graphs(weights: Weights, directory: Path, settings: GraphSettings) -> tuple[GraphCheck, ...]:
    """Run each decoder on random input, and compare it with the reference when `settings.test` asks for that.

    Raises:
        LingoLiteError: the logits are not finite, or not those of the weights.
    """
    sample = Sample.random(weights.config, max_length=settings.max_seq_len)
    run_ort_decoder(weights, directory, sample, max_seq_len=settings.max_seq_len)
    checks = [GraphCheck(graph="optimized", checked_by=("onnxruntime",))]
    if (directory / BATCH_DECODER).is_file():
        checks.append(GraphCheck(graph="optimized batch", checked_by=("onnxruntime",)))
    compared = tuple(_compare(weights, directory, sample, check) if settings.test else check for check in checks)
    if not settings.has_shortlist:
        return compared
    return *compared, *check_shortlist_graphs(weights, directory, sample, settings)


def _compare(weights: Weights, directory: Path, sample: Sample, check: GraphCheck) -> GraphCheck:
    is_batch = check.graph == "optimized batch"
    recording = record_ort(directory / ENCODER, directory / (BATCH_DECODER if is_batch else DECODER), sample)
    rounds_in_kernel = weights.has_groups or (weights.activations == "by row" and not is_batch)
    kernel_rounding_tolerance = _GROUP_ROUNDING_TOLERANCE if weights.has_groups else _KERNEL_ROUNDING_TOLERANCE
    return compare_with_reference(
        weights,
        sample,
        recording,
        check,
        tolerance=_KERNEL_TOLERANCE if rounds_in_kernel else TOLERANCE,
        rounding_tolerance=kernel_rounding_tolerance if rounds_in_kernel else ROUNDING_TOLERANCE,
    )
