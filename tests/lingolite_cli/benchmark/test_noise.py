"""Series of rounds: the interval of their median, and when more are taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pytest

from lingolite_cli.benchmark.noise import MIN_ROUNDS, median_interval, settle


@pytest.mark.parametrize(("count", "outside"), [(6, 0), (8, 0), (9, 1), (12, 2), (15, 3), (24, 6), (100, 39)])
def test_interval_is_that_of_published_tables(count: int, outside: int) -> None:
    """Ranks of 95 % intervals of the median, as in Conover's tables; 100 values are those of Le Boudec."""
    values = [float(value) for value in np.random.default_rng(count).permutation(count)]
    found = median_interval(values)
    assert (found.low, found.high) == (outside, count - 1 - outside)
    assert found.median == np.median(values)


@pytest.mark.parametrize("count", [6, 7, 9, 12])
def test_interval_holds_the_median_as_often_as_it_says(count: int) -> None:
    """Over all the ways in which values may fall to either side of the true median, each as likely."""
    held = 0
    for sides in product([-1.0, 1.0], repeat=count):
        found = median_interval([side * (place + 1) for place, side in enumerate(sides)])
        held += found.low < 0 < found.high
    assert held / 2**count >= 0.95


def test_too_few_rounds_have_no_interval() -> None:
    with pytest.raises(ValueError, match="5 rounds are too few"):
        median_interval([1.0] * (MIN_ROUNDS - 1))


@pytest.mark.parametrize(("sure_at", "expected"), [(6, 6), (7, 12), (12, 12), (20, 24), (25, 30), (99, 30)])
def test_rounds_double_until_they_are_sure(sure_at: int, expected: int) -> None:
    series: Iterator[int] = iter(range(100))
    looks = []

    def is_sure(seen: Sequence[int]) -> bool:
        looks.append(len(seen))
        return len(seen) >= sure_at

    taken = settle(lambda: next(series), is_sure, rounds=6, max_rounds=30)
    assert taken == list(range(expected)), "in order, none twice, none dropped"
    assert looks == [6, 12, 24, 30][: looks.index(expected) + 1]


def test_rounds_to_begin_with_are_taken_even_beyond_the_most() -> None:
    assert len(settle(lambda: 0, lambda _: False, rounds=7, max_rounds=6)) == 7
