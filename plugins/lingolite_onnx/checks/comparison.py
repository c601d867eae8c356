"""Checks of exported graphs: that ONNX accepts them, that ONNX Runtime runs them, that they compute the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import onnx

from lingolite_cli.architecture.reference import Reference
from lingolite_cli.arrays import Array
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.portable_recording import Recording, Replay, Sample, record_portable
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.portable.runner import GRAPHS, PortableRunner
from lingolite_onnx.session.saturation import int8_is_exact

TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest logit."""

ROUNDING_TOLERANCE = 0.51
"""Largest distance of a quantized activation from its quotient: half a level, and what float sums may add."""


def check_models(paths: Sequence[Path]) -> None:
    """Hold portable graphs to ONNX's own checker, shapes included.

    Raises:
        LingoLiteError: it refuses one.
    """
    for path in paths:
        try:
            onnx.checker.check_model(str(path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise LingoLiteError(
                f"onnx {onnx.__version__} refuses {path.name}: {error}",
                hint="report this with the model's configuration",
                exit_code=ExitCode.PLUGIN,
            ) from error


def check_run(
    weights: Weights,
    directory: Path,
    graph: Literal["portable", "optimized"],
    *,
    max_seq_len: int,
    checked_by: tuple[str, ...],
    test: bool,
) -> GraphCheck:
    """Run a pair of portable graphs, or what an optimizer made of them, on random input, and compare it with the
    reference when `test` asks for that.

    Raises:
        LingoLiteError: the logits are not finite, or not those of the weights.
    """
    sample = Sample.random(weights.config.vocab_size, max_length=max_seq_len)
    require_finite_logits(_run(directory, graph, sample, max_seq_len), GRAPHS[graph][1])
    check = GraphCheck(graph=graph, checked_by=(*checked_by, "onnxruntime"))
    if not test:
        return check
    encoder, decoder = (directory / name for name in GRAPHS[graph])
    return compare_with_reference(weights, sample, record_portable(encoder, decoder, sample), check)


def _run(directory: Path, graph: str, sample: Sample, max_seq_len: int) -> Array:
    """[B, T, V] logits of the target, one token a step."""
    runner = PortableRunner(directory, graph, max_seq_len=max_seq_len, threads=1, entries=int8_is_exact(1).entries)
    state = runner.encode(sample.source_ids, sample.source_mask)
    columns = np.ascontiguousarray(sample.target_ids.T)
    logits = np.stack([runner.step(state, tokens) for tokens in columns], axis=1)
    runner.close()
    return logits


def require_finite_logits(logits: Array, name: str) -> None:
    """Raises LingoLiteError when a logit is infinite or no number."""
    if not np.isfinite(logits).all():
        raise LingoLiteError(
            f"{name} gives logits that are not finite",
            hint="look for infinite or missing weights in the bundle",
            exit_code=ExitCode.PLUGIN,
        )


def compare_with_reference(
    weights: Weights,
    sample: Sample,
    recording: Recording,
    check: GraphCheck,
    *,
    tolerance: float = TOLERANCE,
    rounding_tolerance: float = ROUNDING_TOLERANCE,
) -> GraphCheck:
    """`check` with what the reference makes of the weights, given the integers that graphs rounded to.

    Raises:
        LingoLiteError: a logit or an integer is not that of the weights.
    """
    replay = Replay(recording)
    reference = Reference(weights, replay, recording.blocks)
    encoded = reference.encode(sample.source_ids, sample.source_mask)
    expected = reference.decode(sample.target_ids, encoded, sample.source_mask)
    difference = float(np.abs(recording.logits - expected).max())
    largest = float(np.abs(expected).max())
    if difference > tolerance * largest or replay.largest_error > rounding_tolerance:
        raise LingoLiteError(
            f"the {check.graph} graphs do not compute the model: a logit is off by {difference:.3g}, where "
            f"{tolerance:g} of the largest logit, {largest:.3g}, is allowed; quantized activations are off by up to "
            f"{replay.largest_error:.3g} levels, where {rounding_tolerance:g} is allowed",
            hint=_difference_hint(weights),
            exit_code=ExitCode.PLUGIN,
        )
    return msgspec.structs.replace(
        check,
        checked_by=(*check.checked_by, "reference"),
        max_abs_difference=_two_digits(difference),
        max_abs_logit=_two_digits(largest),
        tolerance=tolerance,
    )


def _difference_hint(weights: Weights) -> str:
    probe = int8_is_exact(1)
    if weights.has_int8 and not probe.is_mended:
        return f"{probe.warning}. To export here all the same, set test = false"
    return "report this with the model's configuration; set test = false to write the graphs all the same"


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")
