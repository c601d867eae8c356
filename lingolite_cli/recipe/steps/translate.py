"""`translate`: a whole text translated into a corpus, in shards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from lingolite_cli.artifact import CORPUS
from lingolite_cli.bulk.job import TranslationJob
from lingolite_cli.corpora.artifact import DEFAULT_SHARD_LINES, CorpusArtifact
from lingolite_cli.corpora.lines import Compression, CorpusLine
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.files.copying import copy_file
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.files.lock import exclusive
from lingolite_cli.plugins.registry import Loaded
from lingolite_cli.recipe.cache import ARTIFACT_NAME
from lingolite_cli.recipe.decoding import resolve_decoding
from lingolite_cli.recipe.model import Positive, Step, Workers
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact, summarize_collection
from lingolite_cli.runs.made_results import TranslateResult
from lingolite_cli.runs.step_result import ArtifactSummary
from lingolite_cli.schema import convert

if TYPE_CHECKING:
    from lingolite_cli.bulk.source import SourceText
    from lingolite_cli.plugins.executors import Executor


class TranslateStep(Step, tag="translate", frozen=True, kw_only=True):
    """Translate a text, or the sources of a parallel one, into a corpus.

    `split_sentences` is left to what the model was trained on unless it is said. `workers` and `executor` say who does
    it, and change no byte.
    """

    model: str = "inputs.model"
    text: str = "inputs.text"
    backend: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    languages: tuple[str, str] | None = None
    split_sentences: bool | None = None
    decoding: dict[str, Any] = field(default_factory=dict)
    batch_size: Positive = 32
    shard_lines: Positive = DEFAULT_SHARD_LINES
    compression: Compression = "gzip"
    workers: Workers = 1
    executor: str = "local"
    executor_options: dict[str, Any] = field(default_factory=dict)


class PlannedTranslation(PlannedStep, frozen=True, kw_only=True):
    """A `translate` step with the backend that translates, and the executor, which decides no byte."""

    step: TranslateStep
    backend: PluginChoice
    executor: Loaded

    @property
    def inputs(self) -> tuple[str, ...]:
        """The artifact and the text."""
        return self.step.model, self.step.text

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The backend."""
        return (self.backend,)

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target language."""
        source, target = self.options["languages"]
        return source, target


def _check(step: TranslateStep, scope: Scope) -> PlannedTranslation:
    """Refuse an unknown text or plugin, languages that the model does not know, and text in another language."""
    format = scope.artifact_format(step, "model", step.model)
    name = step.backend or scope.backend_for(step, "backend", format=format)
    backend = scope.plugin(step, "backend", kind="backend", name=name, options=step.options)
    scope.accepted(step, backend, format=format, reference=step.model)
    executor = scope.plugin(step, "executor", kind="executor", name=step.executor, options=step.executor_options)
    manifest = scope.manifest(step, "model", step.model)
    languages = _languages(step, scope, manifest.languages)
    decoding = resolve_decoding(manifest, step.decoding, where=scope.place(step, "decoding"))
    scope.check_search(step, backend, manifest, decoding)
    is_splitting = manifest.is_sentence_level if step.split_sentences is None else step.split_sentences
    if decoding.n_best > 1:
        if step.split_sentences:
            raise scope.error(step, "split_sentences", "sentences are not split where n_best is more than 1")
        is_splitting = False
    return PlannedTranslation(
        step=step,
        backend=backend,
        executor=executor.loaded,
        options={
            "languages": list(languages),
            "is_splitting": is_splitting,
            "decoding": msgspec.to_builtins(decoding),
            "batch_size": step.batch_size,
            "shard_lines": step.shard_lines,
            "compression": step.compression,
        },
        produces=CORPUS,
        origin=step.id,
        text_languages=languages,
        summary=f"{step.text} by {step.model} through {name}, {languages[0]} → {languages[1]}",
    )


def _languages(step: TranslateStep, scope: Scope, known: tuple[str, ...]) -> tuple[str, str]:
    of_text: tuple[str, ...] | None = None
    if step.text in scope.corpora:
        of_text = scope.corpora[step.text].languages
    elif step.text not in scope.pairs:
        of_text = scope.text_languages(step, "text", step.text)
    pair = step.languages or known[:2]
    if len(set(pair)) != 2 or not set(pair) <= set(known):
        raise scope.error(step, "languages", f"{list(pair)} are not two of the model's languages {list(known)}")
    if of_text is not None and of_text[0] != pair[0]:
        raise scope.error(
            step,
            "text",
            f"`{step.text}` is in `{of_text[0]}`, and the model translates from `{pair[0]}`",
            hint=f"languages = {[of_text[0], pair[1]]}, if the model has them",
        )
    return pair[0], pair[1]


def _run(planned: PlannedTranslation, workspace: Workspace, directory: Path) -> TranslateResult:
    """Translate, or go on where an earlier run was killed."""
    from lingolite_cli.bulk.translation import BulkRequest, translate_corpus

    step = planned.step
    model = workspace.artifact(step.model)
    job = TranslationJob(
        model=model.digest,
        backend=planned.backend.loaded.spec.name,
        options=msgspec.json.decode(msgspec.json.encode(planned.backend.options)),
        decoding=convert(planned.options["decoding"], DecodingOptions, where="decoding"),
        languages=planned.languages,
        is_splitting=planned.options["is_splitting"],
        batch_size=step.batch_size,
        threads=workspace.threads,
        shard_lines=step.shard_lines,
    )
    state = workspace.state_root / "translate" / sha256_json({"job": job, "compression": step.compression})
    waiting = partial(workspace.console.note, f"{step.id}: waiting for another run that translates the same")
    with exclusive(state.with_name(f"{state.name}.lock"), waiting=waiting):
        outcome = translate_corpus(
            _source(step.text, workspace),
            job,
            BulkRequest(out=state, compression=step.compression, overwrite=workspace.is_fresh),
            start=lambda: _executor(planned, job, workspace),
            console=workspace.console,
        )
        _copy(state, directory / ARTIFACT_NAME)
    corpus = CorpusArtifact.open(directory / ARTIFACT_NAME)
    manifest = outcome.manifest
    if manifest.num_failed:
        workspace.console.warn(
            f"{step.id}: {manifest.num_failed:,} of {manifest.num_lines:,} lines have no translation"
        )
    return TranslateResult(
        backend=job.backend,
        source=_summary(step.text, workspace),
        model=summarize_artifact(model),
        corpus=summarize_collection(corpus),
        languages=planned.languages,
        decoding=job.decoding,
        num_lines=manifest.num_lines,
        num_failed=manifest.num_failed,
        num_truncated=manifest.num_truncated,
        faults=manifest.faults,
        warnings=outcome.warnings,
    )


def _executor(planned: PlannedTranslation, job: TranslationJob, workspace: Workspace) -> Executor:
    from lingolite_cli.bulk.worker import shard_work

    work = shard_work(job, workspace.artifact(planned.step.model), blocked=workspace.plan.blocked)
    made: Executor = planned.executor.create(
        work, options=planned.step.executor_options, num_workers=planned.step.workers
    )
    return made


def _source(reference: str, workspace: Workspace) -> SourceText:
    """The text of an input of any kind, or of a step."""
    from lingolite_cli.bulk.source import SourceText, corpus_source

    plan = workspace.plan
    name = reference.removeprefix("inputs.")
    inputs = {"source": workspace.input_digest(reference)}
    if reference in plan.corpora:
        sources = workspace.corpus(reference).sources
        lines = partial(_lines, sources)
        return SourceText(name=name, lines=lines, num_lines=len(sources), inputs=inputs)
    if reference in plan.pairs:
        paths = plan.pairs[reference].paths(plan.root)
        return SourceText(name=name, lines=partial(_pair_sources, paths), num_lines=None, inputs=inputs)
    return corpus_source(workspace.collection(reference))


def _lines(sources: list[str]) -> Iterator[CorpusLine]:
    return (CorpusLine(source=source) for source in sources)


def _pair_sources(paths: list[Path]) -> Iterator[CorpusLine]:
    """The sources of the rows that can be trained on; the others are told where they are trained on."""
    from lingolite_cli.corpora.pairs import BadRows, good_pairs, read_rows

    bad = BadRows(str(paths[0]))
    return (CorpusLine(source=pair.source) for pair in good_pairs(read_rows(paths), bad))


def _summary(reference: str, workspace: Workspace) -> ArtifactSummary:
    plan = workspace.plan
    if reference in plan.corpora or reference in plan.pairs:
        return ArtifactSummary(path="", format="text", digest=workspace.input_digest(reference), size_bytes=0)
    return summarize_collection(workspace.collection(reference))


def _copy(state: Path, target: Path) -> None:
    """Copy a finished corpus, which stays for a later text of which most lines are the same.

    By links where the disk has them: shards are replaced by others, and never written to.
    """
    shutil.copytree(state, target, ignore=shutil.ignore_patterns(".*"), copy_function=_linked)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        copy_file(Path(source), Path(target))


KIND = StepKind(table=TranslateStep, result=TranslateResult, check=_check, run=_run)
