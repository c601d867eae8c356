"""The table of budgets: each entry limits its own figure, in its own direction and unit, and none is missing here."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from lingolite_cli.budgets.budget import PairedDrop
from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS, by_name, drop_budget, find_budget, metric_budgets
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.exported import ExportedComparison, TokenizerDifference
from lingolite_cli.evaluation.faults import FaultCounts
from lingolite_cli.evaluation.parity import ConsistencyProbe, LikelyCause, LogitParity, Parity, VocabularyProbe

Direction = Literal["max", "min"]


def probe(name: str, difference: float) -> ConsistencyProbe:
    return ConsistencyProbe(name=name, num_rows=8, max_difference=difference, kl_mean=0.5, kl_max=0.6)


PARITY = Parity(
    exact_match=0.75,
    num_tokens=500,
    top1_agreement=0.875,
    max_logit_margin=0.25,
    logits=LogitParity(
        num_sentences=40,
        num_tokens=400,
        max_logit=20.0,
        max_difference=3.0,
        mean_difference=1.5,
        kl_mean=0.03125,
        kl_p95=0.0625,
        kl_max=0.125,
        top1_agreement=0.9375,
        by_position=[],
        by_source_length=[],
        worst=[],
    ),
    probes=[probe("padding", 5.0), probe("reorder", 6.0), probe("rows", 7.0), probe("repetition", 8.0)],
    vocabulary=VocabularyProbe(
        num_tokens=9,
        kl_median=0.01,
        kl_max=0.25,
        num_read=0,
        num_written=0,
        read=[],
        written=[],
        read_shift=0,
        written_shift=0,
        scale=1.0,
        scaled_kl_median=0.01,
    ),
)
KINDS = (
    "loops",
    "copies",
    "empty",
    "unfinished",
    "lengths",
    "scripts",
    "numbers",
    "urls",
    "placeholders",
    "tags",
    "languages",
)
EXPORTED = ExportedComparison(
    bundle="ab" * 32,
    found="run",
    tokenizer=TokenizerDifference(num_sentences=3, num_compared=9, summary="normalized otherwise"),
    manifest=["max_seq_len is 32, not 512"],
    agreement=0.8125,
    num_tokens=90,
    logits=msgspec.structs.replace(PARITY.logits, kl_mean=0.015625) if PARITY.logits else None,
    score_difference=0.0078125,
    rounding=1.75,
    num_operations=30,
)
MEASURED = MeasuredFigures(
    differences=[
        MetricDifference(metric="bleu", reference=40.0, candidate=38.5, delta=-1.5),
        MetricDifference(metric="ter", reference=50.0, candidate=53.0, delta=3.0, goal="lower"),
    ],
    parity=PARITY,
    exported=EXPORTED,
    faults=[
        FaultCounts(kind=kind, reference=20, candidate=20, new=list(range(place))) for place, kind in enumerate(KINDS)
    ],
    reference_doubts=["one", "another"],
    size_mb=11.5,
    size_ratio=0.375,
    download_mb=9.5,
    download_ratio=0.4375,
    goldens=0.6875,
)

FIGURES: dict[str, tuple[float, Direction, str]] = {
    "exported_data_max": (4.0, "max", "differences"),
    "exported_rounding_max": (1.75, "max", ""),
    "exported_kl_max": (0.015625, "max", "nats"),
    "exported_score_max": (0.0078125, "max", "nats"),
    "exported_parity_min": (0.8125, "min", ""),
    "goldens_min": (0.6875, "min", ""),
    "reference_doubts_max": (2.0, "max", ""),
    "size_mb_max": (11.5, "max", "MB"),
    "size_ratio_max": (0.375, "max", ""),
    "download_mb_max": (9.5, "max", "MB"),
    "download_ratio_max": (0.4375, "max", ""),
    "parity_min": (0.875, "min", ""),
    "exact_match_min": (0.75, "min", ""),
    "logit_difference_max": (3.0, "max", ""),
    "logit_difference_mean_max": (1.5, "max", ""),
    "kl_mean_max": (0.03125, "max", "nats"),
    "kl_p95_max": (0.0625, "max", "nats"),
    "token_kl_max": (0.25, "max", "nats"),
    "padding_difference_max": (5.0, "max", ""),
    "select_difference_max": (7.0, "max", ""),
    **{f"new_{kind}_max": (float(place), "max", "sentences") for place, kind in enumerate(KINDS)},
}
"""What each budget limits of `MEASURED`. Those on timed rounds are in tests/lingolite_cli/recipe/test_timing.py."""


def test_every_budget_is_tested() -> None:
    assert set(FIGURES) == {name for name, budget in BUDGETS.items() if not budget.is_timed}


@pytest.mark.parametrize("name", FIGURES)
def test_each_budget_limits_its_figure_in_its_direction(name: str) -> None:
    seen, direction, unit = FIGURES[name]
    tighter = seen - 1e-6 if direction == "max" else seen + 1e-6
    met, broken, nothing = (
        judge(BUDGETS[name], measured, limit=limit)
        for measured, limit in ((MEASURED, seen), (MEASURED, tighter), (MeasuredFigures(), seen))
    )
    assert (met.budget, met.status, met.seen) == (name, "pass", seen)
    assert met.why.endswith(f"is within the limit of {seen:g}{f' {unit}' if unit else ''}")
    assert (broken.status, nothing.status, nothing.seen) == ("fail", "not measured", None)


@pytest.mark.parametrize(
    ("metric", "goal", "expected"),
    [
        ("bleu", "higher", {"bleu_drop_max": 1.5, "bleu_min": 38.5}),
        ("ter", "lower", {"ter_drop_max": 3.0, "ter_max": 53.0}),
        ("ter", 50.0, {"ter_drop_max": 3.0, "ter_min": 53.0, "ter_max": 53.0}),
    ],
)
def test_a_metric_has_budgets_by_its_goal(
    metric: str, goal: Literal["higher", "lower"] | float, expected: dict[str, float]
) -> None:
    budgets = by_name(metric_budgets(metric, goal))
    assert {name: judge(budget, MEASURED, limit=0.0).seen for name, budget in budgets.items()} == expected
    assert [budget.is_floor for budget in budgets.values()] == [name.endswith("_min") for name in expected]


@pytest.mark.parametrize(
    ("name", "direction", "group"),
    [
        ("parity_min", "min", "parity"),
        ("latency_p95_ms_max", "max", "time"),
        ("bleu_min", "min", "quality"),
        ("ter_max", "max", "quality"),
        ("length-ratio_drop_max", "max", "quality"),
        ("somebody_elses_min", "min", "quality"),
        ("somebody_elses", "max", "quality"),
    ],
)
def test_records_of_metrics_that_are_not_installed_are_understood(name: str, direction: str, group: str) -> None:
    budget = find_budget(name)
    assert (budget.direction, budget.group) == (direction, group)


def test_a_drop_is_found_by_its_name() -> None:
    assert find_budget("exact-match_drop_max").rule == PairedDrop("exact-match") == drop_budget("exact-match").rule


CAUSE = LikelyCause(name="weights", summary="s", evidence="e")


def test_a_failed_budget_on_parity_names_the_causes() -> None:
    causes = [LikelyCause(name=name, summary="s", evidence="e") for name in ("source-mask", "stale-cache")]
    seen = MeasuredFigures(parity=msgspec.structs.replace(PARITY, causes=causes), size_mb=2.0)
    why = judge(BUDGETS["padding_difference_max"], seen, limit=0.01).why
    pattern = "not located; the pattern suggests: source-mask, stale-cache"
    assert why == f"5 is outside the limit of 0.01; {pattern}"
    assert "pattern" not in judge(BUDGETS["parity_min"], seen, limit=0.5).why
    assert "pattern" not in judge(BUDGETS["size_mb_max"], seen, limit=1.0).why


def test_what_was_located_comes_before_what_a_pattern_suggests() -> None:
    seen = msgspec.structs.replace(MEASURED, parity=msgspec.structs.replace(PARITY, causes=[CAUSE]))
    for name in ("exported_kl_max", "kl_mean_max"):
        assert judge(BUDGETS[name], seen, limit=0.001).why.endswith("; located: tokenizer: normalized otherwise")


def test_a_difference_that_nothing_explains_is_not_located() -> None:
    same = msgspec.structs.replace(EXPORTED, tokenizer=None, manifest=[])
    seen = msgspec.structs.replace(MEASURED, exported=same)
    assert judge(BUDGETS["exported_kl_max"], seen, limit=0.001).why.endswith("nats; not located")


def test_an_export_that_was_not_compared_is_not_measured() -> None:
    seen = MeasuredFigures(exported=ExportedComparison(not_measured=["there is no bundle"]))
    for name, budget in BUDGETS.items():
        if budget.group == "export":
            assert judge(budget, seen, limit=1.0).status == "not measured", name
