"""Writing and checking the graphs of the optimized profile."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.artifact import SHORTLIST_NAME
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.comparison import ROUNDING_TOLERANCE, TOLERANCE, compare_with_reference
from lingolite_onnx.checks.ort_recording import record_ort
from lingolite_onnx.checks.portable_recording import Sample
from lingolite_onnx.checks.shortlist_graphs import check_words, run_decoder
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.graph import WEIGHTS_FILE, WeightFile, write_model
from lingolite_onnx.ort.runner import BATCH_DECODER, DECODER, ENCODER, SHORTLIST_BATCH_DECODER, SHORTLIST_DECODER, WORDS
from lingolite_onnx.ort.stacks import (
    build_batch_decoder,
    build_candidate_rows,
    build_ort_decoder,
    build_ort_encoder,
    build_shortlist_batch_decoder,
    build_shortlist_decoder,
)

_HEAD_DIM_MULTIPLE = 16

_KERNEL_TOLERANCE = 1e-2
"""As `TOLERANCE`, for `MatMulNBits`, which rounds where nobody can look: one activation may be a level away from what
the replay thinks."""
_KERNEL_ROUNDING_TOLERANCE = 0.6
_GROUP_ROUNDING_TOLERANCE = 1.0
"""By groups there are more roundings, and levels are finer where a group has no large activation."""


def require_exportable(weights: Weights) -> None:
    """Refuse what these operators cannot run.

    Raises:
        LingoLiteError: the heads have the wrong width, or activations have calibrated ranges.
    """
    config = weights.config
    if weights.activations == "calibrated":
        raise LingoLiteError(
            "the optimized profile cannot carry calibrated activation ranges: its kernels round as they go",
            hint='quantize with the method `dynamic-int8`, or export with profile = "portable"',
        )
    if config.head_dim % _HEAD_DIM_MULTIPLE:
        raise LingoLiteError(
            f"the optimized profile cannot carry heads of {config.head_dim} dimensions: ONNX Runtime's "
            f"GroupQueryAttention wants a multiple of {_HEAD_DIM_MULTIPLE}",
            hint='export with profile = "portable"',
        )


def write_graphs(weights: Weights, directory: Path, *, num_positions: int, opset_version: int) -> tuple[str, ...]:
    """Write the graphs and `weights.bin`, and return the graphs' names. Only int8 has decoders for many rows, and those
    over words are for a shortlist that lies in `directory`."""
    has_shortlist = (directory / SHORTLIST_NAME).is_file()
    builders = {ENCODER: build_ort_encoder, DECODER: build_ort_decoder}
    if weights.has_int8:
        builders[BATCH_DECODER] = build_batch_decoder
    if has_shortlist:
        builders |= {WORDS: build_candidate_rows, SHORTLIST_DECODER: build_shortlist_decoder}
    if has_shortlist and weights.has_int8:
        builders[SHORTLIST_BATCH_DECODER] = build_shortlist_batch_decoder
    weight_file = WeightFile(directory / WEIGHTS_FILE)
    for name, build in builders.items():
        model = build(weights, weight_file, num_positions=num_positions, opset_version=opset_version)
        write_model(model, directory / name)
    return tuple(builders)


def check_graphs(weights: Weights, directory: Path, *, max_seq_len: int, test: bool) -> tuple[GraphCheck, ...]:
    """Run each decoder on random input, and compare it with the reference when `test` asks for that.

    Raises:
        LingoLiteError: the logits are not finite, or not those of the weights.
    """
    sample = Sample.random(weights.config.vocab_size, max_length=max_seq_len)
    run_decoder(weights, directory, sample, max_seq_len=max_seq_len)
    checks = [GraphCheck(graph="optimized", checked_by=("onnxruntime",))]
    if (directory / BATCH_DECODER).is_file():
        checks.append(GraphCheck(graph="optimized batch", checked_by=("onnxruntime",)))
    compared = tuple(_compare(weights, directory, sample, check) if test else check for check in checks)
    if not (directory / SHORTLIST_NAME).is_file():
        return compared
    return *compared, *check_words(weights, directory, sample, max_seq_len=max_seq_len, test=test)


def _compare(weights: Weights, directory: Path, sample: Sample, check: GraphCheck) -> GraphCheck:
    is_batch = check.graph == "optimized batch"
    recording = record_ort(directory / ENCODER, directory / (BATCH_DECODER if is_batch else DECODER), sample)
    rounds_in_kernel = weights.has_groups or (weights.has_int8 and not is_batch)
    kernel_rounding_tolerance = _GROUP_ROUNDING_TOLERANCE if weights.has_groups else _KERNEL_ROUNDING_TOLERANCE
    return compare_with_reference(
        weights,
        sample,
        recording,
        check,
        tolerance=_KERNEL_TOLERANCE if rounds_in_kernel else TOLERANCE,
        rounding_tolerance=kernel_rounding_tolerance if rounds_in_kernel else ROUNDING_TOLERANCE,
    )
