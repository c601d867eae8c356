"""`monitor`: what a server recorded, measured by hour and day, and judged. It is never cached: a log grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import field
from msgspec.structs import replace

from lingolite_cli.budgets.budget import Budget
from lingolite_cli.budgets.judging import judge_all
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.served import DEFAULT_LIMITS, DRIFT_LIMITS, SERVED_BUDGETS
from lingolite_cli.budgets.table import by_name, metric_budgets, metric_of_drop
from lingolite_cli.evaluation.comparison import measure_difference
from lingolite_cli.evaluation.scorer import Scorer
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.served import ServedTexts, read_signed_off
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.measured_results import MonitorResult

_RESAMPLES = 1000


class MonitorStep(Step, tag="monitor", frozen=True, kw_only=True):
    """Measure a sample log, with the older files beside it.

    `run` is the directory of the run that was signed off, or a file of its translations: with it, drift is measured.
    `references` names a text input with references for sentences that may have been served; the log must have texts
    then. Budgets are those of `lingolite_cli.budgets.served`, limits of scores for the metrics, and with `run` and
    `references` limits of their losses on what both the run and the server translated.
    """

    log: str
    run: str | None = None
    references: str | None = None
    metrics: tuple[str, ...] = ("bleu", "chrf")
    budget: dict[str, float] = field(default_factory=dict)
    allow_inconclusive: bool = False


class PlannedMonitoring(PlannedStep, frozen=True, kw_only=True):
    """A `monitor` step with the metrics that score what has references."""

    step: MonitorStep
    metrics: tuple[PluginChoice, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The references, if there are some."""
        return () if self.step.references is None else (self.step.references,)

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The metrics."""
        return self.metrics


def _check(step: MonitorStep, scope: Scope) -> PlannedMonitoring:
    """Refuse unknown metrics and budgets, and budgets that need what is not named."""
    metrics: tuple[PluginChoice, ...] = ()
    if step.references is not None:
        corpus = scope.corpus(step, "references", step.references)
        target = corpus.languages[1] if corpus.languages else None
        metrics = tuple(
            scope.plugin(step, "metrics", kind="metric", name=name, options={}, target=target) for name in step.metrics
        )
    budgets = _budgets(step, metrics)
    known = [name for name, budget in budgets.items() if step.run is not None or "run" not in budget.needs]
    scope.check_budget(step, step.budget, known=known)
    return PlannedMonitoring(step=step, metrics=metrics, summary=step.log)


def _budgets(step: MonitorStep, metrics: tuple[PluginChoice, ...]) -> dict[str, Budget]:
    """Those on the log, on scores, and on losses where there is a run to lose against."""
    specs = [choice.loaded.spec for choice in metrics]
    scores = by_name(budget for spec in specs for budget in metric_budgets(spec.name, spec.goal))
    is_paired = step.run is not None
    return {
        **SERVED_BUDGETS,
        **{name: one for name, one in scores.items() if is_paired or metric_of_drop(name) is None},
    }


def _run(planned: PlannedMonitoring, workspace: Workspace, directory: Path) -> MonitorResult:
    """Measure."""
    from lingolite_cli.monitoring.drift import measure_drift
    from lingolite_cli.monitoring.measure import MeasuredLog
    from lingolite_cli.serving.sample import read_sample_logs, rotated_logs

    step, root = planned.step, workspace.plan.root
    references = None if step.references is None else workspace.corpus(step.references)
    texts = ServedTexts(references)
    warnings: list[str] = []
    requests = read_sample_logs(rotated_logs(root / step.log), told=warnings.append)
    measured = MeasuredLog(texts.noting(requests))
    figures = measured.figures
    warnings += _doubts(texts)
    signed_off, differences, num_paired = None, [], 0
    if step.run is not None:
        signed_off = read_signed_off(root / step.run)
        figures = replace(figures, drifts=measure_drift(signed_off.counts, measured.total))
        warnings += signed_off.doubts(figures)
    scorers = {
        choice.loaded.spec.name: Scorer(workspace.create(choice), choice.loaded.spec) for choice in planned.metrics
    }
    scores = {name: scorer.score(texts.translations) for name, scorer in scorers.items() if texts.translations.sources}
    if signed_off is not None and scores:
        paired = texts.paired(signed_off)
        num_paired = len(paired.served.sources)
        differences = [
            measure_difference(name, scorer, *paired, seed=workspace.seed, resamples=_RESAMPLES)
            for name, scorer in scorers.items()
            if num_paired
        ]
        if not num_paired:
            warnings.append("the run signed off translated none of the served sentences that have a reference")
    return MonitorResult(
        log=step.log,
        served=figures,
        run=step.run,
        num_signed_off=0 if signed_off is None else signed_off.counts.number,
        metrics=scores,
        num_scored=len(texts.translations.sources),
        differences=differences,
        num_paired=num_paired,
        warnings=warnings,
    )


def _doubts(texts: ServedTexts) -> Iterator[str]:
    if texts.has_references and not texts.has_texts:
        yield "the log has no texts, so that nothing has a reference: `lingolite serve --sample-texts` records them"
    elif texts.has_references and not texts.translations.sources:
        yield "no sentence with a reference was served"


def _judge(planned: PlannedMonitoring, workspace: Workspace, measured: MonitorResult) -> MonitorResult:
    """The limits of the step, over those that hold by default."""
    step, budgets = planned.step, _budgets(planned.step, planned.metrics)
    standing = {**DEFAULT_LIMITS, **(DRIFT_LIMITS if step.run is not None else {}), **step.budget}
    figures = MeasuredFigures(
        served=measured.served,
        served_scores={name: score.value for name, score in measured.metrics.items()},
        differences=measured.differences,
    )
    limits = {name: standing[name] for name in budgets if name in standing}
    return replace(measured, verdicts=judge_all(limits, budgets, figures, allow_inconclusive=step.allow_inconclusive))


KIND = StepKind(table=MonitorStep, result=MonitorResult, check=_check, run=_run, judge=_judge, not_cached="a log grows")
