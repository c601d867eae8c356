"""What the budgets of a `verify` step say of its measurement.

Owns the names of these budgets, and which figure each one limits. The measurement is cached and knows no budget:
another limit is judged anew on the same figures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from lingolite_cli.benchmark.figures import Timing
from lingolite_cli.benchmark.rounds import Trial
from lingolite_cli.budgets.parity import PARITY_BUDGETS, judge_parity
from lingolite_cli.budgets.timed import SIZE_BUDGETS, TIMED_BUDGETS
from lingolite_cli.budgets.verdicts import Verdict, judge_drop, judge_max, judge_min
from lingolite_cli.evaluation.degeneration import FAULT_KINDS
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_cli.recipe.model import VerifyStep
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice
from lingolite_cli.recipe.steps.evaluate import PlannedEvaluation
from lingolite_cli.recipe.work.timing import (
    Contender,
    TimingRule,
    draw_sentences,
    judge_timed,
    make_system,
    needs_reference,
    timed_budget,
)
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.results import StepResult, VerifyResult

_NEW_FAULTS = {f"new_{kind}_max": kind for kind in FAULT_KINDS}
FIXED_BUDGETS = (*SIZE_BUDGETS, *TIMED_BUDGETS, *PARITY_BUDGETS, *_NEW_FAULTS)
"""Budgets that every `verify` step may have, whatever its metrics."""


class PlannedVerification(PlannedStep, frozen=True, kw_only=True):
    """A `verify` step with the two evaluations that it compares, and the metrics that both have."""

    step: VerifyStep
    reference: PlannedEvaluation
    candidate: PlannedEvaluation
    metrics: tuple[PluginChoice, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Both evaluations, and the artifacts that they evaluated."""
        first, second = self.reference.step, self.candidate.step
        return first.id, second.id, second.model, first.model

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The reference's backend, the candidate's, and the metrics."""
        return self.reference.backend, self.candidate.backend, *self.metrics


def metric_budgets(choice: PluginChoice) -> tuple[str, ...]:
    """The budgets on a metric: its loss, and its value, from below, from above for error rates, or from both sides."""
    return metric_budget_names(choice.loaded.spec)


def metric_budget_names(spec: MetricSpec) -> tuple[str, ...]:
    """As `metric_budgets`, of a metric that may not be usable here."""
    ends = ["min"] if spec.goal == "higher" else ["max"] if spec.goal == "lower" else ["min", "max"]
    return tuple(f"{spec.name}_{end}" for end in ("drop_max", *ends))


def judge(planned: PlannedVerification, workspace: Workspace, measured: StepResult) -> VerifyResult:
    """The measurement of a `verify` step with a verdict for each of its budgets; those on time are measured now."""
    step = planned.step
    assert isinstance(measured, VerifyResult)
    judges = _judges(step, planned, measured)
    timing, timed = _judge_timed(planned, workspace)
    verdicts = [timed[budget] if budget in timed else judges[budget](limit) for budget, limit in step.budget.items()]
    return msgspec.structs.replace(measured, verdicts=verdicts, timing=timing)


def _judge_timed(planned: PlannedVerification, workspace: Workspace) -> tuple[Timing | None, dict[str, Verdict]]:
    step = planned.step
    budget = timed_budget(step.budget)
    if not budget:
        return None, {}
    sides = (planned.reference, planned.candidate) if needs_reference(budget) else (planned.candidate,)
    contenders = [_contender(evaluated, step, workspace) for evaluated in sides]
    rule = TimingRule(
        rounds=step.timing.rounds, max_rounds=step.timing.max_rounds, allow_inconclusive=step.allow_inconclusive
    )
    systems, verdicts = judge_timed(budget, contenders, rule, console=workspace.console, label=step.id)
    timing = Timing(
        num_sentences=len(contenders[-1].trial.sources),
        batch_size=step.timing.batch_size,
        threads=workspace.threads,
        systems=systems,
    )
    return timing, verdicts


def _contender(evaluated: PlannedEvaluation, step: VerifyStep, workspace: Workspace) -> Contender:
    """A system that was evaluated, on a sample of what it was evaluated on."""
    sources = workspace.corpus(evaluated.step.corpus).sources[: evaluated.step.max_samples]
    trial = Trial(
        sources=draw_sentences(sources, step.timing.num_sentences, seed=workspace.seed),
        languages=evaluated.languages,
        decoding=evaluated.decoding,
        batch_size=step.timing.batch_size,
    )
    system = make_system(
        evaluated.step.id, evaluated.backend, evaluated.step.model, threads=workspace.threads, workspace=workspace
    )
    return Contender(system, trial)


def _judges(
    step: VerifyStep, planned: PlannedVerification, measured: VerifyResult
) -> dict[str, Callable[[float], Verdict]]:
    """For each budget, what makes a verdict of its limit."""
    found: dict[str, Callable[[float], Verdict]] = {
        "size_mb_max": partial(_at_most, measured.size_mb, "size_mb_max", unit="MB"),
        "size_ratio_max": partial(_at_most, measured.size_ratio, "size_ratio_max"),
        "download_mb_max": partial(_at_most, measured.download_mb, "download_mb_max", unit="MB"),
        "download_ratio_max": partial(_at_most, measured.download_ratio, "download_ratio_max"),
        **{budget: partial(judge_parity, budget, measured.parity) for budget in PARITY_BUDGETS},
    }
    new = {fault.kind: len(fault.new) for fault in measured.faults}
    for budget, kind in _NEW_FAULTS.items():
        found[budget] = partial(_at_most, new[kind], budget, unit="sentences")
    for choice, difference in zip(planned.metrics, measured.differences, strict=True):
        drop, *limits = metric_budgets(choice)
        found[drop] = partial(_drop, step, difference, drop)
        for limit in limits:
            judge = _at_least if limit.endswith("_min") else _at_most
            found[limit] = partial(judge, difference.candidate, limit)
    return found


def _at_most(value: float | None, budget: str, limit: float, *, unit: str = "") -> Verdict:
    return judge_max(value, limit=limit, budget=budget, unit=unit)


def _at_least(value: float | None, budget: str, limit: float) -> Verdict:
    return judge_min(value, limit=limit, budget=budget)


def _drop(step: VerifyStep, difference: MetricDifference, budget: str, limit: float) -> Verdict:
    return judge_drop(difference, limit=limit, budget=budget, allow_inconclusive=step.allow_inconclusive)
