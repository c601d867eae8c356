"""`lingolite compare`: two runs, artifacts or files of translations against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lingolite_cli.artifact import MANIFEST_NAME as ARTIFACT_MANIFEST
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Metrics, Threads, parse_metrics
from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.evaluation.comparison import SystemComparison, compare_translations
from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_cli.runs.changes import Changes, compare_runs, regressions
from lingolite_cli.runs.finished import MANIFEST_NAME, read_run, run_translations, translations_of
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import TRANSLATIONS_NAME, TranslationRecord, as_translations
from lingolite_cli.views.comparison import show_changes, show_comparison


class Side(msgspec.Struct, frozen=True):
    """One of the two: translations by name, and the manifest of a run."""

    translations: dict[str, list[TranslationRecord]]
    manifest: RunManifest | None = None


def compare(
    typer_context: typer.Context,
    first: Annotated[
        Path, typer.Argument(metavar="FIRST", help="A run's directory, an artifact, or a file of translations.")
    ],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="What is compared with it.")],
    step: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Of runs, only this `evaluate` step; without it, all that both have."),
    ] = None,
    metrics: Metrics = None,
    listed: Annotated[
        int, typer.Option("--sentences", min=0, metavar="N", help="Best and worst sentences to show.")
    ] = 5,
    resamples: Annotated[
        int, typer.Option(min=100, metavar="N", help="Of the paired bootstrap and the randomization.")
    ] = 1000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the paired bootstrap and the randomization.")] = 17,
    fail_on_regression: Annotated[
        bool,
        typer.Option("--fail-on-regression", help="Exit 3 on a significant regression or a newly broken budget."),
    ] = False,
    threads: Threads = None,
    json: JsonFlag = False,
) -> None:
    """Compare two systems on the same sentences: what got better, what got worse, and how sure that is."""
    context = context_of(typer_context)
    console = context.console(json=json)
    names = parse_metrics(metrics) or adhoc.project_metrics(context)
    loaded = {name: context.registry.resolve("metric", name) for name in names}
    options = context.project.settings.defaults.get("evaluate", {}).get("metric_options", {})
    made = {
        name: Scorer(metric.create(options=options.get(name)), metric.spec)
        for name, metric in loaded.items()
        if isinstance(metric.spec, MetricSpec)
    }
    sides = _sides(context, (first, second), threads, console)
    for path, side in zip((first, second), sides, strict=True):
        if side.manifest is not None and side.manifest.stop is not None:
            console.warn(f"{path} stopped {side.manifest.stop.where}: only what it finished is compared")
    comparisons = [
        compare_translations(a, b, made, name=name, seed=seed, resamples=resamples, listed=listed)
        for name, a, b in _pairs(*sides, step)
    ]
    changes = _changes(*sides)
    worse = regressions(comparisons, changes)
    _show(comparisons, changes, worse, paths=(first, second), console=console)
    if fail_on_regression and worse:
        raise typer.Exit(ExitCode.BUDGET_BROKEN)


def _show(
    comparisons: list[SystemComparison],
    changes: Changes | None,
    worse: list[str],
    *,
    paths: tuple[Path, Path],
    console: Console,
) -> None:
    console.print_json({"comparisons": comparisons, "changes": changes, "regressions": worse})
    for comparison in comparisons:
        show_comparison(comparison, first=str(paths[0]), second=str(paths[1]), console=console)
    if changes is not None:
        show_changes(changes, console)
    for line in worse:
        console.print(f"worse: {line}")
    if not worse:
        console.print("no significant regression")


def _sides(context: JobContext, paths: tuple[Path, Path], threads: int | None, console: Console) -> tuple[Side, Side]:
    for path in paths:
        if not path.exists():
            raise LingoLiteError(
                f"no such file or directory: {path}",
                hint="name a run's directory, an artifact or a file of translations; `lingolite history` lists runs",
            )
    artifacts = [path for path in paths if (path / ARTIFACT_MANIFEST).is_file()]
    evaluated = _evaluate(context, artifacts, threads, console)
    first, second = (evaluated[artifacts.index(path)] if path in artifacts else _side(path) for path in paths)
    return first, second


def _side(path: Path) -> Side:
    if path.is_file():
        return Side({"translations": translations_of(path)})
    if not (path / MANIFEST_NAME).is_file():
        raise LingoLiteError(
            f"{path} is neither a run nor an artifact",
            hint=f"a run has a {MANIFEST_NAME}, an artifact a {ARTIFACT_MANIFEST}; translations are JSON lines",
        )
    manifest = read_run(path)
    return Side(run_translations(path, manifest), manifest)


def _evaluate(context: JobContext, artifacts: list[Path], threads: int | None, console: Console) -> list[Side]:
    """The project's test set, translated by artifacts."""
    if not artifacts:
        return []
    inputs: dict[str, Any] = {"test": adhoc.corpus_input(context, source=None, targets=[], languages=None)}
    steps = []
    for number, path in enumerate(artifacts):
        inputs[f"model{number}"] = adhoc.model_input(path.resolve())
        backend = adhoc.backend_for(context, format=adhoc.format_of(path))
        steps.append({"id": f"eval{number}", "uses": "evaluate", "model": f"inputs.model{number}", "backend": backend})
    records, runner = adhoc.run_job(
        context, adhoc.Job(command="compare", inputs=inputs, steps=steps, threads=threads), console
    )
    files = [runner.finished(record.id).directory / TRANSLATIONS_NAME for record in records]
    return [Side({"translations": translations_of(file)}) for file in files]


def _pairs(first: Side, second: Side, step: str | None) -> list[tuple[str, Translations, Translations]]:
    """(name, first, second) of what both translated."""
    if step is not None:
        names = [(step, step)]
    elif first.manifest is not None and second.manifest is not None:
        names = [(name, name) for name in first.translations if name in second.translations]
    else:
        names = [(_only(first), _only(second))]
    if not names:
        raise LingoLiteError("the runs have no `evaluate` step in common", hint="compare two files of translations")
    return [(names[-1][1] if a != b else a, *_same_sentences(_of(first, a), _of(second, b), a)) for a, b in names]


def _only(side: Side) -> str:
    """The name of the one text that a side translated."""
    if len(side.translations) != 1:
        raise LingoLiteError(
            f"the run has {len(side.translations)} `evaluate` steps: {', '.join(side.translations)}",
            hint="choose one: --step NAME",
        )
    return next(iter(side.translations))


def _of(side: Side, name: str) -> list[TranslationRecord]:
    if side.manifest is None:  # a file and an artifact have no steps
        return next(iter(side.translations.values()))
    if name not in side.translations:
        raise LingoLiteError(f"no `evaluate` step `{name}`", hint=f"there are: {', '.join(side.translations)}")
    return side.translations[name]


def _same_sentences(
    first: list[TranslationRecord], second: list[TranslationRecord], name: str
) -> tuple[Translations, Translations]:
    if len(first) != len(second):
        raise LingoLiteError(
            f"`{name}`: {len(first):,} sentences against {len(second):,}", hint="translate the same text with both"
        )
    for number, (a, b) in enumerate(zip(first, second, strict=True), start=1):
        if (a.source, a.references) != (b.source, b.references):
            raise LingoLiteError(
                f"`{name}`: sentence {number} is not the same in both", hint="translate the same text with both"
            )
        if not a.references:
            raise LingoLiteError(f"`{name}`: sentence {number} has no reference", hint="scores need references")
    return as_translations(first), as_translations(second)


def _changes(first: Side, second: Side) -> Changes | None:
    if first.manifest is None or second.manifest is None:
        return None
    return compare_runs(first.manifest, second.manifest)
