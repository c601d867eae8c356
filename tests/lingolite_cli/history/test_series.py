"""Runs as curves: what is a trend, and where one breaks."""

from __future__ import annotations

import msgspec
import pytest

from lingolite_cli.history.entry import RunEntry, SystemFigures
from lingolite_cli.history.series import Trend, series_of, trends_of
from tests.lingolite_cli.history.history_entries import SYSTEM, entry


def with_system(run: RunEntry, system: SystemFigures) -> RunEntry:
    return msgspec.structs.replace(run, systems=(run.systems[0], system))


def with_chrf(number: int, value: float, **changes: object) -> RunEntry:
    score = msgspec.structs.replace(SYSTEM.scores[0], value=value)
    return with_system(entry(number), msgspec.structs.replace(SYSTEM, scores=(score,), **changes))


def trend(entries: list[RunEntry], figure: str) -> Trend | None:
    return next((found for found in trends_of(entries) if found.figure == figure), None)


def test_each_recipe_has_its_curves() -> None:
    found = series_of([entry(1), entry(2, recipe="other"), entry(3)])
    assert [(series.recipe, series.figure, len(series.points)) for series in found] == [
        ("mobile", "chrf", 2),
        ("mobile", "bleu", 2),
        ("mobile", "size", 2),
        ("mobile", "latency", 2),
        ("other", "chrf", 1),
        ("other", "bleu", 1),
        ("other", "size", 1),
        ("other", "latency", 1),
    ]
    chrf, _, size, latency = (series.points[0] for series in found[:4])
    assert (chrf.value, chrf.low, chrf.high, chrf.reference) == (60.25, 59.5, 61.0, None)
    assert (size.value, size.reference) == (7.16, 28.0)
    assert latency.value == 4.25


def test_trend_runs_from_the_first_to_the_last() -> None:
    found = trend([with_chrf(1, 60.0), with_chrf(2, 58.0), with_chrf(3, 61.5)], "chrf")
    assert found is not None
    assert (found.first, found.last, found.change, found.runs) == (60.0, 61.5, 1.5, 3)
    assert (found.first_run, found.last_run) == (entry(1).id, entry(3).id)
    assert trend([with_chrf(1, 60.0)], "chrf") is None


@pytest.mark.parametrize("changes", [{"corpus": "ff" * 32}, {"num_sentences": 100}])
def test_scores_on_another_text_are_no_trend(changes: dict[str, object]) -> None:
    entries = [with_chrf(1, 60.0), with_chrf(2, 70.0, **changes)]
    assert trend(entries, "chrf") is None
    (chrf,) = (series for series in series_of(entries) if series.figure == "chrf")
    assert [len(stretch) for stretch in chrf.stretches] == [1, 1]
    found = trend([*entries, with_chrf(3, 71.0, **changes)], "chrf")
    assert found is not None
    assert (found.first, found.last) == (70.0, 71.0)
    assert trend(entries, "size") is not None, "a size depends on no text"


def test_scores_by_another_signature_are_no_trend() -> None:
    other = msgspec.structs.replace(SYSTEM.scores[0], signature="nc:4")
    changed = with_system(entry(2), msgspec.structs.replace(SYSTEM, scores=(other,)))
    assert trend([entry(1), changed], "chrf") is None


@pytest.mark.parametrize("change", [{"cpu": "another CPU"}, {"threads": 4}])
def test_latency_on_another_machine_is_no_trend(change: dict[str, object]) -> None:
    entries = [entry(1), msgspec.structs.replace(entry(2), **change)]
    assert trend(entries, "latency") is None
    assert trend(entries, "chrf") is not None


def test_runs_without_figures_are_no_points() -> None:
    failed = msgspec.structs.replace(entry(2), status="failed", systems=(), shipped=None, reference=None)
    assert [len(series.points) for series in series_of([entry(1), failed, entry(3)])] == [2, 2, 2, 2]
