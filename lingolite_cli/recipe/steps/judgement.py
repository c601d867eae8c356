"""What the budgets of a `verify` step say of its measurement.

Owns the names of these budgets, and which figure each one limits. The measurement is cached and knows no budget:
another limit is judged anew on the same figures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from lingolite_cli.evaluation.degeneration import FAULTS
from lingolite_cli.evaluation.verdicts import MetricDifference, Verdict, judge_drop, judge_max, judge_min
from lingolite_cli.recipe.model import VerifyStep
from lingolite_cli.recipe.record import StepResult, VerifyResult
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice
from lingolite_cli.recipe.workspace import Workspace

_NEW_FAULTS = {f"new_{kind}_max": kind for kind in FAULTS}
FIXED_BUDGETS = ("size_mb_max", "size_ratio_max", "parity_min", "exact_match_min", *_NEW_FAULTS)
"""Budgets that every `verify` step may have, whatever its metrics."""


def limit_name(choice: PluginChoice) -> str:
    """The budget on a metric's value itself: a floor, or a ceiling for error rates."""
    spec = choice.loaded.spec
    return f"{spec.name}_min" if spec.higher_is_better else f"{spec.name}_max"


def judge(planned: PlannedStep, workspace: Workspace, measured: StepResult) -> VerifyResult:
    """The measurement of a `verify` step with a verdict for each of its budgets."""
    step = planned.step
    assert isinstance(step, VerifyStep)
    assert isinstance(measured, VerifyResult)
    judges = _judges(step, planned, measured)
    return msgspec.structs.replace(measured, verdicts=[judges[budget](limit) for budget, limit in step.budget.items()])


def _judges(step: VerifyStep, planned: PlannedStep, measured: VerifyResult) -> dict[str, Callable[[float], Verdict]]:
    """For each budget, what makes a verdict of its limit."""
    parity = measured.parity
    found: dict[str, Callable[[float], Verdict]] = {
        "size_mb_max": partial(_at_most, measured.size_mb, "size_mb_max", "MB"),
        "size_ratio_max": partial(_at_most, measured.size_ratio, "size_ratio_max", ""),
        "parity_min": partial(_at_least, parity.top1_agreement if parity else None, "parity_min"),
        "exact_match_min": partial(_at_least, parity.exact_match if parity else None, "exact_match_min"),
    }
    new = {fault.kind: len(fault.new) for fault in measured.faults}
    for budget, kind in _NEW_FAULTS.items():
        found[budget] = partial(_at_most, new[kind], budget, "sentences")
    for choice, difference in zip(planned.plugins[2:], measured.differences, strict=True):
        found[f"{difference.metric}_drop_max"] = partial(_drop, step, choice, difference)
        found[limit_name(choice)] = partial(_score, choice, difference)
    return found


def _at_most(value: float | None, budget: str, unit: str, limit: float) -> Verdict:
    return judge_max(value, limit=limit, budget=budget, unit=unit)


def _at_least(value: float | None, budget: str, limit: float) -> Verdict:
    return judge_min(value, limit=limit, budget=budget)


def _drop(step: VerifyStep, choice: PluginChoice, difference: MetricDifference, limit: float) -> Verdict:
    return judge_drop(
        difference,
        limit=limit,
        budget=f"{difference.metric}_drop_max",
        allow_inconclusive=step.allow_inconclusive,
        higher_is_better=choice.loaded.spec.higher_is_better,
    )


def _score(choice: PluginChoice, difference: MetricDifference, limit: float) -> Verdict:
    judge = judge_min if choice.loaded.spec.higher_is_better else judge_max
    return judge(difference.candidate, limit=limit, budget=limit_name(choice))
