"""Budgets on time: rounds in turn, more of them where they leave doubt, verdicts in the order of the recipe.

Series are recorded ones: no test measures time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from lingolite_cli.benchmark.figures import Round, TimedSystem
from lingolite_cli.benchmark.process import System
from lingolite_cli.benchmark.protocol import Load
from lingolite_cli.benchmark.rounds import RoundWorkload, SystemWorkload
from lingolite_cli.budgets.judging import judge_all
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.console import Console
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.recipe.work.timing import TimingRule, needs_reference, take_rounds, with_rounds

PLAIN = Round(
    load_seconds=1.0,
    cold_start_seconds=2.0,
    first_token_ms=3.0,
    latency_p50_ms=4.0,
    latency_p95_ms=5.0,
    latency_p99_ms=6.0,
    tokens_per_second=700.0,
    peak_memory_mb=80.0,
)
WORKLOAD = RoundWorkload(sources=["She reads."], languages=("en", "da"), decoding=DecodingOptions(), batch_size=1)


class Recording:
    """Plays series of one figure: `turns` is in which order systems were asked."""

    def __init__(self, figure: str, series: Mapping[str, Sequence[float | None]]) -> None:
        self._figure = figure
        self._series = series
        self.turns: list[str] = []
        self._count: dict[str, int] = defaultdict(int)

    def __call__(self, system: System, workload: RoundWorkload) -> Round:
        assert workload is WORKLOAD
        self.turns.append(system.name)
        place = self._count[system.name]
        self._count[system.name] += 1
        return msgspec.structs.replace(PLAIN, **{self._figure: self._series[system.name][place]})


def play(
    budget: Mapping[str, float], recording: Recording, *names: str, max_rounds: int = 24, allow: bool = False
) -> tuple[list[TimedSystem], dict[str, Verdict]]:
    load = Load(artifact="a", backend="b", options={}, threads=1, blocked=[])
    systems = [SystemWorkload(System(name=name, load=load), WORKLOAD) for name in names]
    rule = TimingRule(max_rounds=max_rounds)
    taken = take_rounds(budget, systems, rule, console=Console(), label="verify", take=recording)
    verdicts = judge_all(budget, BUDGETS, with_rounds(MeasuredFigures(), taken), allow_inconclusive=allow)
    return taken, {verdict.budget: verdict for verdict in verdicts}


FIGURES = {
    "load_seconds": ("load_seconds_max", "load_ratio_max"),
    "cold_start_seconds": ("cold_start_seconds_max", "cold_start_ratio_max"),
    "first_token_ms": ("first_token_ms_max", "first_token_ratio_max"),
    "latency_p50_ms": ("latency_p50_ms_max", "latency_p50_ratio_max"),
    "latency_p95_ms": ("latency_p95_ms_max", "latency_p95_ratio_max"),
    "latency_p99_ms": ("latency_p99_ms_max", "latency_p99_ratio_max"),
    "tokens_per_second": ("tokens_per_second_min", "tokens_per_second_ratio_min"),
    "peak_memory_mb": ("peak_memory_mb_max", "peak_memory_ratio_max"),
}
"""Of a round, with the budgets that limit each."""


def test_every_budget_on_rounds_is_tested() -> None:
    assert {name for names in FIGURES.values() for name in names} == {
        name for name, budget in BUDGETS.items() if budget.is_timed
    }


@pytest.mark.parametrize(
    ("figure", "name", "is_ratio"),
    [(figure, name, bool(place)) for figure, names in FIGURES.items() for place, name in enumerate(names)],
)
def test_each_budget_looks_at_its_own_figure(figure: str, name: str, is_ratio: bool) -> None:
    """Met just at the limit, and broken just beyond it."""
    own = getattr(PLAIN, figure)
    recording: Any = lambda system, workload: msgspec.structs.replace(  # noqa: E731
        PLAIN, **({figure: 4 * own} if system.name == "after" else {})
    )
    edge = 4.0 if is_ratio else 4 * own
    beyond = edge * (1.01 if figure == "tokens_per_second" else 0.99)
    for limit, status in ((edge, "pass"), (beyond, "fail")):
        _, verdicts = play({name: limit}, recording, "before", "after")
        assert [(found.budget, found.status, found.seen) for found in verdicts.values()] == [(name, status, edge)]
    assert needs_reference({name: 1.0}) is is_ratio


def test_systems_take_turns_and_every_other_round_goes_backwards() -> None:
    recording = Recording(
        "load_seconds", {"before": [float(n) for n in range(6)], "after": [10.0 + n for n in range(6)]}
    )
    systems, _ = play({"load_seconds_max": 99.0}, recording, "before", "after")
    assert recording.turns == ["before", "after", "after", "before"] * 3
    assert [(system.name, [seen.load_seconds for seen in system.rounds]) for system in systems] == [
        ("before", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("after", [10.0, 11.0, 12.0, 13.0, 14.0, 15.0]),
    ]


def test_ratios_are_taken_within_a_round() -> None:
    """The machine slows down fourfold, and both systems with it."""
    before = [10.0, 12.0, 16.0, 20.0, 30.0, 40.0]
    recording = Recording("latency_p50_ms", {"before": before, "after": [value / 2 for value in before]})
    _, verdicts = play({"latency_p50_ratio_max": 0.51}, recording, "before", "after")
    found = verdicts["latency_p50_ratio_max"]
    assert (found.status, found.seen, found.low, found.high) == ("pass", 0.5, 0.5, 0.5)


def test_doubt_is_measured_away(capsys: pytest.CaptureFixture[str]) -> None:
    """One hiccup among six is doubt; among twelve it is an outlier."""
    series = [10.0, 11.0, 10.0, 50.0, 10.0, 11.0, *[10.0] * 6]
    systems, verdicts = play({"latency_p95_ms_max": 20.0}, Recording("latency_p95_ms", {"after": series}), "after")
    assert (verdicts["latency_p95_ms_max"].status, verdicts["latency_p95_ms_max"].rounds) == ("pass", 12)
    assert [seen.latency_p95_ms for seen in systems[0].rounds] == series
    assert capsys.readouterr().err == "verify: not sure after 6 rounds, measured again: latency_p95_ms_max\n"


@pytest.mark.parametrize("allow", [False, True])
def test_doubt_that_stays_is_inconclusive_and_never_passes_in_silence(allow: bool) -> None:
    recording = Recording("latency_p95_ms", {"after": [10.0, 30.0] * 10})
    _, verdicts = play({"latency_p95_ms_max": 20.0}, recording, "after", max_rounds=18, allow=allow)
    found = verdicts["latency_p95_ms_max"]
    assert (found.status, found.rounds, found.allowed, found.breaks_run) == ("inconclusive", 18, allow, not allow)
    assert len(recording.turns) == 18


def test_what_is_sure_at_once_is_not_measured_again() -> None:
    recording = Recording("latency_p95_ms", {"after": [50.0, 30.0, 31.0, 90.0, 30.0, 30.0]})
    _, verdicts = play({"latency_p95_ms_max": 20.0, "load_seconds_max": 9.0}, recording, "after")
    assert list(verdicts) == ["latency_p95_ms_max", "load_seconds_max"]
    assert [found.status for found in verdicts.values()] == ["fail", "pass"]
    assert len(recording.turns) == 6


def test_memory_that_the_system_does_not_tell_is_not_measured() -> None:
    recording = Recording("peak_memory_mb", {"before": [80.0] * 6, "after": [None] * 6})
    limits = {"peak_memory_mb_max": 1e9, "peak_memory_ratio_max": 1e9}
    _, verdicts = play(limits, recording, "before", "after")
    assert [found.status for found in verdicts.values()] == ["not measured", "not measured"]
