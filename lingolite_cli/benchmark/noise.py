"""The noise of timings: the interval of the median over rounds, and when more rounds are taken.

Owns both rules. What a round measures is up to the caller, so both are functions of numbers alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb
from statistics import median
from typing import TypeVar

import msgspec

CONFIDENCE = 0.95
"""Of the interval, at every look at the rounds."""
MIN_ROUNDS = 6
"""The fewest rounds whose whole range has that confidence: 1 - 2^(1-6) = 0.969."""

T = TypeVar("T")


class SeriesInterval(msgspec.Struct, frozen=True):
    """The median of a series of rounds, with its interval of 95 % confidence or more."""

    median: float
    low: float
    high: float


def median_interval(values: Sequence[float]) -> SeriesInterval:
    """Interval of the median by order statistics: of N ascending values the narrowest pair (k-th smallest, k-th
    largest) that misses the true median with a probability of 5 % at most, 2 · P(Binomial(N, 1/2) < k).

    It assumes independent rounds of one distribution, whatever that is: slow outliers, which timings have, do not widen
    it as they would widen a standard deviation (Le Boudec 2010, "Performance Evaluation of Computer and Communication
    Systems", chapter 2). Fewer than `MIN_ROUNDS` values have no such pair.

    Args:
        values: one a round, in any order.

    Raises:
        ValueError: there are fewer than `MIN_ROUNDS`.
    """
    if len(values) < MIN_ROUNDS:
        raise ValueError(f"{len(values)} rounds are too few for an interval: {MIN_ROUNDS} at least")
    ordered = sorted(values)
    outside = _num_outside(len(ordered))
    return SeriesInterval(median(ordered), ordered[outside], ordered[-1 - outside])


def _num_outside(count: int) -> int:
    """How many values lie outside the interval at each end."""
    outside, tail = 0, 1 / 2**count  # probability that the median lies beyond the `outside`-th value from one end
    while 2 * (tail + comb(count, outside + 1) / 2**count) <= 1 - CONFIDENCE:
        outside += 1
        tail += comb(count, outside) / 2**count
    return outside


def settle(take: Callable[[], T], is_sure: Callable[[Sequence[T]], bool], *, rounds: int, max_rounds: int) -> list[T]:
    """Take rounds until they settle the question: the number of rounds doubles each time, up to `max_rounds`.

    Every look may be wrong by chance, so there are few. With looks after 6, 12 and 24 rounds, a figure whose true
    median is just beyond its limit passes with a probability of 4.6 % at most: the sum over the three looks of the
    probability that one end of the interval misses the median.

    Args:
        take: measures one round.
        is_sure: whether the rounds so far settle the question.
        rounds: taken before the first look.
        max_rounds: at most; `rounds` if that is more.
    """
    taken = [take() for _ in range(rounds)]
    while not is_sure(taken) and len(taken) < max_rounds:
        taken += [take() for _ in range(min(len(taken), max_rounds - len(taken)))]
    return taken
