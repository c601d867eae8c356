"""How an engine computes with a bundle's numbers, as far as engines may differ: data that a backend declares.

Owns the struct. The reference (`lingolite_cli.architecture.reference`) computes by it, and limits on the question
whether a file is what was exported follow from it. Imports nothing heavy.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec


class ForcedScores(msgspec.Struct, frozen=True, kw_only=True):
    """How an engine without logits is asked for log-probabilities of given tokens (capability `score`).

    Attributes:
        options: options of the backend for it, such as a type of numbers that rounds less than the one in use.
        is_weight_only: with these options, int8 matrices are read as the floats that they stand for, and activations
            are not rounded.
        difference_max: largest mean absolute difference of a token's log-probability, in nats, that rounding explains.
    """

    options: dict[str, Any]
    is_weight_only: bool = False
    difference_max: float


FLOAT32_ERROR = 16 * 2.0**-24
"""`quotient_error` of engines that compute in float32: 16 units in the last place. A norm adds up to 1,024 terms in 10
roundings, pairwise; scales, a root, a division and the residual sum are the rest."""


class Arithmetic(msgspec.Struct, frozen=True, kw_only=True):
    """What makes the reference compute as an engine does, and what rounding is left between the two.

    The weights' integers and scales are the bundle's. Int8 matrices meet activations that are rounded by row, or by a
    calibrated range where the bundle has one; unless quantization is weight-only.

    Attributes:
        name: in words, for reports.
        blocks: by matrix, how many neighbours in a row of activations share a scale, where that is not the whole row;
            a matrix that is stored by groups meets rounded activations only if it is named here.
        is_weight_only: integers are read as the floats that they stand for, and no activations are rounded to integers.
        has_zero_points: each row of activations that meets an int8 matrix has a zero point as well as a scale.
        is_exact: norms, attention and SwiGLU are computed in float64 and rounded to float32.
        rounding: largest difference of the values of an operation that this engine's rounding explains, as a share of
            their root mean square. Each operation is compared on the engine's own inputs, so nothing adds up.
        kl_max: mean KL of a target token, in nats, that it explains end to end: roundings move activations by a level,
            and later layers amplify that.
        quotient_error: how far, as a share, an activation over its scale may lie from the reference's because sums in
            float32 were taken in another order; 0 where they are not in float32. Where that moves an activation across
            the middle between two levels, it is rounded otherwise. What it makes of a network is computed from the
            bundle, see `lingolite_cli.evaluation.rounding_noise`.
        parity_min: share of target tokens that rank first in both which it leaves, end to end. Near-ties are not
            counted as lost, see `near_tie`.
        options: options of the backend under which this arithmetic is compared; None for those that it was given.
        scores: how log-probabilities are asked for, where the engine gives no logits; None where it gives none either.
        excluded: parts of the artifact that are not compared, a line each.
    """

    name: str
    blocks: dict[str, int] = {}
    is_weight_only: bool = False
    has_zero_points: bool = False
    is_exact: bool = False
    rounding: float
    kl_max: float
    quotient_error: float = 0.0
    parity_min: float
    options: dict[str, Any] | None = None
    scores: ForcedScores | None = None
    excluded: tuple[str, ...] = ()

    @property
    def near_tie(self) -> float:
        """Lead of the reference's best token over another, in nats, below which the engine may rank that one first.

        If another token is best at KL(p ‖ q) = k, then the two differ in p by at most sqrt(2 k): Pinsker's inequality
        (Cover and Thomas 2006, lemma 11.6.1), where q gains on one token and loses on the other. A lead of m nats is a
        difference of less than m in p, so that this bound is the stricter one. It follows from what is declared, never
        from what is measured: a fault does not excuse itself.
        """
        return math.sqrt(2 * self.kl_max)
