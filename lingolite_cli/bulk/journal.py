"""Which shards of a job are finished, on disk: a line for each, so that a job that was killed goes on.

Owns the file. Only the process that holds the directory's lock writes it. A line that was cut short by a kill is of a
shard that is done again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from lingolite_cli.artifact import MANIFEST_NAME
from lingolite_cli.bulk.job import TranslationJob
from lingolite_cli.corpora.artifact import SHARDS, ShardEntry, read_corpus_manifest, shard_name
from lingolite_cli.corpora.lines import Compression
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.disk import check_writable, explained
from lingolite_cli.files.integrity import digest_regular
from lingolite_cli.files.lock import close_lock, try_lock

JOURNAL_NAME = "job.jsonl"
LOCK_NAME = ".lock"
OPERATION = "translate"


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    job: TranslationJob
    compression: Compression


class _Finished(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    index: int
    shard: ShardEntry


class Journal:
    """The finished shards of one job in its directory, which this process has locked.

    Args:
        directory: of the job.
        job: what is done in it.
        compression: of shards.
        shards: those that are finished, by index.
    """

    def __init__(
        self, directory: Path, job: TranslationJob, *, compression: Compression, shards: dict[int, ShardEntry]
    ) -> None:
        self._directory = directory
        self._job = job
        self.compression = compression
        self._shards = shards
        self._is_begun = False

    def _begin(self) -> None:
        """Write what is known afresh. From here on, the directory is not a corpus until `finish`."""
        if self._is_begun:
            return
        self._is_begun = True
        header = _Header(job=self._job, compression=self.compression)
        lines = [msgspec.json.encode(header)]
        lines += [
            msgspec.json.encode(_Finished(index=index, shard=shard)) for index, shard in sorted(self._shards.items())
        ]
        (self._directory / SHARDS).mkdir(exist_ok=True)
        write_atomic(self._directory / JOURNAL_NAME, b"".join(line + b"\n" for line in lines))
        (self._directory / MANIFEST_NAME).unlink(missing_ok=True)

    def finished(self, index: int, key: str) -> ShardEntry | None:
        """The shard of that index, if it is there, whole, and of that key."""
        shard = self._shards.get(index)
        if shard is None or shard.key != key:
            return None
        try:
            found = digest_regular(self._directory / shard_name(index, self.compression))
        except OSError:
            return None
        return shard if found.sha256 == shard.sha256 else None

    def add(self, index: int, shard: ShardEntry, data: bytes) -> None:
        """Write a shard, whole or not at all, and note that it is finished.

        Raises:
            LingoLiteError: the disk is full.
        """
        self._begin()
        write_atomic(self._directory / shard_name(index, self.compression), data)
        with explained(self._directory), (self._directory / JOURNAL_NAME).open("ab") as stream:
            stream.write(msgspec.json.encode(_Finished(index=index, shard=shard)) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._shards[index] = shard

    def finish(self, manifest: bytes, *, num_shards: int) -> None:
        """Make the directory a corpus of the first `num_shards` shards; one that it is already stays untouched."""
        place = self._directory / MANIFEST_NAME
        if not self._is_begun and place.exists() and place.read_bytes() == manifest:
            return
        self._begin()
        kept = {shard_name(index, self.compression) for index in range(num_shards)}
        for path in (self._directory / SHARDS).iterdir():
            if f"{SHARDS}/{path.name}" not in kept:
                path.unlink()
        write_atomic(place, manifest)
        (self._directory / JOURNAL_NAME).unlink(missing_ok=True)


@contextmanager
def opened_journal(
    directory: Path, job: TranslationJob, *, compression: Compression, overwrite: bool
) -> Iterator[Journal]:
    """The journal of a job in `directory`, which no other process works on while the block lasts.

    Args:
        directory: need not exist.
        job: what is to be done in it.
        compression: of shards.
        overwrite: forget what another job left there.

    Raises:
        LingoLiteError: another process works there; the directory has what no job made; or what another job made.
    """
    check_writable(directory)
    is_new = not directory.exists()
    if not is_new:
        _check_contents(directory)
    with explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        lock = try_lock(directory / LOCK_NAME)
    if lock is None:
        raise LingoLiteError(
            f"another process translates into {directory}", hint="wait for it, or choose another place with --out"
        )
    try:
        shards = {} if overwrite else _known_shards(directory, job, compression)
        yield Journal(directory, job, compression=compression, shards=shards)
    finally:
        is_untouched = is_new and not (directory / JOURNAL_NAME).exists() and not (directory / MANIFEST_NAME).exists()
        if is_untouched:
            (directory / LOCK_NAME).unlink(missing_ok=True)
        close_lock(lock)
        if is_untouched:
            with suppress(OSError):
                directory.rmdir()


def _check_contents(directory: Path) -> None:
    """Refuse a directory in which anything lies that no job made."""
    if not directory.is_dir():
        raise LingoLiteError(f"{directory} is a file", hint="name a directory with --out")
    names = {path.name for path in directory.iterdir() if not path.name.startswith(".")}
    if not names or JOURNAL_NAME in names:
        return
    if MANIFEST_NAME in names:
        manifest = read_corpus_manifest(directory)
        if manifest.made_by.operation == OPERATION:
            return
        raise LingoLiteError(
            f"{directory} is a corpus that `{manifest.made_by.operation}` made, not translations",
            hint="choose another place with --out",
        )
    raise LingoLiteError(
        f"{directory} is not empty, and no translations are in it", hint="choose another place with --out"
    )


def _known_shards(directory: Path, job: TranslationJob, compression: Compression) -> dict[int, ShardEntry]:
    """The shards that a job left, which must be the same job.

    Raises:
        LingoLiteError: it was another.
    """
    if (directory / JOURNAL_NAME).exists():
        header, shards = _read(directory / JOURNAL_NAME)
    elif (directory / MANIFEST_NAME).exists():
        manifest = read_corpus_manifest(directory)
        header = _Header(
            job=msgspec.convert(manifest.made_by.options, TranslationJob), compression=manifest.compression
        )
        shards = dict(enumerate(manifest.shards))
    else:
        return {}
    difference = job.difference(header.job)
    if difference is None and compression != header.compression:
        difference = f"compression {header.compression}, not {compression}"
    if difference is not None:
        raise LingoLiteError(
            f"{directory} has translations of another job: {difference}",
            hint="shards of two jobs are not mixed: choose another place with --out, or pass --overwrite to begin anew",
        )
    return shards


def _read(path: Path) -> tuple[_Header, dict[int, ShardEntry]]:
    header, *lines = path.read_bytes().splitlines()
    try:
        found = msgspec.json.decode(header, type=_Header)
    except ValueError as error:
        raise LingoLiteError(
            f"{path} is not the journal of a job of this version: {error}",
            hint="choose another place with --out, or pass --overwrite to begin anew",
        ) from None
    shards: dict[int, ShardEntry] = {}
    for line in lines:
        with suppress(ValueError):  # cut short by a kill
            finished = msgspec.json.decode(line, type=_Finished)
            shards[finished.index] = finished.shard
    return found, shards
