"""Do graphs compute the model? What they gave on a sample, compared with the independent reference.

Owns the tolerances and the verdict, for every profile. Each profile's check runs its graphs.
"""

from __future__ import annotations

import msgspec
import numpy as np

from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.arrays import Array
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.weights.bundle import Weights
from lingolite_onnx.checks.samples import Recording, Replay, Sample
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.session.saturation import int8_is_exact

TOLERANCE = 1e-3
"""Largest difference of a logit, as a share of the largest logit without its bias."""

ROUNDING_TOLERANCE = 0.51
"""Largest distance of a quantized activation from its quotient: half a level, and what float sums may add."""


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
    largest = largest_product(weights, expected)
    if not (difference <= tolerance * largest and replay.largest_error <= rounding_tolerance):
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


def largest_product(weights: Weights, logits: Array) -> float:
    """The largest of logits [..., V] without their bias, which may be -30,000 for a token that is never generated: as a
    share of that, no difference would be too large."""
    projection = parts_of(weights.config).decoder.projection
    products = logits - weights.bias(projection.name) if projection.has_bias else logits
    return float(np.abs(products).max())


def _difference_hint(weights: Weights) -> str:
    probe = int8_is_exact(1)
    if weights.has_int8 and not probe.is_mended:
        return f"{probe.warning}. To export here anyway, set test = false"
    return "report this with the model's configuration; set test = false to write the graphs anyway"


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")
