"""Series of rounds: their interval, when more are taken, and how often a figure beyond its limit passes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pytest

from lingolite_cli.benchmark.noise import MIN_ROUNDS, median_interval, settle
from lingolite_cli.budgets.timed import TIMED_BUDGETS
from lingolite_cli.budgets.verdicts import Verdict, judge_rounds

LATENCY, SPEED = TIMED_BUDGETS["latency_p95_ms_max"], TIMED_BUDGETS["tokens_per_second_min"]


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


def verdict(
    values: Sequence[float | None], limit: float = 20.0, *, allow: bool = False, floor: bool = False
) -> Verdict:
    return judge_rounds(values, limit=limit, budget=SPEED if floor else LATENCY, allow_inconclusive=allow)


@pytest.mark.parametrize(
    ("values", "status", "as_floor"),
    [
        ([15.0, 16, 17, 18, 19, 20], "pass", "inconclusive"),
        ([15.0, 16, 17, 18, 19, 20.1], "inconclusive", "inconclusive"),
        ([20.0, 21, 22, 23, 24, 25], "inconclusive", "pass"),
        ([20.1, 21, 22, 23, 24, 25], "fail", "pass"),
        ([20.0] * 6, "pass", "pass"),
        ([1.0] * 10 + [90.0] * 2, "pass", "fail"),  # two outliers of twelve lie outside the interval
        ([1.0] * 9 + [90.0] * 3, "inconclusive", "inconclusive"),
    ],
)
def test_only_the_whole_interval_passes_or_fails(values: list[float], status: str, as_floor: str) -> None:
    found = verdict(values)
    assert found.status == status
    assert found.rounds == len(values)
    assert found.low is not None
    assert found.high is not None
    assert found.seen is not None
    assert found.low <= found.seen <= found.high
    assert verdict(values, floor=True).status == as_floor
    assert found.breaks_run == (status != "pass")
    allowed = verdict(values, allow=True)
    assert (allowed.status, allowed.breaks_run) == (status, status == "fail")


def test_verdict_says_how_sure_it_is() -> None:
    assert verdict([18.0, 19, 21, 22, 23, 24]).why == (
        "21.5 ms (18 to 24 at 95% confidence, 6 rounds) lies on both sides of the limit of 20 ms; "
        "take more rounds, or a quieter machine"
    )
    assert verdict([1.0] * 6).why == "1 ms (1 to 1 at 95% confidence, 6 rounds) is within the limit of 20 ms"


def test_what_one_round_could_not_measure_fails() -> None:
    found = verdict([1.0, 1.0, None, 1.0, 1.0, 1.0])
    assert (found.status, found.seen, found.breaks_run) == ("not measured", None, True)


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


@pytest.mark.parametrize(("excess", "most"), [(1.0, 0.05), (1.05, 0.005), (0.9, 1.0)])
def test_a_figure_beyond_its_limit_seldom_passes(excess: float, most: float) -> None:
    """Timings with a spread of 10 % and a tail, whose true median stands at the limit and beyond, all looks counted."""
    generator = np.random.default_rng(5)
    passed = 0
    for _ in range(1000):
        noise = iter(20.0 * excess * np.exp(0.1 * generator.standard_normal(24)))
        taken = settle(
            lambda noise=noise: float(next(noise)),
            lambda seen: verdict(seen).status != "inconclusive",
            rounds=6,
            max_rounds=24,
        )
        passed += verdict(taken).status == "pass"
    assert passed / 1000 <= most
    if excess < 1:
        assert passed / 1000 >= 0.9, "what is well inside is not kept from passing"
