"""The translation of a whole corpus: shards that are not done yet go to an executor, and come back to the directory.

Owns the order of the work and what is reported of it. How a shard is translated is in `worker`, what is finished on
disk in `journal`, and where workers are is the executor's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.artifact import Provenance
from lingolite_cli.bulk.job import ShardAnswer, ShardRequest, TranslatedLine, TranslationJob
from lingolite_cli.bulk.journal import OPERATION, Journal, opened_journal
from lingolite_cli.bulk.source import SourceText
from lingolite_cli.console import Console, Progress
from lingolite_cli.corpora.artifact import CorpusManifest, ShardEntry
from lingolite_cli.corpora.lines import Compression, CorpusLine, packed
from lingolite_cli.corpora.writing import Origins, describe_shard, manifest_bytes
from lingolite_cli.errors import ExitCode, LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.plugins.executors import Answer, Executor

_MOST_DEATHS = 3
"""Shards that may end their workers before any is translated: with more, it is not the text."""
_NUM_SHOWN = 3


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Where translations go, and how.

    Attributes:
        out: the directory.
        compression: of shards.
        overwrite: forget what another job left there.
    """

    out: Path
    compression: Compression = "gzip"
    overwrite: bool = False


class FailedLine(msgspec.Struct, frozen=True):
    """A line that could not be translated: its number, from 1, and why."""

    number: int
    error: str


class BulkOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A finished job.

    Attributes:
        manifest: of the corpus.
        num_done: shards that were translated now; the others were there already.
        failed: the first lines that could not be translated, of the shards that were translated now.
        warnings: what engines say of their machines.
    """

    manifest: CorpusManifest
    num_done: int
    failed: list[FailedLine]
    warnings: list[str]


def translate_corpus(
    source: SourceText,
    job: TranslationJob,
    request: BulkRequest,
    *,
    start: Callable[[], Executor],
    console: Console,
) -> BulkOutcome:
    """Translate `source` into a directory, or go on where an earlier process stopped.

    Args:
        source: text.
        job: how it is translated.
        request: where to.
        start: starts the executor; called when there is something to translate.
        console: shows how far it is, over all shards.

    Raises:
        LingoLiteError: the directory is another job's, or another process works on it; an engine cannot be opened; no
            line of a shard can be translated; or the disk is full: what was finished is kept then.
    """
    with opened_journal(request.out, job, compression=request.compression, overwrite=request.overwrite) as journal:
        label = "translate" if source.num_lines is None else f"translate {num_shards(source.num_lines, job):,} shards"
        with console.progress(label, total=source.num_lines) as progress:
            run = _Run(source, job, journal, progress)
            run.translate(start)
        if not run.num_lines:
            raise LingoLiteError(f"{source.name} has no lines", hint="there is nothing to translate")
        manifest = run.manifest()
        journal.finish(manifest_bytes(manifest), num_shards=len(manifest.shards))
    return BulkOutcome(
        manifest=manifest, num_done=run.num_done, failed=run.failed, warnings=list(dict.fromkeys(run.warnings))
    )


def num_shards(num_lines: int, job: TranslationJob) -> int:
    """How many shards so many lines have."""
    return -(-num_lines // job.shard_lines)


class _Shard(msgspec.Struct, frozen=True):
    """A shard on its way."""

    index: int
    key: str
    lines: list[CorpusLine]

    @property
    def request(self) -> bytes:
        return request_of([line.source for line in self.lines])


def request_of(texts: list[str]) -> bytes:
    """What a worker is asked to translate."""
    return msgspec.msgpack.encode(ShardRequest(texts))


class _Run:
    """One run of a job. In memory are only the shards that workers have, and an entry for each that is finished."""

    def __init__(self, source: SourceText, job: TranslationJob, journal: Journal, progress: Progress) -> None:
        self._source = source
        self._job = job
        self._journal = journal
        self._progress = progress
        self._origins = Origins()
        self._shards: dict[int, ShardEntry] = {}
        self._dead: list[_Shard] = []
        self.num_lines = 0
        self.num_done = 0
        self.failed: list[FailedLine] = []
        self.warnings: list[str] = []

    def translate(self, start: Callable[[], Executor]) -> None:
        """Translate what is not there yet."""
        waiting = self._missing()
        first = next(waiting, None)
        if first is None:
            return
        executor = start()
        try:
            self._share(executor, first, waiting)
            for shard in self._dead:
                self._keep(shard, _Halving(executor).lines(shard.lines))
        finally:
            executor.close()

    def _missing(self) -> Iterator[_Shard]:
        """The shards that have to be translated, in order; those that are finished are counted on the way."""
        lines = self._source.lines()
        index = 0
        while chunk := list(islice(lines, self._job.shard_lines)):
            self.num_lines += len(chunk)
            for line in chunk:
                self._origins.add(line)
            key = self._job.key(line.source for line in chunk)
            finished = self._journal.finished(index, key)
            if finished is None:
                yield _Shard(index, key, chunk)
            else:
                self._shards[index] = finished
                self._progress.skip(len(chunk))
            index += 1

    def _share(self, executor: Executor, first: _Shard, others: Iterator[_Shard]) -> None:
        under_way: dict[int, _Shard] = {}

        def requests() -> Iterator[bytes]:
            for position, shard in enumerate(_chained(first, others)):
                under_way[position] = shard
                yield shard.request

        for answer in executor.answers(requests()):
            shard = under_way.pop(answer.position)
            if answer.content is None:
                self._note_death(shard, answer)
            else:
                self._keep(shard, self._decoded(answer.content))

    def _note_death(self, shard: _Shard, answer: Answer) -> None:
        self._dead.append(shard)
        if not self.num_done and len(self._dead) > _MOST_DEATHS:
            raise LingoLiteError(
                f"{len(self._dead)} shards in a row ended their workers, and none was translated: {answer.death}",
                hint="it is the model or the machine, not the text: pass fewer --workers, or a smaller --batch-size",
                exit_code=ExitCode.PLUGIN,
            )

    def _decoded(self, content: bytes) -> list[TranslatedLine]:
        answer = msgspec.msgpack.decode(content, type=ShardAnswer)
        self.warnings += [warning for warning in answer.warnings if warning not in self.warnings]
        return answer.lines

    def _keep(self, shard: _Shard, translated: Sequence[TranslatedLine]) -> None:
        errors = [line.error for line in translated if line.error is not None]
        if len(errors) == len(shard.lines) > 1:
            raise LingoLiteError(
                f"no line of shard {shard.index + 1} could be translated; the first: {errors[0]}",
                hint="it is the model or the engine, not a line: try `lingolite translate` on one of them",
                exit_code=ExitCode.PLUGIN,
            )
        lines = [_merged(source, found) for source, found in zip(shard.lines, translated, strict=True)]
        data = packed(lines, self._journal.compression)
        faults = Counter(kind for line in translated for kind in line.faults)
        entry = msgspec.structs.replace(
            describe_shard(data, num_lines=len(lines)),
            key=shard.key,
            faults=dict(sorted(faults.items())),
            num_failed=len(errors),
            num_truncated=sum(line.is_truncated for line in translated),
        )
        self._journal.add(shard.index, entry, data)
        self._shards[shard.index] = entry
        self.num_done += 1
        self._progress.advance(len(lines))
        self._note_failures(shard, translated)

    def _note_failures(self, shard: _Shard, translated: Sequence[TranslatedLine]) -> None:
        start = shard.index * self._job.shard_lines + 1
        for number, line in enumerate(translated, start=start):
            if line.error is not None and len(self.failed) < _NUM_SHOWN:
                self.failed.append(FailedLine(number, line.error))

    def manifest(self) -> CorpusManifest:
        """The manifest of all shards, in order."""
        return CorpusManifest(
            languages=self._job.languages,
            num_lines=self.num_lines,
            shard_lines=self._job.shard_lines,
            compression=self._journal.compression,
            licences=dict(sorted(self._origins.licences.items())),
            provenances=dict(sorted(self._origins.provenances.items())),
            made_by=Provenance(
                operation=OPERATION,
                options=msgspec.to_builtins(self._job),
                inputs={"model": self._job.model, **self._source.inputs},
            ),
            shards=tuple(self._shards[index] for index in sorted(self._shards)),
        )


class _Halving:
    """Finds the lines that end a worker: of a shard that did, each half is tried, and so on."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def lines(self, lines: Sequence[CorpusLine], *, death: str = "") -> list[TranslatedLine]:
        """What becomes of each line; those that end their worker alone have no translation."""
        if len(lines) == 1 and death:
            return [TranslatedLine(error=death)]
        middle = len(lines) // 2
        parts = [part for part in (lines[:middle], lines[middle:]) if part]
        found: list[TranslatedLine] = []
        for part in parts:
            request = request_of([line.source for line in part])
            (answer,) = self._executor.answers([request])
            if answer.content is not None:
                found += msgspec.msgpack.decode(answer.content, type=ShardAnswer).lines
            else:
                found += self.lines(part, death=answer.death or "its worker ended")
        return found


def _chained(first: _Shard, others: Iterator[_Shard]) -> Iterator[_Shard]:
    yield first
    yield from others


def _merged(source: CorpusLine, found: TranslatedLine) -> CorpusLine:
    return msgspec.structs.replace(
        source,
        target=found.text,
        score=found.score,
        faults=found.faults,
        alternatives=found.alternatives,
        error=found.error,
    )
