"""`lingolite translate --out DIR`: a whole text translated into a corpus, by an executor.

Owns how options become a job. The work is `lingolite_cli.bulk`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Console
from lingolite_cli.corpora.artifact import DEFAULT_SHARD_LINES
from lingolite_cli.corpora.lines import Compression
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.output import refuse_inputs
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.steps_ahead import LOCAL
from lingolite_cli.jobs.translation import EngineRequest, prepare_engine, translation_languages

if TYPE_CHECKING:
    from lingolite_cli.bulk.source import SourceText
    from lingolite_cli.bulk.translation import BulkOutcome
    from lingolite_cli.plugins.executors import Executor


class CorpusTranslationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is translated, where to, and by whom.

    Attributes:
        source: a corpus, or a file or pipe of lines.
        out: the directory.
        shard_lines: of each shard.
        compression: of shards.
        executor: its name.
        executor_options: its options.
        overwrite: forget what another job left in `out`.
    """

    source: Path
    out: Path
    shard_lines: int = DEFAULT_SHARD_LINES
    compression: Compression = "gzip"
    executor: str = LOCAL
    executor_options: Mapping[str, Any] = {}
    overwrite: bool = False


def translate_to_corpus(
    context: JobContext,
    artifact: Artifact,
    request: CorpusTranslationRequest,
    *,
    engine: EngineRequest,
    decoding: DecodingOptions,
    console: Console,
) -> BulkOutcome:
    """Translate a text into a corpus; what an earlier process finished of the same job is kept.

    Args:
        context: project and plugins.
        artifact: the model.
        request: what, and where to.
        engine: how the model is run. Its workers are those of the executor.
        decoding: how hypotheses are searched.
        console: shows how far it is.

    Raises:
        LingoLiteError: something of it is wrong, which is told before any work; or as of
            `lingolite_cli.bulk.translation.translate_corpus`.
    """
    refuse_inputs(request.out, flag="--out", inputs=[artifact.path, request.source])
    executor = context.registry.resolve("executor", request.executor)
    executor.options(request.executor_options)
    source = _source(request.source, translation_languages(context, artifact, engine.languages))
    prepared = prepare_engine(context, artifact, engine, decoding=decoding, console=console)
    from lingolite_cli.bulk.job import TranslationJob
    from lingolite_cli.bulk.translation import BulkRequest, translate_corpus
    from lingolite_cli.bulk.worker import shard_work

    job = TranslationJob(
        model=prepared.artifact.digest,
        backend=prepared.loaded.spec.name,
        # As a journal has them, which knows no tuples.
        options=msgspec.json.decode(msgspec.json.encode(prepared.loaded.options(engine.options))),
        decoding=decoding,
        languages=prepared.languages,
        is_splitting=prepared.is_splitting,
        batch_size=engine.batch_size,
        threads=prepared.threads,
        shard_lines=request.shard_lines,
    )
    work = shard_work(job, prepared.artifact, blocked=context.registry.host.blocked)

    def start() -> Executor:
        made: Executor = executor.create(work, options=request.executor_options, num_workers=engine.workers)
        return made

    outcome = translate_corpus(
        source,
        job,
        BulkRequest(out=request.out, compression=request.compression, overwrite=request.overwrite),
        start=start,
        console=console,
    )
    if not prepared.artifact.is_undisturbed():
        prepared.artifact.verify()
    return outcome


def _source(path: Path, languages: tuple[str, str]) -> SourceText:
    from lingolite_cli.bulk.source import corpus_source, file_source
    from lingolite_cli.corpora.artifact import CorpusArtifact

    if not path.exists():
        raise LingoLiteError(f"no such file: {path}")
    if path.is_dir():
        corpus = CorpusArtifact.open(path, verify=True)
        written_in = corpus.manifest.languages[0]
        if written_in != languages[0]:
            raise LingoLiteError(
                f"{path} is in `{written_in}`, and the model translates from `{languages[0]}`",
                hint=f"pass --languages {written_in}-{languages[1]} if the model knows both",
            )
        return corpus_source(corpus)
    return file_source(path)
