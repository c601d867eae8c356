"""Verdicts at their edges: none may pass, fail or stay silent where the numbers do not say so."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS, drop_budget
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.evaluation.differences import Loss, MetricDifference

SIZES = {
    "size_mb_max": BUDGETS["size_mb_max"],
    "size_mb_min": msgspec.structs.replace(BUDGETS["size_mb_max"], name="size_mb_min", direction="min"),
}


def difference(delta: float, low: float | None = None, high: float | None = None, **fields: Any) -> MetricDifference:
    return MetricDifference(
        metric="bleu", reference=30.0, candidate=30.0 + delta, delta=delta, low=low, high=high, **fields
    )


def loss_verdict(given: MetricDifference, *, limit: float = 0.5, allow: bool = False) -> Verdict:
    return judge(drop_budget(given.metric), MeasuredFigures(differences=[given]), limit=limit, allow_inconclusive=allow)


@pytest.mark.parametrize(
    ("delta", "low", "high", "status"),
    [
        (-0.1, -0.4, 0.2, "pass"),
        (0.9, 0.1, 1.7, "pass"),
        (-0.2, -0.5, 0.1, "pass"),  # the whole interval at or above the limit
        (-0.2, -0.5001, 0.1, "inconclusive"),
        (-0.9, -1.3, -0.5, "inconclusive"),  # its upper end stands on the limit, which is still within
        (-0.9, -1.3, -0.5001, "fail"),
        (0.1, -0.6, 0.8, "inconclusive"),  # a gain that may be a loss too large
        (-0.9, -1.9, 0.1, "inconclusive"),
        (0.0, 0.0, 0.0, "pass"),
    ],
)
def test_drop_passes_only_when_the_whole_interval_is_within(delta: float, low: float, high: float, status: str) -> None:
    verdict = loss_verdict(difference(delta, low, high))
    assert verdict.status == status
    assert verdict.breaks_run == (status != "pass")
    assert verdict.seen == pytest.approx(-delta)


def test_rise_is_the_loss_where_lower_is_better() -> None:
    risen = difference(0.9, 0.6, 1.2, goal="lower")
    assert loss_verdict(risen).status == "fail"
    assert loss_verdict(risen).seen == pytest.approx(0.9)
    assert "bleu rose by 0.90 (loss 0.60 to 1.20" in loss_verdict(risen).why
    assert loss_verdict(difference(0.9, 0.6, 1.2)).status == "pass"
    assert loss_verdict(difference(-3.0, -3.5, -2.5, goal="lower")).status == "pass"
    assert loss_verdict(difference(0.2, -0.4, 0.8, goal="lower")).status == "inconclusive"


def test_leaving_the_target_is_the_loss_where_a_metric_has_one() -> None:
    def ratio(reference: float, candidate: float) -> MetricDifference:
        fields = {"reference": reference, "candidate": candidate, "delta": candidate - reference}
        return MetricDifference(metric="length-ratio", goal=1.0, **fields)

    assert loss_verdict(ratio(1.02, 1.09), limit=0.05).seen == pytest.approx(0.07)
    assert loss_verdict(ratio(1.02, 1.09), limit=0.05).status == "fail"
    assert loss_verdict(ratio(1.02, 0.97), limit=0.05).seen == pytest.approx(0.01)
    assert loss_verdict(ratio(1.09, 1.02), limit=0.0).status == "pass"


def test_loss_that_was_resampled_is_judged_with_one_sentence_more_lost() -> None:
    def given(guarded_high: float) -> MetricDifference:
        loss = Loss(estimate=0.1, low=-0.2, high=0.4, guarded_high=guarded_high)
        return difference(-0.1, -0.4, 0.2, num_sentences=400, resampled_loss=loss)

    assert loss_verdict(given(0.5)).status == "pass"
    assert loss_verdict(given(0.5)).why.endswith("the limit of 0.5, even if one more sentence were lost (up to 0.50)")
    assert loss_verdict(given(0.4)).why.endswith("the limit of 0.5"), "the guard adds nothing"
    verdict = loss_verdict(given(0.6))
    assert verdict.status == "inconclusive"
    # 1.4294 · (0.3 / sqrt(f) + 0.2 / f) = 0.4 at f = 2.362.
    guarded = (
        "within the limit of 0.5, but up to 0.60 if one more sentence were lost; about 940 sentences would settle it"
    )
    assert guarded in verdict.why
    assert loss_verdict(given(0.3), limit=0.35).status == "inconclusive", "the guard never narrows an interval"


def test_zero_limit_allows_no_loss_at_all() -> None:
    assert loss_verdict(difference(0.0, 0.0, 0.0), limit=0.0).status == "pass"
    assert loss_verdict(difference(0.0, -0.1, 0.1), limit=0.0).status == "inconclusive"
    assert loss_verdict(difference(-0.001), limit=0.0).status == "fail"


@pytest.mark.parametrize(("delta", "status"), [(-0.5, "pass"), (-0.51, "fail"), (0.3, "pass")])
def test_metric_without_interval_is_judged_on_its_point_and_says_so(delta: float, status: str) -> None:
    verdict = loss_verdict(difference(delta))
    assert verdict.status == status
    assert "judged on the point estimate" in verdict.why
    assert "judged on the point estimate" not in loss_verdict(difference(delta, delta, delta)).why


def test_inconclusive_says_how_many_sentences_would_settle_it() -> None:
    # The interval reaches 0.6 beyond the estimate and the limit is 0.3 away: half the width, four times the size, for
    # every second test set; (1 + 0.8416 / 1.96)^2 = 2.04 times that for four of five.
    verdict = loss_verdict(difference(-0.2, -0.8, 0.4, num_sentences=250))
    assert "fell by 0.20 (loss -0.40 to 0.80 at 95% confidence), partly above the limit of 0.5" in verdict.why
    assert "about 2,000 sentences would settle it, if the true loss is the one seen" in verdict.why
    assert "about 8.2 times as many sentences" in loss_verdict(difference(-0.2, -0.8, 0.4)).why
    assert "more than 100 times" in loss_verdict(difference(-0.4999, -2.0, 1.0, num_sentences=250)).why


def test_inconclusive_beyond_the_budget_says_that_the_estimate_breaks_it() -> None:
    why = loss_verdict(difference(-0.8, -1.4, -0.2, num_sentences=250)).why
    assert "the loss seen breaks the budget, and about 2,000 sentences would show that" in why
    assert "no number of sentences" in loss_verdict(difference(-0.5, -1.0, 0.0)).why


def test_no_difference_passes_only_where_the_failures_that_may_hide_fit_the_budget() -> None:
    """A sentence lost costs 60 / N points, and -log(0.025) = 3.69 of them may hide."""

    def given(num_sentences: int) -> MetricDifference:
        loss = Loss(estimate=0.0, low=0.0, high=0.0, guarded_high=3.69 * 60 / num_sentences)
        return difference(0.0, 0.0, 0.0, num_sentences=num_sentences, resampled_loss=loss)

    assert loss_verdict(given(500)).status == "pass"
    verdict = loss_verdict(given(200))
    assert verdict.status == "inconclusive"
    assert "but up to 1.11 if one more sentence were lost; about 630 sentences would settle it" in verdict.why


def test_no_difference_says_what_may_hide() -> None:
    """`scipy.stats.beta.ppf(0.95, 1, N)` is 0.0295 for 100 and 0.00299 for 1,000."""
    why = loss_verdict(difference(0.0, 0.0, 0.0, num_sentences=100)).why
    assert why.endswith("; no difference was seen, and failures in up to 3.0% of sentences may hide from 100")
    assert (
        "up to 0.3% of sentences may hide from 1,000" in loss_verdict(difference(0.0, 0.0, 0.0, num_sentences=1000)).why
    )
    assert "hide" not in loss_verdict(difference(-0.1, -0.2, 0.0, num_sentences=1000)).why


def test_recipe_may_allow_the_inconclusive_and_nothing_else() -> None:
    allowed = loss_verdict(difference(-0.2, -0.8, 0.4), allow=True)
    assert (allowed.status, allowed.breaks_run) == ("inconclusive", False)
    assert loss_verdict(difference(-0.9, -1.0, -0.8), allow=True).breaks_run
    assert loss_verdict(difference(math.nan), allow=True).breaks_run


@pytest.mark.parametrize(
    "given", [difference(math.nan), difference(-0.1, math.nan, 0.1), difference(-0.1, -0.2, math.nan)]
)
def test_difference_that_is_no_number_is_not_measured(given: MetricDifference) -> None:
    verdict = loss_verdict(given)
    assert (verdict.status, verdict.seen, verdict.breaks_run) == ("not measured", None, True)


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("size_mb_max", 11.9, "pass"),
        ("size_mb_max", 12.0, "pass"),
        ("size_mb_max", 12.000001, "fail"),
        ("size_mb_max", math.inf, "fail"),
        ("size_mb_min", 12.1, "pass"),
        ("size_mb_min", 12.0, "pass"),
        ("size_mb_min", 11.999999, "fail"),
        ("size_mb_min", -math.inf, "fail"),
    ],
)
def test_limits_include_themselves(name: str, value: float, status: str) -> None:
    verdict = judge(SIZES[name], MeasuredFigures(size_mb=value), limit=12.0)
    assert (verdict.budget, verdict.status, verdict.seen, verdict.limit) == (name, status, value, 12.0)
    assert "limit of 12 MB" in verdict.why


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [None, math.nan])
def test_budget_that_was_not_measured_breaks_the_run(name: str, value: float | None) -> None:
    verdict = judge(SIZES[name], MeasuredFigures(size_mb=value), limit=0.0)
    assert (verdict.status, verdict.seen, verdict.breaks_run) == ("not measured", None, True)


def test_loss_by_a_metric_that_was_not_measured_breaks_the_run() -> None:
    verdict = judge(drop_budget("chrf"), MeasuredFigures(differences=[difference(0.0)]), limit=1.0)
    assert (verdict.budget, verdict.status, verdict.seen) == ("chrf_drop_max", "not measured", None)


def test_reason_never_rounds_a_broken_limit_away() -> None:
    verdict = judge(SIZES["size_mb_max"], MeasuredFigures(size_mb=12.00004), limit=12.0)
    assert verdict.why.startswith("12.00004 MB is outside")
