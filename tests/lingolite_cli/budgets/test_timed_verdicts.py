"""Verdicts on timed rounds: only what the whole interval says, and how often a figure beyond its limit passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import pytest

from lingolite_cli.benchmark.figures import Round
from lingolite_cli.benchmark.noise import settle
from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.budgets.verdicts import Verdict

ROUND = Round(
    load_seconds=1.0,
    cold_start_seconds=2.0,
    first_token_ms=3.0,
    latency_p50_ms=4.0,
    latency_p95_ms=5.0,
    latency_p99_ms=6.0,
    tokens_per_second=700.0,
    peak_memory_mb=None,
)


def verdict(
    values: Sequence[float | None], limit: float = 20.0, *, allow: bool = False, floor: bool = False
) -> Verdict:
    """Of latencies, or of memory that is budgeted from below: the one figure of a round that may not be measured."""
    direction: Literal["max", "min"] = "min" if floor else "max"
    budget = msgspec.structs.replace(BUDGETS["peak_memory_mb_max"], unit="ms", direction=direction)
    rounds = [msgspec.structs.replace(ROUND, peak_memory_mb=value) for value in values]
    return judge(budget, MeasuredFigures(rounds=rounds), limit=limit, allow_inconclusive=allow)


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
