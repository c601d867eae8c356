"""`search`: the smallest mix of precisions that meets a budget, found by measuring.

Owns what is measured and in which order it is told; which mixes are tried is up to
`lingolite_cli.precision_search.strategy`.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

import msgspec

from lingolite_cli.budgets.judging import judge
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import drop_budget
from lingolite_cli.errors import ExitCode, LingoLiteError, did_you_mean
from lingolite_cli.evaluation.comparison import measure_difference
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.intervals import with_interval
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.plugins.specs import BackendSpec, QuantizerSpec
from lingolite_cli.precision_search.figures import Sensitivity, Trial
from lingolite_cli.precision_search.strategy import Space, find_smallest
from lingolite_cli.precision_search.units import Mix, Unit, assignment, units_of
from lingolite_cli.recipe.keys import describe_work
from lingolite_cli.recipe.scope import PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.evaluation import PlannedEvaluation, find_evaluation, read_evaluation
from lingolite_cli.recipe.work.mixes import MixMeasurement, MixRequest
from lingolite_cli.recipe.work.trials import PlannedSearch, SearchStep, Trials
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.runs.step_result import ArtifactSummary
from lingolite_cli.runs.translations import as_translations


def _check(step: SearchStep, scope: Scope) -> PlannedSearch:
    """Refuse quantizers without selectable precisions, unknown precisions, and anything but one budget on a loss."""
    evaluation = find_evaluation(step, scope, key="reference", reference=step.reference)
    evaluated = evaluation.step
    quantizer = _quantizer(step, scope)
    format = scope.artifact_format(step, "reference", evaluated.model)
    scope.accepted(step, quantizer, format=format, reference=evaluated.model)
    produces = quantizer.loaded.spec.produces
    precisions = _precisions(step, scope, quantizer)
    return PlannedSearch(
        step=step,
        evaluation=evaluation,
        quantizer=quantizer,
        backend=_backend(step, scope, evaluation, format=produces),
        metric=_metric(step, scope, evaluation),
        executor=scope.plugin(
            step, "executor", kind="executor", name=step.executor, options=step.executor_options
        ).loaded,
        options={
            "precisions": precisions,
            "granularity": step.granularity,
            "budget": step.budget,
            "allow_inconclusive": step.allow_inconclusive,
            "max_trials": step.max_trials,
            "sample": step.sample,
            "resamples": step.resamples,
            "evaluation": evaluation.options,
        },
        produces=produces,
        origin=scope.origin(evaluated.model),
        summary=f"{evaluated.model} in {', '.join(precisions)} by {step.granularity}, {_limit(step)}",
    )


def _quantizer(step: SearchStep, scope: Scope) -> PluginChoice:
    for key in ("default", "layers"):
        if key in step.options:
            raise scope.error(step, f"options.{key}", "this is what a search finds", hint="leave it out")
    choice = scope.plugin(step, "method", kind="quantizer", name=step.method, options=step.options)
    if not choice.loaded.spec.precisions:
        entries = scope.registry.of_kind("quantizer")
        able = [entry.name for entry in entries if isinstance(entry.spec, QuantizerSpec) and entry.spec.precisions]
        raise scope.error(
            step,
            "method",
            f"quantizer `{step.method}` gives all matrices the same precision",
            hint=f"choose one that mixes them: {', '.join(able) or 'none is installed'}",
        )
    if choice.loaded.spec.needs:
        raise scope.error(
            step, "method", f"quantizer `{step.method}` needs {' and '.join(sorted(choice.loaded.spec.needs))} data"
        )
    return choice


def _backend(step: SearchStep, scope: Scope, evaluation: PlannedEvaluation, *, format: str) -> PluginChoice:
    """The backend that the step names, or that of the evaluation."""
    name = step.backend or evaluation.backend.loaded.spec.name
    options = step.backend_options if step.backend else evaluation.step.options
    choice = scope.plugin(step, "backend", kind="backend", name=name, options=options)
    if format in choice.loaded.spec.accepts and choice.loaded.spec.gives_logits:
        return choice
    why = f"does not run {format}, which `{step.method}` makes"
    if format in choice.loaded.spec.accepts:
        why = "searches by itself and gives no logits, which cross-entropies are made of"
    able = [
        entry.name
        for entry in scope.registry.of_kind("backend")
        if isinstance(entry.spec, BackendSpec) and format in entry.spec.accepts and entry.spec.gives_logits
    ]
    raise scope.error(
        step,
        "backend",
        f"backend `{name}` {why}",
        hint=f"choose another: {', '.join(able) or 'none is installed'}",
    )


def _precisions(step: SearchStep, scope: Scope, quantizer: PluginChoice) -> list[str]:
    """Those asked for, from the smallest; by default all but the last, which is lossless and saves nothing."""
    known: tuple[str, ...] = quantizer.loaded.spec.precisions
    if step.precisions is None:
        return list(known[:-1])
    if not step.precisions:
        raise scope.error(step, "precisions", "there is nothing to choose from", hint=f"known: {', '.join(known)}")
    for name in step.precisions:
        if name not in known:
            raise scope.error(
                step, "precisions", f"`{step.method}` has no precision `{name}`", hint=did_you_mean(name, known)
            )
    return [name for name in known if name in step.precisions]


def _metric(step: SearchStep, scope: Scope, evaluation: PlannedEvaluation) -> PluginChoice:
    """The metric of the one budget."""
    ranking = [choice for choice in evaluation.metrics if choice.loaded.spec.ranks]
    metrics = {drop_budget(choice.loaded.spec.name).name: choice for choice in ranking}
    if not metrics:
        raise scope.error(step, "reference", f"`{step.reference}` has no metric that tells the better mix")
    if len(step.budget) != 1:
        raise scope.error(step, "budget", "a search needs one budget", hint=f"for example {next(iter(metrics))} = 0.5")
    scope.check_budget(step, step.budget, known=list(metrics))
    return metrics[next(iter(step.budget))]


def _limit(step: SearchStep) -> str:
    return ", ".join(f"{name} {limit:g}" for name, limit in step.budget.items())


def _run(planned: PlannedSearch, workspace: Workspace, directory: Path) -> SearchResult:
    """Try uniform precisions, rank the units, try mixes, and make the smallest that fits.

    Raises:
        LingoLiteError: none fits (exit code 3).
    """
    search = _Search(planned, workspace)
    with closing(search.trials):
        largest = search.try_uniform()
        sensitivities = search.rank(largest)
        chosen = search.try_mixes(largest, sensitivities)
    artifact = search.trials.make(assignment(search.units, chosen), directory)
    return search.result(sensitivities, chosen, summarize_artifact(artifact))


def _search_state(planned: PlannedSearch, workspace: Workspace) -> Path:
    """Where the measurements of a search are kept: under a key of what they depend on, which excludes the budget."""
    measured = msgspec.structs.replace(planned, options={"evaluation": planned.options["evaluation"]})
    digests = {reference: workspace.input_digest(reference) for reference in planned.inputs}
    description = describe_work(measured, workspace.plan, digests)
    return workspace.state_root / "search" / sha256_json(description)


class _Search:
    """The work of one step.

    Attributes:
        units: what gets a precision each.
        trials: where mixes are measured.
    """

    def __init__(self, planned: PlannedSearch, workspace: Workspace) -> None:
        self._step = planned.step
        self._workspace = workspace
        self._metric = planned.metric
        self._precisions: list[str] = planned.options["precisions"]
        self._known: tuple[str, ...] = planned.quantizer.loaded.spec.precisions
        self._lossless = self._known[-1]
        self._evaluated, self._records = read_evaluation(workspace, self._step.reference)
        self._sample = _spread(len(self._records), self._step.sample)
        self.units = units_of(workspace.artifact(planned.evaluation.step.model).manifest.model, self._step.granularity)
        self.trials = self._open(planned)
        self._judged: dict[Mix, Trial] = {}

    def _open(self, planned: PlannedSearch) -> Trials:
        state = _search_state(planned, self._workspace)
        if self._workspace.is_fresh:
            shutil.rmtree(state, ignore_errors=True)
        return Trials(planned, self._workspace, records=self._records, sample=self._sample, state=state)

    def try_uniform(self) -> str:
        """The lowest uniform precision that meets the budget. The two lowest are always tried, for comparison.

        Raises:
            LingoLiteError: not even the highest fits.
        """
        certain = [self._request(self._uniform(self._lossless))]
        certain += [self._request(self._uniform(precision), self._everything) for precision in self._precisions[:2]]
        self._measure_ahead(certain, "uniform")
        with self._workspace.console.progress(f"{self._step.id}: uniform", total=len(self._precisions)) as progress:
            for position, precision in enumerate(progress.track(self._precisions)):
                self._try(self._uniform(precision), f"uniform {precision}")
                if position and any(trial.fits for trial in self._judged.values()):
                    break
        for precision in self._precisions:
            trial = self._judged.get(self._uniform(precision))
            if trial is not None and trial.fits:
                return precision
        raise self._none_fits()

    def rank(self, largest: str) -> list[Sensitivity]:
        """The sensitivity of each unit at each precision up to `largest`; the most sensitive unit first."""
        precisions = self._precisions[: self._precisions.index(largest) + 1]
        asked = [self._request_alone(unit, precision) for unit in self.units for precision in precisions]
        self._measure_ahead(asked, "units alone")
        found: list[list[Sensitivity]] = []
        total = len(self.units) * len(precisions)
        with self._workspace.console.progress(f"{self._step.id}: units alone", total=total) as progress:
            for unit in self.units:
                found.append([self._alone(unit, precision) for precision in progress.track(precisions)])
        found.sort(key=lambda rows: -rows[0].cross_entropy_delta)
        return [row for rows in found for row in rows]

    def try_mixes(self, largest: str, sensitivities: Sequence[Sensitivity]) -> Mix:
        """The smallest of the tried mixes that meet the budget."""
        spare = max(0, self._step.max_trials - len(self._judged))
        precisions = tuple(self._precisions[: self._precisions.index(largest) + 1])
        seen = {(row.unit, row.precision): row for row in sensitivities}
        rows = [[seen[unit.name, precision] for precision in precisions] for unit in self.units]
        space = Space(
            precisions=precisions,
            sizes=[[-row.saved_bytes for row in unit] for unit in rows],
            losses=[[row.cross_entropy_delta for row in unit] for unit in rows],
        )
        with self._workspace.console.progress(f"{self._step.id}: mixes", total=spare) as progress:

            def fits(mix: Mix) -> bool:
                known = self._judged.get(mix)  # a uniform one may lie on the way
                trial = known or self._try(mix, f"mix {self._num_mixes() + 1}")
                progress.advance()
                return trial.fits

            find_smallest(space, fits, max_trials=spare)
        fitting = [mix for mix, trial in self._judged.items() if trial.fits]
        return min(fitting, key=lambda mix: self._judged[mix].size_bytes)

    def result(self, sensitivities: list[Sensitivity], chosen: Mix, artifact: ArtifactSummary) -> SearchResult:
        """The record."""
        return SearchResult(
            method=self._step.method,
            options=self.trials.options(assignment(self.units, chosen)),
            source=self._evaluated.artifact,
            artifact=artifact,
            metric=self._metric.loaded.spec.name,
            num_sentences=len(self._records),
            sample_size=len(self._sample),
            cross_entropy=self._before.cross_entropy,
            sensitivities=sensitivities,
            trials=list(self._judged.values()),
            chosen=self._judged[chosen].name,
        )

    def _uniform(self, precision: str) -> Mix:
        return (precision,) * len(self.units)

    def _num_mixes(self) -> int:
        return sum(not trial.is_uniform for trial in self._judged.values())

    def _request(self, mix: Mix, sentences: Sequence[int] = ()) -> MixRequest:
        return MixRequest(assignment(self.units, mix), tuple(sentences))

    def _request_alone(self, unit: Unit, precision: str) -> MixRequest:
        """One unit at `precision`, all others lossless. Translations are made at the lowest precision only."""
        mix = tuple(precision if other is unit else self._lossless for other in self.units)
        return self._request(mix, self._sample if precision == self._precisions[0] else ())

    def _measure_ahead(self, requests: Sequence[MixRequest], what: str) -> None:
        if self._step.is_shared:
            label = f"{self._step.id}: {what}, {self._step.workers} workers"
            with self._workspace.console.progress(label, total=len(requests)) as progress:
                self.trials.measure_ahead(requests, progress)

    @cached_property
    def _before(self) -> MixMeasurement:
        return self.trials.measure(self._request(self._uniform(self._lossless)))

    @property
    def _everything(self) -> Sequence[int]:
        return range(len(self._records))

    def _alone(self, unit: Unit, precision: str) -> Sensitivity:
        is_lowest = precision == self._precisions[0]
        seen = self.trials.measure(self._request_alone(unit, precision))
        return Sensitivity(
            unit=unit.name,
            precision=precision,
            num_weights=unit.num_weights,
            saved_bytes=self._before.size_bytes - seen.size_bytes,
            cross_entropy_delta=seen.cross_entropy - self._before.cross_entropy,
            difference=self._difference(seen, self._sample) if is_lowest else None,
        )

    def _try(self, mix: Mix, name: str) -> Trial:
        """Measure a mix on all sentences and judge it."""
        seen = self.trials.measure(self._request(mix, self._everything))
        (limit,) = self._step.budget.values()
        difference = self._difference(seen, self._everything)
        written = assignment(self.units, mix)
        spec = self._metric.loaded.spec
        trial = Trial(
            name=name,
            higher_is_better=spec.goal == "higher",
            default=written.default,
            layers=written.layers,
            size_bytes=seen.size_bytes,
            cross_entropy_delta=seen.cross_entropy - self._before.cross_entropy,
            difference=difference,
            verdict=judge(
                drop_budget(spec.name),
                MeasuredFigures(differences=[difference]),
                limit=limit,
                allow_inconclusive=self._step.allow_inconclusive,
            ),
        )
        self._judged[mix] = trial
        self._workspace.console.note(f"{self._step.id}: {describe_trial(trial)}")
        return trial

    def _difference(self, seen: MixMeasurement, sentences: Sequence[int]) -> MetricDifference:
        spec = self._metric.loaded.spec
        before = as_translations([self._records[index] for index in sentences])
        return measure_difference(
            spec.name,
            Scorer(self._workspace.create(self._metric), spec),
            before,
            Translations(before.sources, before.references, seen.hypotheses),
            seed=self._workspace.seed,
            resamples=self._step.resamples,
        )

    def _none_fits(self) -> LingoLiteError:
        best = min(self._judged.values(), key=lambda trial: trial.verdict.seen or 0.0)
        hints = []
        higher = self._known[self._known.index(self._precisions[-1]) + 1 :]
        if higher:
            hints.append(f"allow a higher precision: {' or '.join(higher)}")
        if best.verdict.status == "inconclusive" and not self._step.allow_inconclusive:
            hints.append("measure on more sentences, or allow inconclusive verdicts to go by the estimate")
        return LingoLiteError(
            f"no mix of {', '.join(self._precisions)} stays within {_limit(self._step)}; the best that was seen is "
            f"{best.name} ({best.size_bytes / 1e6:.2f} MB): {best.verdict.why}",
            hint="; ".join(hints) or "allow a larger drop",
            exit_code=ExitCode.BUDGET_BROKEN,
        )


def describe_trial(trial: Trial) -> str:
    """A trial on one line."""
    seen = trial.difference
    difference = with_interval(seen.delta, seen.low, seen.high)
    fits = "fits" if trial.fits else "does not fit"
    return f"{trial.name}: {trial.size_bytes / 1e6:.2f} MB, {seen.metric} {difference}, {fits}"


def _spread(total: int, count: int) -> list[int]:
    """`count` of `total` indices, evenly spaced: texts are often ordered by origin."""
    count = min(count, total)
    return [index * total // count for index in range(count)]


KIND = StepKind(table=SearchStep, result=SearchResult, check=_check, run=_run)
