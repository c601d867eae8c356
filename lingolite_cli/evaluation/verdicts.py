"""Budgets judged: what was measured against a limit, with the reason in words.

Owns the verdict and the rule for each kind of limit. Pure functions of numbers: nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

from lingolite_cli.evaluation.budgets import TimedBudget
from lingolite_cli.evaluation.noise import SeriesInterval, median_interval

VerdictStatus = Literal["pass", "fail", "inconclusive", "not measured"]

MIN_SENTENCES = 10
"""Sentences below which no interval is trusted: resampling so few repeats the same handful of values."""

_MANY_TIMES = 100.0
"""Beyond this many times the test set, a count of sentences is no longer advice."""


class MetricDifference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Candidate minus reference on the same sentences, with a paired-bootstrap interval where there is one.

    `num_sentences` is the size of the test set behind the interval.
    """

    metric: str
    reference: float
    candidate: float
    delta: float
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    num_sentences: int | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One budget judged.

    Attributes:
        budget: its name.
        limit: as the recipe has it.
        seen: what was measured, in the unit of `limit`.
        status: the verdict.
        why: one line for people.
        allowed: the recipe allows this `inconclusive`.
        low: the lower end of the 95 % interval of `seen`, where there is one.
        high: its upper end.
        rounds: how often it was measured, where that is more than once.
    """

    budget: str
    limit: float
    seen: float | None
    status: VerdictStatus
    why: str
    allowed: bool = False
    low: float | None = None
    high: float | None = None
    rounds: int | None = None

    @property
    def breaks_run(self) -> bool:
        """Whether this verdict fails the run."""
        return self.status != "pass" and not (self.status == "inconclusive" and self.allowed)


class _Loss(msgspec.Struct, frozen=True):
    """How much worse the candidate is: positive is worse, whichever way the metric counts."""

    estimate: float
    low: float
    high: float


def judge_drop(
    difference: MetricDifference,
    *,
    limit: float,
    budget: str,
    allow_inconclusive: bool,
    higher_is_better: bool = True,
) -> Verdict:
    """Non-inferiority: has the candidate lost at most `limit`?

    It passes only when the whole interval of the loss lies at or below the limit, and fails when the whole
    interval lies above it; what lies between is inconclusive. A difference without an interval is judged on
    its point estimate, and says so.

    Args:
        difference: candidate minus reference.
        limit: the largest loss allowed, in points of the metric.
        budget: the name of the limit, such as `bleu_drop_max`.
        allow_inconclusive: the recipe lets an inconclusive verdict pass; it stays marked as inconclusive.
        higher_is_better: False for error rates, where a rise is the loss.
    """
    loss = _loss(difference, higher_is_better)
    measured = (loss.estimate, loss.low, loss.high)
    if any(math.isnan(value) for value in measured):
        status: VerdictStatus = "not measured"
        why = f"the difference in {difference.metric} is not a number"
        return Verdict(budget=budget, limit=limit, seen=None, status=status, why=why)
    if loss.high <= limit:
        status, relation = "pass", "at or below"
    elif loss.low > limit:
        status, relation = "fail", "above"
    else:
        status, relation = "inconclusive", "partly above"
    why = f"{_describe(difference, loss, higher_is_better)}, {relation} the limit of {limit:g}"
    if status == "inconclusive":
        why += f"; {_what_would_settle(difference, loss, limit)}"
    elif difference.low is None:
        why += "; judged on the point estimate, as the metric gives no interval"
    elif status == "pass" and (difference.num_sentences or MIN_SENTENCES) < MIN_SENTENCES:
        status = "inconclusive"
        why += f"; but {difference.num_sentences} sentences are too few to tell: use {MIN_SENTENCES} or more"
    allowed = allow_inconclusive and status == "inconclusive"
    has_interval = difference.low is not None
    return Verdict(
        budget=budget,
        limit=limit,
        seen=loss.estimate,
        status=status,
        why=why,
        allowed=allowed,
        low=loss.low if has_interval else None,
        high=loss.high if has_interval else None,
    )


def _loss(difference: MetricDifference, higher_is_better: bool) -> _Loss:
    delta = difference.delta
    low = delta if difference.low is None else difference.low
    high = delta if difference.high is None else difference.high
    # 0.0 - x rather than -x: no difference must read 0, not -0.
    return _Loss(0.0 - delta, 0.0 - high, 0.0 - low) if higher_is_better else _Loss(delta, low, high)


def _describe(difference: MetricDifference, loss: _Loss, higher_is_better: bool) -> str:
    fell = (loss.estimate > 0) == higher_is_better
    verb = "is unchanged" if loss.estimate == 0 else f"{'fell' if fell else 'rose'} by {abs(loss.estimate):.2f}"
    text = f"{difference.metric} {verb}"
    if difference.low is None:
        return text
    return f"{text} (loss {loss.low:.2f} to {loss.high:.2f} at {difference.confidence:.0%} confidence)"


def _what_would_settle(difference: MetricDifference, loss: _Loss, limit: float) -> str:
    """Advice on the size of the test set: an interval's width shrinks as 1/sqrt(N)."""
    margin = limit - loss.estimate
    if margin == 0:
        return "the loss stands on the limit, and no number of sentences would settle it"
    reach = loss.high - loss.estimate if margin > 0 else loss.estimate - loss.low
    factor = (reach / margin) ** 2
    size = _test_set_size(factor, difference.num_sentences)
    if margin > 0:
        return f"{size} would settle it if the loss stays as it is"
    return f"the point estimate itself breaks the budget, and {size} would show that if the loss stays as it is"


