"""How far apart two right computations of one int8 network come out: what last bits of float32 make of its logits.

An activation that lies in the middle between two levels is rounded to one or the other, depending on the order in which
an engine adds up a norm before it. Each such level moves what follows, and more activations with it. How far that goes
is a property of the network: on the starter it is a tenth of what int8 costs, on a student with logits of 50 as much as
int8 costs. So it is computed from the bundle, and the file that is judged plays no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.weights.activations import half_to_even

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lingolite_cli.architecture.rounding import Rounding
    from lingolite_cli.arrays import Array

_SEED = 0
_STANDARD_ERRORS = 3


def moved_rounding(quotient_error: float) -> Rounding:
    """The rule, after each quotient was moved by up to that share of itself; equal calls in order give equal moves."""
    generator = np.random.default_rng(_SEED)

    def rounded(name: str, quotients: Array) -> Array:
        moves = generator.uniform(-quotient_error, quotient_error, quotients.shape)
        return half_to_even((quotients * (1 + moves)).astype(np.float32))

    return rounded


def explained_mean(sums: Sequence[float], counts: Sequence[int]) -> float:
    """Largest mean of all tokens that another draw of the same moves explains.

    The mean and three standard errors of the difference of two such means. Tokens of a sentence depend on one another,
    so that sentences are what is drawn: a ratio estimator over clusters (Cochran 1977, Sampling Techniques, eq. 2.46).

    Args:
        sums: of the tokens of each sentence.
        counts: tokens of each sentence.
    """
    totals, sizes = np.array(sums), np.array(counts)
    mean = totals.sum() / sizes.sum()
    if len(totals) == 1:
        return float(mean)
    spread = np.square(totals - mean * sizes).sum() * len(totals) / (len(totals) - 1)
    return float(mean + _STANDARD_ERRORS * np.sqrt(2 * spread) / sizes.sum())
