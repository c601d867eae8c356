"""`evaluate`: translate a corpus through a backend and score it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.artifact import Manifest
from lingolite_cli.budgets.measurability import why_unmeasurable
from lingolite_cli.corpora.corpus import Corpus
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.evaluation.failures import metric_range
from lingolite_cli.evaluation.scorer import Scorer, Translations, cautions
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.recipe.decoding import resolve_decoding
from lingolite_cli.recipe.scope import PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.evaluation import EvaluateStep, PlannedEvaluation
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact, summarize_corpus
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.translations import TRANSLATIONS_NAME, TranslationRecord, write_translations
from lingolite_cli.text.languages import language_by_script, primary_language

if TYPE_CHECKING:
    from lingolite_cli.workers.pool import OpenedBackend


def _check(step: EvaluateStep, scope: Scope) -> PlannedEvaluation:
    """Refuse unknown plugins, text without references, formats that the backend does not read."""
    format = scope.artifact_format(step, "model", step.model)
    name = step.backend or scope.backend_for(step, "backend", format=format)
    backend = scope.plugin(step, "backend", kind="backend", name=name, options=step.options)
    scope.accepted(step, backend, format=format, reference=step.model)
    corpus = scope.corpus(step, "corpus", step.corpus)
    if not corpus.has_references:
        raise scope.error(step, "corpus", f"`{step.corpus}` has no references to score against")
    manifest = scope.manifest(step, "model", step.model)
    languages = scope.languages(step, "corpus", step.corpus, manifest)
    metrics = _metrics(step, scope, languages[1])
    decoding = _decoding(step, scope, manifest)
    scope.check_search(step, backend, manifest, decoding)
    options = {
        "decoding": msgspec.to_builtins(decoding),
        "languages": list(languages),
        "batch_size": step.batch_size,
        "max_batch_tokens": step.max_batch_tokens,
        "max_samples": step.max_samples,
    }
    return PlannedEvaluation(
        step=step,
        backend=backend,
        metrics=metrics,
        options=options,
        origin=scope.origin(step.model),
        summary=f"{step.model} through {name} on {step.corpus}: {', '.join(step.metrics)}",
    )


def _metrics(step: EvaluateStep, scope: Scope, target: str) -> tuple[PluginChoice, ...]:
    for name in step.metric_options:
        if name not in step.metrics:
            raise scope.error(
                step,
                f"metric_options.{name}",
                f"the step has no metric `{name}`",
                hint=f"metrics: {list(step.metrics)}",
            )
    return tuple(
        scope.plugin(
            step, "metrics", kind="metric", name=name, options=step.metric_options.get(name, {}), target=target
        )
        for name in step.metrics
    )


def _decoding(step: EvaluateStep, scope: Scope, manifest: Manifest) -> DecodingOptions:
    positions = manifest.model.max_seq_len
    asked = step.decoding.get("max_length")
    if isinstance(asked, int) and asked > positions:
        raise scope.error(
            step, "decoding.max_length", f"{asked} is more than the {positions} positions that the model has"
        )
    if step.decoding.get("n_best", 1) != 1:
        raise scope.error(step, "decoding.n_best", "the best translation alone is scored", hint="leave n_best out")
    return resolve_decoding(manifest, step.decoding, where=scope.place(step, "decoding"))


def _run(planned: PlannedEvaluation, workspace: Workspace, directory: Path) -> EvaluateResult:
    """Translate and score."""
    from lingolite_cli.workers.pool import OpenedBackend, open_backend

    step = planned.step
    artifact = workspace.artifact(step.model)
    corpus = workspace.corpus(step.corpus)
    num_samples = min(len(corpus.sources), step.max_samples or len(corpus.sources))
    choice = planned.backend
    backend, capabilities = open_backend(
        choice.loaded,
        artifact,
        options=choice.options,
        threads=workspace.threads,
        workers=step.workers,
        blocked=workspace.plan.blocked,
    )
    with closing(backend):
        records = _translate(OpenedBackend(backend, capabilities), planned, workspace, corpus, num_samples)
        written = _Written()
        write_translations(directory / TRANSLATIONS_NAME, written.noting(records))
        warnings = list(getattr(backend, "warnings", ()))
    metrics, unmeasured = _score(planned.metrics, workspace, written.translations)
    written_in = language_by_script(known[0] for known in written.translations.references)
    warnings += unmeasured
    warnings += cautions(
        {choice.loaded.spec.name: choice.loaded.options(choice.options) for choice in planned.metrics},
        primary_language(planned.languages[1]),
        written_in=written_in,
    )
    return EvaluateResult(
        backend=choice.loaded.spec.name,
        artifact=summarize_artifact(artifact),
        corpus=summarize_corpus(corpus, num_samples=num_samples, languages=planned.languages),
        decoding=planned.decoding,
        metrics=metrics,
        num_samples=num_samples,
        num_truncated=written.num_truncated,
        num_unfinished=written.num_unfinished,
        num_tokens=written.num_tokens,
        translations=TRANSLATIONS_NAME,
        warnings=warnings,
    )


class _Written:
    """What is kept of translations that are written: texts and counts. Ids of tokens take most of their memory."""

    def __init__(self) -> None:
        self.translations = Translations([], [], [])
        self.num_truncated = 0
        self.num_unfinished = 0
        self.num_tokens = 0

    def noting(self, records: Iterable[TranslationRecord]) -> Iterator[TranslationRecord]:
        """The same records, as they come."""
        for record in records:
            self.translations.append(record.source, record.references, record.hypothesis)
            self.num_truncated += record.is_truncated
            self.num_unfinished += not record.is_finished
            self.num_tokens += len(record.tokens)
            yield record


def _translate(
    opened: OpenedBackend, planned: PlannedEvaluation, workspace: Workspace, corpus: Corpus, num_samples: int
) -> Iterator[TranslationRecord]:
    from lingolite_cli.decoding.translator import Translator
    from lingolite_cli.tokenization.opening import open_tokenizer

    step = planned.step
    artifact = workspace.artifact(step.model)
    translator = Translator(
        opened.backend,
        open_tokenizer(artifact),
        artifact.manifest.model,
        planned.languages,
        options=planned.decoding,
        batch_size=step.batch_size,
        max_batch_tokens=step.max_batch_tokens,
        capabilities=opened.capabilities,
    )
    sources = corpus.sources[:num_samples]
    with workspace.console.progress(f"{step.id}: {planned.backend.loaded.spec.name}", total=num_samples) as progress:
        if progress.is_drawn:  # batches are of like length: sentences do not tell how much is left
            progress.weigh(sum(map(translator.num_tokens, sources)))

        def observe(num_sentences: int, num_tokens: int) -> None:
            progress.advance(num_sentences, work=num_tokens)

        for index, found in enumerate(translator.translate(sources, observe=observe)):
            yield TranslationRecord(
                index=index,
                source=sources[index],
                references=[stream[index] for stream in corpus.references],
                hypothesis=found.text,
                tokens=list(found.tokens),
                score=found.score,
                is_truncated=found.is_truncated,
                is_finished=found.is_finished,
            )


def _score(
    choices: Sequence[PluginChoice], workspace: Workspace, translations: Translations
) -> tuple[dict[str, Score], list[str]]:
    """Scores by metric, and a line for each metric that the text cannot measure."""
    scores, unmeasured = {}, []
    for choice in choices:
        name = choice.loaded.spec.name
        scorer = Scorer(workspace.create(choice), choice.loaded.spec)
        scores[name] = _checked(scorer.score(translations), choice)
        why = why_unmeasurable(metric_range(scorer, translations), choice.loaded.spec.goal)
        unmeasured += [] if why is None else [f"{name}: {why}"]
    return scores, unmeasured


def _checked(score: object, choice: PluginChoice) -> Score:
    name = choice.loaded.spec.name
    if not isinstance(score, Score):
        raise LingoLiteError(f"metric `{name}` gave a {type(score).__name__}, not a Score", exit_code=ExitCode.PLUGIN)
    for part, value in {"value": score.value, **score.details}.items():
        if not math.isfinite(value):
            raise LingoLiteError(f"metric `{name}` gave {value} as its {part}", exit_code=ExitCode.PLUGIN)
    return score


KIND = StepKind(table=EvaluateStep, result=EvaluateResult, check=_check, run=_run)
