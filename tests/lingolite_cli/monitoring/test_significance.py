"""Intervals and p-values, against published values and against sums of exact fractions."""

from __future__ import annotations

import random
from fractions import Fraction
from math import comb

import pytest

from lingolite_cli.monitoring.significance import (
    Moments,
    Share,
    mean_difference,
    mean_p_value,
    rise_p_value,
    share_difference,
    wilson_interval,
)


@pytest.mark.parametrize(
    ("share", "expected"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (Share(81, 263), (0.2553, 0.3662)),
        (Share(15, 148), (0.0624, 0.1605)),
        (Share(0, 20), (0.0, 0.1611)),
        (Share(1, 29), (0.0061, 0.1718)),
    ],
)
def test_intervals_of_shares_are_the_published_ones(share: Share, expected: tuple[float, float]) -> None:
    assert wilson_interval(share) == pytest.approx(expected, abs=5e-5)


def test_intervals_of_differences_are_the_published_ones() -> None:
    """Newcombe 1998, Statistics in Medicine 17:873, table II, method 10: 56/70 and 48/80."""
    low, high = share_difference(Share(48, 80), Share(56, 70))
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("before", "after"), [((0, 10), (5, 10)), ((3, 40), (7, 25)), ((2, 5), (0, 9)), ((5, 5), (5, 5))]
)
def test_the_p_value_of_a_rise_is_the_sum_of_all_tables_as_bad(before: tuple[int, int], after: tuple[int, int]) -> None:
    marked, total = before[0] + after[0], before[1] + after[1]
    exact = sum(
        Fraction(comb(marked, count) * comb(total - marked, after[1] - count), comb(total, after[1]))
        for count in range(after[0], min(marked, after[1]) + 1)
        if after[1] - count <= total - marked
    )
    assert rise_p_value(Share(*before), Share(*after)) == pytest.approx(float(exact))


def test_moments_of_parts_add_up_to_those_of_the_whole() -> None:
    values = [random.Random(3).gauss(1.0, 2.0) for _ in range(40)]
    whole = Moments()
    for value in values:
        whole = whole.with_value(value)
    first, second = Moments(), Moments()
    for value in values[:15]:
        first = first.with_value(value)
    for value in values[15:]:
        second = second.with_value(value)
    mean = sum(values) / 40
    assert (first + second).mean == pytest.approx(mean)
    assert whole.variance == pytest.approx(sum((value - mean) ** 2 for value in values) / 39)


def test_means_differ_by_the_normal_distribution() -> None:
    first, second = Moments(100, 100.0, 199.0), Moments(100, 120.0, 243.0)  # variances of 1, means of 1 and 1.2
    low, high = mean_difference(first, second)
    assert (low + high) / 2 == pytest.approx(0.2)
    assert high - low == pytest.approx(2 * 1.96 * (1 / 50) ** 0.5, rel=1e-3)
    assert mean_p_value(first, second) == pytest.approx(0.1573, abs=1e-4)


def test_nothing_is_judged_by_what_has_no_spread() -> None:
    assert mean_p_value(Moments(5, 5.0, 5.0), Moments(5, 10.0, 20.0)) == 1.0
    assert wilson_interval(Share(0, 0)) == (0.0, 1.0)
