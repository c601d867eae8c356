"""`lingolite compare`: two runs, artifacts or files of translations against each other.

Owns where the translations of each come from, and which of them are compared. What is compared in them is in
`lingolite_cli.evaluation.comparison`, what runs were made of in `lingolite_cli.runs.changes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from lingolite_cli.artifact import MANIFEST_NAME as ARTIFACT_MANIFEST
from lingolite_cli.budgets.measurability import why_unmeasurable
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.comparison import SystemComparison, compare_translations
from lingolite_cli.evaluation.scorer import Scorer, Translations, cautions
from lingolite_cli.files.special import is_stream
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.evaluation import project_metrics
from lingolite_cli.jobs.inputs import Input, corpus_input, model_input
from lingolite_cli.jobs.job import JobBuilder, run_job
from lingolite_cli.jobs.runnable import backend_for, format_of
from lingolite_cli.plugins.registry import Loaded
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_cli.recipe.work.evaluation import EvaluateStep
from lingolite_cli.runs.changes import Changes, compare_runs, regressions
from lingolite_cli.runs.finished import MANIFEST_NAME, read_run, run_translations, translations_of
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import TRANSLATIONS_NAME
from lingolite_cli.text.languages import language_by_script, primary_language


class ComparedSystem(msgspec.Struct, frozen=True):
    """One of the two: its translations by name, and the manifest if it is a run."""

    translations: dict[str, Translations]
    manifest: RunManifest | None = None

    def of(self, name: str) -> Translations:
        """The translations of one step.

        Raises:
            LingoLiteError: the run has no such step.
        """
        if self.manifest is None:  # a file and an artifact have no steps
            return next(iter(self.translations.values()))
        if name not in self.translations:
            raise LingoLiteError(f"no `evaluate` step `{name}`", hint=f"there are: {', '.join(self.translations)}")
        return self.translations[name]

    def only_name(self) -> str:
        """The name of the one text that was translated.

        Raises:
            LingoLiteError: there are several.
        """
        if len(self.translations) != 1:
            raise LingoLiteError(
                f"the run has {len(self.translations)} `evaluate` steps: {', '.join(self.translations)}",
                hint="choose one: --step NAME",
            )
        return next(iter(self.translations))


class CompareOutcome(msgspec.Struct, frozen=True):
    """The second system against the first.

    Attributes:
        comparisons: text by text.
        changes: as runs, if both are.
        regressions: a line for each score or budget that is worse.
        unmeasured: a line for each metric that a text cannot measure.
    """

    comparisons: list[SystemComparison]
    changes: Changes | None
    regressions: list[str]
    unmeasured: list[str]

    @property
    def is_measured(self) -> bool:
        """Whether some metric could be measured, so that a regression would have been seen."""
        return len(self.unmeasured) < sum(len(comparison.differences) for comparison in self.comparisons)


class ComparisonRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared, and how.

    Attributes:
        paths: of the two: a run's directory, an artifact or a file of translations.
        step: of runs, only this `evaluate` step; None is all that both have.
        metrics: names; None is the project's.
        listed: best and worst sentences.
        resamples: of the paired bootstrap and the randomization.
        seed: of the paired bootstrap and the randomization.
        threads: of an engine that runs an artifact.
        languages: source and target; None is what runs tell, or else the script of the references.
    """

    paths: tuple[Path, Path]
    step: str | None
    metrics: Sequence[str] | None
    listed: int
    resamples: int
    seed: int
    threads: int | None
    languages: tuple[str, str] | None = None


def compare_systems(context: JobContext, request: ComparisonRequest, console: Console) -> CompareOutcome:
    """Compare two systems on the same sentences.

    Raises:
        LingoLiteError: one of the two cannot be read, or they did not translate the same text.
    """
    metrics = _metrics(context, request.metrics)
    pairs, (first, second) = _read_pairs(context, request, console)
    comparisons = []
    for name, a, b in pairs:
        target = _target(request, (first, second), name, a)
        chosen = {key: own.plugin.options(own.options(target)) for key, own in metrics.items()}
        for said in cautions(chosen, target):
            console.warn(said)
        scorers = {
            key: Scorer(own.plugin.create(options=own.options(target)), own.spec) for key, own in metrics.items()
        }
        with console.progress("compare", total=None) as progress:
            comparisons.append(
                compare_translations(
                    a,
                    b,
                    scorers,
                    name=name,
                    seed=request.seed,
                    resamples=request.resamples,
                    listed=request.listed,
                    progress=progress,
                )
            )
    changes = None
    if first is not None and second is not None:
        changes = compare_runs(first, second)
    return CompareOutcome(comparisons, changes, regressions(comparisons, changes), _unmeasured(comparisons))


def _unmeasured(comparisons: Sequence[SystemComparison]) -> list[str]:
    found = []
    for comparison in comparisons:
        for difference in comparison.differences:
            why = why_unmeasurable(difference.range, difference.goal)
            found += [] if why is None else [f"{comparison.name}: {difference.metric}: {why}"]
    return found


class _Metric(NamedTuple):
    """A metric that is not made yet, for its options depend on the language."""

    plugin: Loaded
    spec: MetricSpec
    values: Mapping[str, Any]

    def options(self, target: str) -> dict[str, Any]:
        """Plain values of its options for text in the target language."""
        return self.plugin.options_for(target, self.values)


