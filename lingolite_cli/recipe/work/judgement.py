"""The verdicts of a `verify` step on its measurement.

Owns what such a step uses, which budgets it may have, and what of its measurement they limit. The measurement is cached
and knows no budget: another limit is judged anew on the same figures. Timed rounds are never cached and are taken here.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Annotated

import msgspec
from msgspec import Meta, field

from lingolite_cli.benchmark.figures import RecordedTiming, TimedSystem, Timing
from lingolite_cli.benchmark.noise import MIN_ROUNDS
from lingolite_cli.benchmark.rounds import RoundWorkload, SystemWorkload
from lingolite_cli.budgets.budget import Budget
from lingolite_cli.budgets.judging import judge_all
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS, by_name, metric_budgets
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.recipe.model import Positive, RecipeTable, Resamples, Rounds, Step
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice
from lingolite_cli.recipe.work.evaluation import PlannedEvaluation
from lingolite_cli.recipe.work.exported import BundleSource
from lingolite_cli.recipe.work.timing import (
    TimingRule,
    draw_sentences,
    make_system,
    needs_reference,
    take_rounds,
    timed_limits,
    with_rounds,
)
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.measured_results import VerifyResult

_REFERENCE = "reference_doubts_max"
"""Judged wherever there is a doubt: nothing can be proved against a system that does not translate."""


class TimingTable(RecipeTable, frozen=True, kw_only=True):
    """How budgets on time and memory are measured, if there are any.

    Each round is a fresh process a system, with `num_sentences` one at a time and in batches of `batch_size`. Where
    `rounds` leave a verdict unsure, more are taken, up to `max_rounds`.
    """

    num_sentences: Positive = 64
    batch_size: Positive = 1
    rounds: Rounds = MIN_ROUNDS
    max_rounds: Rounds = 4 * MIN_ROUNDS


class VerifyStep(Step, tag="verify", frozen=True, kw_only=True):
    """Judge one `evaluate` step against another on the same corpus.

    Budgets are those of `lingolite_cli.budgets.table`, with a family for each metric that both steps have. Logits are
    compared on `parity_samples` sentences. A reference whose translations are implausible fails the step unless
    `allow_implausible_reference`. `exported_from` names the bundle that the candidate was exported from, where
    neither the recipe nor the cache has it.
    """

    reference: str
    candidate: str
    exported_from: str | None = None
    budget: dict[str, float] = field(default_factory=dict)
    allow_inconclusive: bool = False
    allow_implausible_reference: bool = False
    timing: TimingTable = TimingTable()
    resamples: Resamples = 1000
    worst: Annotated[int, Meta(ge=0)] = 20
    parity_samples: Positive = 256


class PlannedVerification(PlannedStep, frozen=True, kw_only=True):
    """A `verify` step with the two evaluations that it compares, and the metrics that both have."""

    step: VerifyStep
    reference: PlannedEvaluation
    candidate: PlannedEvaluation
    metrics: tuple[PluginChoice, ...]
    exported_from: BundleSource | None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Both evaluations, the artifacts that they evaluated, and the bundle that the candidate was exported from."""
        first, second = self.reference.step, self.candidate.step
        origin = self.exported_from.reference if self.exported_from is not None else None
        both = (first.id, second.id, second.model, first.model)
        return both if origin is None or origin in both else (*both, origin)

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The reference's backend, the candidate's, and the metrics."""
        return self.reference.backend, self.candidate.backend, *self.metrics


def verify_budgets(metrics: Iterable[PluginChoice]) -> dict[str, Budget]:
    """The budgets that a `verify` step with these metrics may have, by name."""
    specs = [choice.loaded.spec for choice in metrics]
    compared = {name: budget for name, budget in BUDGETS.items() if budget.needs != "goldens"}
    return {**compared, **by_name(budget for spec in specs for budget in metric_budgets(spec.name, spec.goal))}


def judge_verification(planned: PlannedVerification, workspace: Workspace, measured: VerifyResult) -> VerifyResult:
    """The measurement of a `verify` step with a verdict for each of its budgets; those on time are measured now."""
    step = planned.step
    timing = _take_timing(planned, workspace)
    budgets = verify_budgets(planned.metrics)
    # What an engine's rounding explains is not a matter of taste: those limits hold unless the recipe has others. They
    # are put in the order of the table, because a result from the cache has its keys in another one.
    defaults = measured.exported.limits if measured.exported is not None else {}
    if measured.reference_doubts:
        defaults = {_REFERENCE: 0, **defaults}
    standing = {name: defaults[name] for name in budgets if name in defaults}
    verdicts = judge_all(
        {**standing, **step.budget},
        budgets,
        with_rounds(_measurements(measured), [] if timing is None else timing.systems),
        allow_inconclusive=step.allow_inconclusive,
        allow_implausible_reference=step.allow_implausible_reference,
    )
    return msgspec.structs.replace(measured, verdicts=verdicts, timing=timing)


def _measurements(measured: VerifyResult) -> MeasuredFigures:
    """What budgets limit of a result."""
    return MeasuredFigures(
        differences=measured.differences,
        parity=measured.parity,
        exported=measured.exported,
        faults=measured.faults,
        reference_doubts=measured.reference_doubts,
        size_mb=measured.size_mb,
        size_ratio=measured.size_ratio,
        download_mb=measured.download_mb,
        download_ratio=measured.download_ratio,
    )


def _take_timing(planned: PlannedVerification, workspace: Workspace) -> Timing | None:
    """Rounds of the candidate, with the reference where a limit is relative to it; None where no budget needs any."""
    step = planned.step
    limits = timed_limits(step.budget)
    if not limits:
        return None
    if "recorded" in planned.candidate.backend.loaded.spec.capabilities:
        return _recorded_timing(planned, workspace)
    sides = (planned.reference, planned.candidate) if needs_reference(limits) else (planned.candidate,)
    systems = [_system(evaluated, step, workspace) for evaluated in sides]
    rule = TimingRule(rounds=step.timing.rounds, max_rounds=step.timing.max_rounds)
    return Timing(
        num_sentences=len(systems[-1].workload.sources),
        batch_size=step.timing.batch_size,
        threads=workspace.threads,
        systems=take_rounds(limits, systems, rule, console=workspace.console, label=step.id),
    )


def _recorded_timing(planned: PlannedVerification, workspace: Workspace) -> Timing:
    """Rounds that were taken on another machine, as its record has them."""
    candidate = planned.candidate
    with closing(workspace.open_backend(candidate.backend, workspace.artifact(candidate.step.model))) as backend:
        recorded: RecordedTiming = backend.recorded_timing()
    if len(recorded.rounds) < MIN_ROUNDS:
        raise LingoLiteError(
            f"{candidate.step.id} was timed in {len(recorded.rounds)} rounds, and a verdict needs {MIN_ROUNDS}: "
            f"{recorded.machine}",
            hint="take them there, or leave out budgets on time and memory",
        )
    return Timing(
        num_sentences=recorded.num_sentences,
        batch_size=1,
        threads=workspace.threads,
        systems=[TimedSystem(name=candidate.step.id, rounds=recorded.rounds)],
        machine=recorded.machine,
    )


def _system(evaluated: PlannedEvaluation, step: VerifyStep, workspace: Workspace) -> SystemWorkload:
    """A system that was evaluated, on a sample of what it was evaluated on."""
    sources = workspace.corpus(evaluated.step.corpus).sources[: evaluated.step.max_samples]
    workload = RoundWorkload(
        sources=draw_sentences(sources, step.timing.num_sentences, seed=workspace.seed),
        languages=evaluated.languages,
        decoding=evaluated.decoding,
        batch_size=step.timing.batch_size,
    )
    system = make_system(
        evaluated.step.id, evaluated.backend, evaluated.step.model, threads=workspace.threads, workspace=workspace
    )
    return SystemWorkload(system, workload)