def _test_set_size(factor: float, num_sentences: int | None) -> str:
    if factor > _MANY_TIMES:
        return f"more than {_MANY_TIMES:.0f} times as many sentences"
    if num_sentences is None:
        return f"about {factor:.1f} times as many sentences"
    needed = round(factor * num_sentences)
    step = 10 ** max(len(str(needed)) - 2, 0)  # two significant digits: it is an estimate
    return f"about {round(needed / step) * step:,} sentences"


def judge_max(value: float | None, *, limit: float, budget: str, unit: str = "") -> Verdict:
    """Is a measured number at most `limit`? None (or not a number) is `not measured`, which fails the run.

    Args:
        value: what was measured, in the unit of the limit.
        limit: the largest value allowed.
        budget: the name of the limit, such as `size_mb_max`.
        unit: how to write the unit behind both numbers.
    """
    return _judge_limit(value, limit, is_within=value is not None and value <= limit, budget=budget, unit=unit)


def judge_min(value: float | None, *, limit: float, budget: str, unit: str = "") -> Verdict:
    """Is a measured number at least `limit`? As `judge_max` otherwise."""
    return _judge_limit(value, limit, is_within=value is not None and value >= limit, budget=budget, unit=unit)


def _judge_limit(value: float | None, limit: float, *, is_within: bool, budget: str, unit: str) -> Verdict:
    suffix = f" {unit}" if unit else ""
    if value is None or math.isnan(value):
        why = f"nothing was measured to hold against the limit of {limit:g}{suffix}"
        return Verdict(budget=budget, limit=limit, seen=None, status="not measured", why=why)
    relation = "within" if is_within else "outside"
    seen = f"{value:.4g}"
    if float(seen) == limit != value:
        seen = repr(value)  # never "12 is outside the limit of 12"
    why = f"{seen}{suffix} is {relation} the limit of {limit:g}{suffix}"
    return Verdict(budget=budget, limit=limit, seen=value, status="pass" if is_within else "fail", why=why)


def judge_rounds(
    values: Sequence[float | None], *, limit: float, budget: TimedBudget, allow_inconclusive: bool
) -> Verdict:
    """Does the whole interval of what was measured again and again lie within the limit?

    As of `judge_drop`: it passes where all of it does, fails where none of it does, and is inconclusive between.

    Args:
        values: one a round, in the unit of the limit; a None among them is `not measured`.
        limit: the largest value allowed, or the smallest.
        budget: what is limited, and how.
        allow_inconclusive: the recipe lets an inconclusive verdict pass; it stays marked as inconclusive.

    Raises:
        ValueError: there are too few rounds for an interval.
    """
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return _judge_limit(None, limit, is_within=False, budget=budget.name, unit=budget.unit)
    seen = median_interval(known)
    inside, outside = (
        (seen.low >= limit, seen.high < limit) if budget.is_floor else (seen.high <= limit, seen.low > limit)
    )
    status: VerdictStatus = "pass" if inside else "fail" if outside else "inconclusive"
    return Verdict(
        budget=budget.name,
        limit=limit,
        seen=seen.median,
        status=status,
        why=_describe_rounds(seen, status, rounds=len(known), limit=limit, unit=budget.unit),
        allowed=allow_inconclusive and status == "inconclusive",
        low=seen.low,
        high=seen.high,
        rounds=len(known),
    )


def _describe_rounds(seen: SeriesInterval, status: VerdictStatus, *, rounds: int, limit: float, unit: str) -> str:
    suffix = unit if unit == "×" else f" {unit}"
    text = f"{seen.median:.4g}{suffix} ({seen.low:.4g} to {seen.high:.4g} at 95% confidence, {rounds} rounds)"
    if status != "inconclusive":
        return f"{text} is {'within' if status == 'pass' else 'outside'} the limit of {limit:g}{suffix}"
    return f"{text} lies on both sides of the limit of {limit:g}{suffix}; take more rounds, or a quieter machine"
