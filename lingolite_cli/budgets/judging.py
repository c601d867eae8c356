"""The one way from what was measured to a verdict, for `verify`, `benchmark` and `search` alike.

Owns the rules for single numbers and for timed rounds, and the reason in words. The rule for losses is
`lingolite_cli.budgets.non_inferiority`. Pure functions of numbers: nothing is measured here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec

from lingolite_cli.benchmark.noise import SeriesInterval, median_interval
from lingolite_cli.budgets.budget import Budget, Estimated, Limit, PairedDrop, TimedRounds
from lingolite_cli.budgets.measurability import why_no_loss
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.non_inferiority import judge_loss
from lingolite_cli.budgets.verdicts import Verdict, VerdictStatus
from lingolite_cli.evaluation.intervals import SIGNIFICANT, spelled


def judge_all(
    limits: Mapping[str, float],
    budgets: Mapping[str, Budget],
    measured: MeasuredFigures,
    *,
    allow_inconclusive: bool,
    allow_implausible_reference: bool = False,
) -> list[Verdict]:
    """A verdict for each limit, in their order.

    Args:
        limits: by name of the budget, as a recipe has them.
        budgets: what these names mean.
        measured: what they limit.
        allow_inconclusive: the recipe lets inconclusive verdicts pass; they stay marked as inconclusive.
        allow_implausible_reference: the recipe takes its reference as it is; the verdict on it stays a failure.
    """
    verdicts = [
        judge(budgets[name], measured, limit=limit, allow_inconclusive=allow_inconclusive)
        for name, limit in limits.items()
    ]
    if not allow_implausible_reference:
        return verdicts
    return [
        msgspec.structs.replace(verdict, allowed=verdict.status != "pass")
        if budgets[verdict.budget].group == "reference"
        else verdict
        for verdict in verdicts
    ]


def judge(budget: Budget, measured: MeasuredFigures, *, limit: float, allow_inconclusive: bool = False) -> Verdict:
    """Hold one limit against what was measured. A figure that was not measured is `not measured`, which fails the run.

    Args:
        budget: what is limited, and how it is judged.
        measured: the figures.
        limit: the largest value allowed, or the smallest.
        allow_inconclusive: as in `judge_all`.
    """
    match budget.rule:
        case PairedDrop(metric=metric):
            verdict = _judge_drop(budget, metric, measured, limit)
        case TimedRounds() as rule:
            verdict = _judge_rounds(budget, rule, measured, limit)
        case Estimated() as rule:
            verdict = _judge_estimate(budget, rule, measured, limit)
        case Limit() as rule:
            verdict = _judge_limit(budget, rule, measured, limit)
    # The status stays `inconclusive`: a recipe may let it pass, and reports still show the doubt.
    is_allowed = allow_inconclusive and verdict.status == "inconclusive"
    return msgspec.structs.replace(verdict, allowed=is_allowed)


def _judge_drop(budget: Budget, metric: str, measured: MeasuredFigures, limit: float) -> Verdict:
    difference = measured.difference(metric)
    if difference is None:
        return _not_measured(budget, limit)
    missing = why_no_loss(difference)
    return judge_loss(budget.name, difference, limit) if missing is None else _not_measured(budget, limit, missing)


def _judge_limit(budget: Budget, rule: Limit, measured: MeasuredFigures, limit: float) -> Verdict:
    value = rule.read(measured)
    if value is None or math.isnan(value):
        verdict = _not_measured(budget, limit, rule.why_missing(measured))
    else:
        is_within = value >= limit if budget.is_floor else value <= limit
        relation = "within" if is_within else "outside"
        seen = f"{value:.4g}"
        if float(seen) == limit != value:
            seen = repr(value)  # four digits may read as the limit itself: never "12 is outside the limit of 12"
        why = f"{_with_unit(seen, budget)} is {relation} the limit of {_with_unit(f'{limit:g}', budget)}"
        status: VerdictStatus = "pass" if is_within else "fail"
        if not is_within:
            why = "; ".join((why, *rule.details(measured)))
        verdict = Verdict(budget=budget.name, limit=limit, seen=value, status=status, why=why)
    if verdict.status == "pass" or not rule.names_causes:
        return verdict
    cause = _cause(measured)
    return msgspec.structs.replace(verdict, why=f"{verdict.why}; {cause}") if cause else verdict


def _judge_estimate(budget: Budget, rule: Estimated, measured: MeasuredFigures, limit: float) -> Verdict:
    """Does the whole interval lie within the limit? Between is inconclusive."""
    seen = rule.read(measured)
    if seen is None:
        return _not_measured(budget, limit)
    inside, outside = (
        (seen.low >= limit, seen.high < limit) if budget.is_floor else (seen.high <= limit, seen.low > limit)
    )
    status: VerdictStatus = "pass" if inside else "fail" if outside else "inconclusive"
    relation = {"pass": "within", "fail": "outside", "inconclusive": "on both sides of"}[status]
    figure = _with_unit(f"{seen.value:.4g}", budget)
    why = (
        f"{figure} ({spelled(seen.low, seen.high, SIGNIFICANT)} at 95% confidence) is {relation} "
        f"the limit of {_with_unit(f'{limit:g}', budget)}"
    )
    return Verdict(
        budget=budget.name, limit=limit, seen=seen.value, status=status, why=why, low=seen.low, high=seen.high
    )


def _cause(measured: MeasuredFigures) -> str:
    """What a broken limit on logits or tokens is due to: what was located, or else what a pattern suggests.

    Empty where nothing was measured that could tell.
    """
    located = measured.exported.located if measured.exported else None
    if located is not None:
        return f"located: {located}"
    causes = measured.parity.causes if measured.parity else []
    if causes:
        return f"not located; the pattern suggests: {', '.join(cause.name for cause in causes)}"
    return "not located" if measured.exported and measured.exported.is_answered else ""


def _judge_rounds(budget: Budget, rule: TimedRounds, measured: MeasuredFigures, limit: float) -> Verdict:
    """Does the whole interval of the median lie within the limit? Between is inconclusive.

    Raises:
        ValueError: there are too few rounds for an interval.
    """
    values = _series(rule, measured)
    known = [value for value in values if value is not None]
    # Judging the rounds that have a value would favour a system whose slow rounds fail to report.
    if len(known) < len(values):
        return _not_measured(budget, limit)
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
        why=_describe_rounds(budget, seen, status, rounds=len(known), limit=limit),
        low=seen.low,
        high=seen.high,
        rounds=len(known),
    )


def _series(rule: TimedRounds, measured: MeasuredFigures) -> list[float | None]:
    """What is limited, one value a round; ratios are taken within a round, so that a slow machine cancels out."""
    own = [rule.read(one) for one in measured.rounds]
    if not rule.is_paired:
        return own
    reference = [rule.read(one) for one in measured.reference_rounds]
    return [
        None if mine is None or theirs is None else mine / theirs for mine, theirs in zip(own, reference, strict=True)
    ]


def _describe_rounds(budget: Budget, seen: SeriesInterval, status: VerdictStatus, *, rounds: int, limit: float) -> str:
    bound = f"the limit of {_with_unit(f'{limit:g}', budget)}"
    figure = _with_unit(f"{seen.median:.4g}", budget)
    text = f"{figure} ({spelled(seen.low, seen.high, SIGNIFICANT)} at 95% confidence, {rounds} rounds)"
    if status != "inconclusive":
        return f"{text} is {'within' if status == 'pass' else 'outside'} {bound}"
    return f"{text} lies on both sides of {bound}; take more rounds, or a quieter machine"


def _not_measured(budget: Budget, limit: float, missing: str | None = None) -> Verdict:
    bound = f"the limit of {_with_unit(f'{limit:g}', budget)}"
    why = f"not measured against {bound}: {missing}" if missing else f"nothing was measured to hold against {bound}"
    return Verdict(budget=budget.name, limit=limit, seen=None, status="not measured", why=why)


def _with_unit(number: str, budget: Budget) -> str:
    if not budget.unit:
        return number
    return f"{number}{budget.unit}" if budget.unit == "×" else f"{number} {budget.unit}"
