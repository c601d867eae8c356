"""Writing a corpus, line by line: full shards are written as they come, the manifest at the end."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from lingolite_cli.artifact import MANIFEST_NAME, Provenance
from lingolite_cli.corpora.artifact import (
    DEFAULT_SHARD_LINES,
    SHARDS,
    CorpusManifest,
    ShardEntry,
    shard_name,
)
from lingolite_cli.corpora.lines import Compression, CorpusLine, packed
from lingolite_cli.files.digests import canonical_json

OTHERS = "others"
_MOST_NAMES = 1000


class CorpusLayout(msgspec.Struct, frozen=True, kw_only=True):
    """How a corpus is laid out on disk.

    Attributes:
        languages: of source and target; of monolingual text, the one.
        shard_lines: of each shard but the last.
        compression: of shards.
    """

    languages: tuple[str, ...]
    shard_lines: int = DEFAULT_SHARD_LINES
    compression: Compression = "gzip"


class Origins:
    """Where lines are from and their licences, counted. What comes after a thousand names is counted as `others`."""

    def __init__(self) -> None:
        self.licences: Counter[str] = Counter()
        self.provenances: Counter[str] = Counter()

    def add(self, line: CorpusLine) -> None:
        """Count one line."""
        for counts, name in ((self.licences, line.licence), (self.provenances, line.provenance)):
            if name is not None:
                # A provenance may be a page, and every line have another: manifest and memory stay small.
                counts[name if name in counts or len(counts) < _MOST_NAMES else OTHERS] += 1


class CorpusWriter:
    """Writes lines into a directory that exists; a corpus is there when `finish` was called.

    Args:
        directory: where to; `lingolite_cli.files.atomic` makes it appear whole or not at all.
        layout: of the corpus.
    """

    def __init__(self, directory: Path, layout: CorpusLayout) -> None:
        self._directory = directory
        self._layout = layout
        self._waiting: list[CorpusLine] = []
        self._shards: list[ShardEntry] = []
        self._origins = Origins()
        self.num_lines = 0
        (directory / SHARDS).mkdir()

    def add(self, line: CorpusLine) -> None:
        """Write one line."""
        self._waiting.append(line)
        self._origins.add(line)
        self.num_lines += 1
        if len(self._waiting) == self._layout.shard_lines:
            self._flush()

    def add_all(self, lines: Iterable[CorpusLine]) -> None:
        """Write lines."""
        for line in lines:
            self.add(line)

    def finish(self, made_by: Provenance, *, removed: Mapping[str, int] | None = None) -> CorpusManifest:
        """Write what is left, and the manifest.

        Args:
            made_by: how it was made.
            removed: lines that were left out, by reason.
        """
        if self._waiting:
            self._flush()
        manifest = CorpusManifest(
            languages=self._layout.languages,
            num_lines=self.num_lines,
            shard_lines=self._layout.shard_lines,
            compression=self._layout.compression,
            licences=dict(self._origins.licences),
            provenances=dict(self._origins.provenances),
            made_by=made_by,
            removed=dict(removed or {}),
            shards=tuple(self._shards),
        )
        write_corpus_manifest(self._directory, manifest)
        return manifest

    def _flush(self) -> None:
        data = packed(self._waiting, self._layout.compression)
        (self._directory / shard_name(len(self._shards), self._layout.compression)).write_bytes(data)
        self._shards.append(describe_shard(data, num_lines=len(self._waiting)))
        self._waiting = []


def describe_shard(data: bytes, *, num_lines: int) -> ShardEntry:
    """The entry of a shard from its file."""
    return ShardEntry(num_lines=num_lines, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())


def write_corpus_manifest(directory: Path, manifest: CorpusManifest) -> None:
    """Write the manifest, after all shards."""
    (directory / MANIFEST_NAME).write_bytes(manifest_bytes(manifest))


def manifest_bytes(manifest: CorpusManifest) -> bytes:
    """The manifest as its file has it."""
    return msgspec.json.format(canonical_json(manifest), indent=2) + b"\n"
