"""Budgets judged: what was measured against a limit, with the reason in words.

Owns the verdict and the rule for each kind of limit. Pure functions of numbers: nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import msgspec

from lingolite_cli.benchmark.noise import SeriesInterval, median_interval
from lingolite_cli.budgets.timed import TimedBudget
from lingolite_cli.evaluation.differences import Loss, MetricDifference
from lingolite_cli.evaluation.intervals import SIGNIFICANT, spelled

VerdictStatus = Literal["pass", "fail", "inconclusive", "not measured"]

POWER = 0.8
"""How often the test set that is advised would settle an inconclusive verdict, were the true loss the one seen."""

_MANY_TIMES = 100.0
"""Beyond this many times the test set, a count of sentences is no longer advice."""


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


def judge_drop(difference: MetricDifference, *, limit: float, budget: str, allow_inconclusive: bool) -> Verdict:
    """Non-inferiority: has the candidate lost at most `limit`?

    It passes only when the whole interval of the loss lies at or below the limit, also were one sentence more lost; it
    fails when the whole interval lies above it; what lies between is inconclusive. A difference without an interval is
    judged on its point estimate, and says so.

    Args:
        difference: candidate minus reference.
        limit: the largest loss allowed, in points of the metric.
        budget: the name of the limit, such as `bleu_drop_max`.
        allow_inconclusive: the recipe lets an inconclusive verdict pass; it stays marked as inconclusive.
    """
    loss = difference.loss
    if any(math.isnan(value) for value in (loss.estimate, loss.low, loss.upper)):
        why = f"the difference in {difference.metric} is not a number"
        return Verdict(budget=budget, limit=limit, seen=None, status="not measured", why=why)
    status, relation = _place(loss, limit)
    why = f"{_describe(difference)}, {relation}"
    if status == "inconclusive":
        why += f"; {_what_would_settle(loss, limit, difference)}"
    elif difference.low is None:
        why += "; judged on the point estimate, as the metric gives no interval"
    elif loss.low == loss.high and difference.num_sentences is not None:
        why += f"; {_what_may_hide(difference.num_sentences)}"
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


def _place(loss: Loss, limit: float) -> tuple[VerdictStatus, str]:
    """The verdict on a loss, and where it lies, in words."""
    if loss.upper <= limit:
        guarded = f", also were one sentence more lost (up to {loss.upper:.2f})" if loss.upper > loss.high else ""
        return "pass", f"at or below the limit of {limit:g}{guarded}"
    if loss.low > limit:
        return "fail", f"above the limit of {limit:g}"
    if loss.high > limit:
        return "inconclusive", f"partly above the limit of {limit:g}"
    return (
        "inconclusive",
        f"within the limit of {limit:g}, but up to {loss.guarded_high:.2f} were one sentence more lost",
    )


def _describe(difference: MetricDifference) -> str:
    change = difference.delta
    verb = "is unchanged" if change == 0 else f"{'fell' if change < 0 else 'rose'} by {abs(change):.2f}"
    text = f"{difference.metric} {verb}"
    if difference.low is None:
        return text
    loss = difference.loss
    return f"{text} (loss {spelled(loss.low, loss.high, '{:.2f}'.format)} at {difference.confidence:.0%} confidence)"


def _what_may_hide(num_sentences: int) -> str:
    """What a test set without any difference leaves open: the exact bound of Clopper and Pearson at no failure in N."""
    share = 1.0 - 0.05 ** (1.0 / num_sentences)
    return f"no difference was seen, and failures in up to {share:.1%} of sentences may hide from {num_sentences:,}"


def settling_factor(loss: Loss, limit: float, *, confidence: float) -> float:
    """How many times as many sentences settle an inconclusive verdict in `POWER` of all test sets.

    Were the true loss the one seen: with f times the sentences the interval's half-width h shrinks to h / sqrt(f), and
    what the guard adds, g, which is due to one sentence, to g / f. The estimate of another test set is itself spread,
    with the standard error h / z. So the distance d from the loss to the limit must be
    (1 + z_power / z) · (h / sqrt(f) + g / f), a quadratic equation in 1 / sqrt(f).

    Args:
        loss: as seen; not the limit itself.
        limit: of the budget.
        confidence: of the interval.
    """
    distance = abs(limit - loss.estimate)
    is_within = loss.estimate < limit
    quantile = NormalDist().inv_cdf
    allowance = 1.0 + quantile(POWER) / quantile((1.0 + confidence) / 2.0)
    reach = allowance * (loss.high - loss.estimate if is_within else loss.estimate - loss.low)
    guard = allowance * (loss.upper - loss.high) if is_within else 0.0
    return ((reach + math.sqrt(reach**2 + 4.0 * guard * distance)) / (2.0 * distance)) ** 2


def _what_would_settle(loss: Loss, limit: float, difference: MetricDifference) -> str:
    """Advice on the size of the test set."""
    if loss.estimate == limit:
        return "the loss stands on the limit, and no number of sentences would settle it"
    factor = settling_factor(loss, limit, confidence=difference.confidence)
    size = _test_set_size(factor, difference.num_sentences)
    if loss.estimate < limit:
        return f"{size} would settle it, were the true loss the one seen"
    return f"the loss seen breaks the budget, and {size} would show that, were it the true loss"


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
    text = f"{seen.median:.4g}{suffix} ({spelled(seen.low, seen.high, SIGNIFICANT)} at 95% confidence, {rounds} rounds)"
    if status != "inconclusive":
        return f"{text} is {'within' if status == 'pass' else 'outside'} the limit of {limit:g}{suffix}"
    return f"{text} lies on both sides of the limit of {limit:g}{suffix}; take more rounds, or a quieter machine"