def _metrics(context: JobContext, metrics: Sequence[str] | None) -> dict[str, _Metric]:
    options = context.evaluate_default("metric_options") or {}
    loaded = {name: context.registry.resolve("metric", name) for name in metrics or project_metrics(context)}
    return {
        name: _Metric(plugin, plugin.spec, options.get(name) or {})
        for name, plugin in loaded.items()
        if isinstance(plugin.spec, MetricSpec)
    }


def _target(
    request: ComparisonRequest, manifests: Sequence[RunManifest | None], name: str, translations: Translations
) -> str:
    """The target language: as asked, as a run recorded it, or as the script of the references tells; or nothing."""
    steps = [step for manifest in manifests if manifest is not None for step in manifest.steps if step.id == name]
    recorded = [step.result.corpus.languages[1] for step in steps if isinstance(step.result, EvaluateResult)]
    if request.languages is not None:
        return primary_language(request.languages[1])
    if recorded:
        return primary_language(recorded[0])
    return language_by_script(known[0] for known in translations.references) or ""


_Pair: TypeAlias = tuple[str, Translations, Translations]


def _read_pairs(
    context: JobContext, request: ComparisonRequest, console: Console
) -> tuple[list[_Pair], tuple[RunManifest | None, RunManifest | None]]:
    """What both translated, and the manifests of runs.

    Only this is kept of the systems: pairs share sources and references, and so the second's are freed here.
    """
    first, second = _systems(context, request, console)
    for path, system in zip(request.paths, (first, second), strict=True):
        if system.manifest is not None and system.manifest.stop is not None:
            console.warn(f"{path} stopped {system.manifest.stop.where}: only what it finished is compared")
    return _pairs(first, second, request.step), (first.manifest, second.manifest)


def _systems(
    context: JobContext, request: ComparisonRequest, console: Console
) -> tuple[ComparedSystem, ComparedSystem]:
    paths = request.paths
    for path in paths:
        if not path.exists():
            raise LingoLiteError(
                f"no such file or directory: {path}",
                hint="name a run's directory, an artifact or a file of translations; `lingolite history` lists runs",
            )
    artifacts = [path for path in paths if (path / ARTIFACT_MANIFEST).is_file()]
    # In one job, so that both artifacts translate the same reading of the text.
    evaluated = _evaluate(context, artifacts, request.threads, console)
    first, second = (evaluated[artifacts.index(path)] if path in artifacts else _read(path) for path in paths)
    return first, second


def _read(path: Path) -> ComparedSystem:
    if path.is_file() or is_stream(path):
        return ComparedSystem({"translations": translations_of(path)})
    if not (path / MANIFEST_NAME).is_file():
        raise LingoLiteError(
            f"{path} is neither a run nor an artifact",
            hint=f"a run has a {MANIFEST_NAME}, an artifact a {ARTIFACT_MANIFEST}; translations are JSON lines",
        )
    manifest = read_run(path)
    return ComparedSystem(run_translations(path, manifest), manifest)


def _evaluate(
    context: JobContext, artifacts: list[Path], threads: int | None, console: Console
) -> list[ComparedSystem]:
    """The project's test set, translated by artifacts."""
    if not artifacts:
        return []
    builder = JobBuilder(context, "compare")
    inputs: dict[str, Input] = {"test": corpus_input(context)}
    steps = []
    for number, path in enumerate(artifacts):
        inputs[f"model{number}"] = model_input(path.resolve())
        backend = backend_for(context, format=format_of(path))
        steps.append(builder.step(EvaluateStep, f"eval{number}", model=f"inputs.model{number}", backend=backend))
    records, runner = run_job(context, builder.job(inputs, steps, threads=threads), console)
    files = [runner.finished(record.id).directory / TRANSLATIONS_NAME for record in records]
    return [ComparedSystem({"translations": translations_of(file)}) for file in files]


def _pairs(first: ComparedSystem, second: ComparedSystem, step: str | None) -> list[_Pair]:
    """(name, first, second) of what both translated."""
    if step is not None:
        names = [(step, step)]
    elif first.manifest is not None and second.manifest is not None:
        names = [(name, name) for name in first.translations if name in second.translations]
    else:
        names = [(first.only_name(), second.only_name())]
    if not names:
        raise LingoLiteError("the runs have no `evaluate` step in common", hint="compare two files of translations")
    return [(names[-1][1] if a != b else a, *_same_sentences(first.of(a), second.of(b), a)) for a, b in names]


def _same_sentences(first: Translations, second: Translations, name: str) -> tuple[Translations, Translations]:
    if len(first.sources) != len(second.sources):
        raise LingoLiteError(
            f"`{name}`: {len(first.sources):,} sentences against {len(second.sources):,}",
            hint="translate the same text with both",
        )
    own, other = (zip(side.sources, side.references, strict=True) for side in (first, second))
    for number, (a, b) in enumerate(zip(own, other, strict=True), start=1):
        if a != b:
            raise LingoLiteError(
                f"`{name}`: sentence {number} is not the same in both", hint="translate the same text with both"
            )
        if not a[1]:
            raise LingoLiteError(f"`{name}`: sentence {number} has no reference", hint="scores need references")
    return first, Translations(first.sources, first.references, second.hypotheses)
