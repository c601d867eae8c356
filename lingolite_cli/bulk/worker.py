"""The handler that translates shards: an engine, asked line by line where a whole shard fails.

Owns how a shard becomes translations, and what is told of a line that cannot be translated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.bulk.job import ShardAnswer, ShardRequest, ShardSetup, TranslatedLine, TranslationJob
from lingolite_cli.decoding.sentences import SentenceTranslator
from lingolite_cli.decoding.translator import Translation, Translator
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.evaluation.faults import faults_without_reference
from lingolite_cli.plugins.executors import Work
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.tokenization.opening import open_tokenizer

_MODEL = "model"
"""What the handler calls its one artifact."""
_MOST_REASON = 300


class ShardTranslator:
    """A `lingolite_cli.plugins.executors.Handler`: a `ShardRequest` gives a `ShardAnswer`, both as msgpack.

    Args:
        setup: a `ShardSetup`, as msgpack.
        artifacts: the model, under the name `_MODEL`.

    Raises:
        LingoLiteError: the backend cannot open the model.
    """

    def __init__(self, setup: bytes, artifacts: Mapping[str, Path]) -> None:
        decoded = msgspec.msgpack.decode(setup, type=ShardSetup)
        job = decoded.job
        # Workers digest nothing, so that they start fast: who sent the artifact makes sure of its files.
        artifact = Artifact.open(artifacts[_MODEL], verify=False)
        if artifact.digest != job.model:
            raise LingoLiteError(f"{artifact.path} is not the model that the job began with")
        loaded = load_registry(blocked=decoded.blocked).resolve("backend", job.backend)
        backend = loaded.open(artifact, options=job.options, threads=job.threads)
        self._languages = job.languages
        self._n_best = job.decoding.n_best
        self._warnings = tuple(getattr(backend, "warnings", ()))
        translator = Translator(
            backend,
            open_tokenizer(artifact),
            artifact.manifest.model,
            job.languages,
            options=job.decoding,
            batch_size=job.batch_size,
            capabilities=loaded.spec.capabilities,
        )
        self._translator = SentenceTranslator(translator, job.languages, is_splitting=job.is_splitting)

    def __call__(self, request: bytes) -> bytes:
        """Translate a shard."""
        texts = msgspec.msgpack.decode(request, type=ShardRequest).texts
        return msgspec.msgpack.encode(ShardAnswer(list(self._lines(texts)), self._warnings))

    def _lines(self, texts: Sequence[str]) -> Iterator[TranslatedLine]:
        try:
            found = list(self._translator.translate(texts))
        except (LingoLiteError, ValueError, ArithmeticError, MemoryError):
            # Whatever a line did to the engine, the others of its batch are not to suffer from it.
            yield from map(self._alone, texts)
            return
        for source, translation in zip(texts, found, strict=True):
            yield self._line(source, translation)

    def _alone(self, source: str) -> TranslatedLine:
        try:
            (translation,) = self._translator.translate([source])
        except LingoLiteError as error:
            if error.exit_code == ExitCode.BUG:
                raise
            return TranslatedLine(error=error.message[:_MOST_REASON])
        except (ValueError, ArithmeticError, MemoryError) as error:
            return TranslatedLine(error=f"{type(error).__name__}: {error}"[:_MOST_REASON])
        return self._line(source, translation)

    def _line(self, source: str, found: Translation) -> TranslatedLine:
        return TranslatedLine(
            text=found.text,
            score=found.score,
            faults=faults_without_reference(
                source, found.text, is_finished=found.is_finished, languages=self._languages
            )
            if source.strip()
            else (),
            alternatives=found.alternatives if self._n_best > 1 else (),
            is_truncated=found.is_truncated,
        )


def shard_work(job: TranslationJob, artifact: Artifact, *, blocked: Iterable[str]) -> Work:
    """The work of an executor's workers: shards of a job.

    Args:
        job: what is done.
        artifact: the model of the job.
        blocked: plugins that workers must not load.
    """
    return Work(
        handler=f"{ShardTranslator.__module__}:{ShardTranslator.__name__}",
        setup=msgspec.msgpack.encode(ShardSetup(job=job, blocked=tuple(sorted(blocked)))),
        artifacts={_MODEL: artifact.path},
        threads=job.threads,
    )
