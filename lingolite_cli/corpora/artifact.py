"""Corpora: directories with text in shards and a manifest, read and written as a stream.

Owns the manifest and the order of shards. Memory holds one shard at a time, however large the corpus is. The lines of a
shard are `lingolite_cli.corpora.lines`'s, writing a corpus is `lingolite_cli.corpora.writing`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from lingolite_cli.artifact import MANIFEST_NAME, Name, Provenance, is_corpus
from lingolite_cli.corpora.lines import SUFFIXES, Compression, CorpusLine, unpacked_lines
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.files.integrity import open_regular
from lingolite_cli.files.verified import FileEntry, VerifiedDirectory, damaged

SHARDS = "shards"
DEFAULT_SHARD_LINES = 1000
MOST_SHARD_LINES = 1_000_000
_LARGEST_MANIFEST = 256 << 20
Count = Annotated[int, Meta(ge=0)]


class ShardEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One shard.

    Attributes:
        num_lines: in the shard.
        size_bytes: of its file.
        sha256: of its file, in hex.
        key: of the work that made it; empty for text that no model made.
        faults: lines by kind of fault.
        num_failed: lines that could not be translated.
        num_truncated: lines that the model could not read whole.
    """

    num_lines: Count
    size_bytes: Count
    sha256: str
    key: str = ""
    faults: dict[str, int] = {}
    num_failed: Count = 0
    num_truncated: Count = 0


class CorpusManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`lingolite.json` of a corpus.

    Attributes:
        languages: of source and target; of monolingual text, the one.
        num_lines: in all shards.
        shard_lines: of each shard but the last.
        compression: of shards.
        licences: lines by licence, as far as lines state theirs.
        provenances: lines by where they are from, as far as lines state it.
        made_by: how it was made.
        removed: lines that were left out, by reason.
        shards: in order.
    """

    schema: int = 1
    format: Literal["corpus"] = "corpus"
    languages: tuple[Name, ...]
    num_lines: Count
    shard_lines: Annotated[int, Meta(ge=1)]
    compression: Compression = "gzip"
    licences: dict[str, int] = {}
    provenances: dict[str, int] = {}
    made_by: Provenance
    removed: dict[str, int] = {}
    shards: tuple[ShardEntry, ...]

    def __post_init__(self) -> None:
        if len(self.languages) not in (1, 2):
            raise ValueError(f"a corpus has one language or two, not {len(self.languages)}")
        if sum(shard.num_lines for shard in self.shards) != self.num_lines:
            raise ValueError("its shards do not have as many lines as it says")

    @property
    def is_parallel(self) -> bool:
        """Whether lines have targets."""
        return len(self.languages) == 2

    @property
    def faults(self) -> dict[str, int]:
        """Lines by kind of fault, over all shards."""
        found: dict[str, int] = {}
        for shard in self.shards:
            for kind, count in shard.faults.items():
                found[kind] = found.get(kind, 0) + count
        return found

    @property
    def num_failed(self) -> int:
        """Lines that could not be translated, over all shards."""
        return sum(shard.num_failed for shard in self.shards)

    @property
    def num_truncated(self) -> int:
        """Lines that the model could not read whole, over all shards."""
        return sum(shard.num_truncated for shard in self.shards)


def shard_name(index: int, compression: Compression) -> str:
    """Where the shard of that index is in the directory."""
    return f"{SHARDS}/{index:06d}{SUFFIXES[compression]}"


def manifest_of(path: Path) -> Path:
    """The manifest of a corpus, which has the digests of all of it; anything else is what it is."""
    return path / MANIFEST_NAME if path.is_dir() and is_corpus(path) else path


class CorpusArtifact(VerifiedDirectory):
    """A corpus, opened for reading. Make one with `CorpusArtifact.open`."""

    def __init__(self, path: Path, manifest: CorpusManifest) -> None:
        files = {
            shard_name(index, manifest.compression): FileEntry(shard.size_bytes, shard.sha256)
            for index, shard in enumerate(manifest.shards)
        }
        super().__init__(path, files)
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> CorpusArtifact:
        """Open a corpus.

        Args:
            path: the directory.
            verify: compare the size and SHA-256 of every shard with the manifest now, before any is read. Each is
                compared when it is read, in any case.

        Raises:
            LingoLiteError: there is no corpus, its manifest is not readable, or a shard is damaged.
        """
        corpus = cls(Path(path), read_corpus_manifest(Path(path)))
        if verify:
            corpus.verify()
        return corpus

    @property
    def digest(self) -> str:
        """SHA-256 over the manifest, and through it over every shard."""
        return sha256_json(self.manifest)

    def shard(self, index: int) -> list[CorpusLine]:
        """The lines of a shard.

        Raises:
            LingoLiteError: it is not what the manifest says.
        """
        name = shard_name(index, self.manifest.compression)
        lines = list(unpacked_lines(self.read_bytes(name), path=self.path / name))
        expected = self.manifest.shards[index].num_lines
        if len(lines) != expected:
            raise damaged(self.path / name, f"has {len(lines):,} lines, not {expected:,}")
        return lines

    def lines(self) -> Iterator[CorpusLine]:
        """All lines in order, of which a shard at a time is in memory.

        Raises:
            LingoLiteError: a shard is not what the manifest says.
        """
        for index in range(len(self.manifest.shards)):
            yield from self.shard(index)


def read_corpus_manifest(path: Path) -> CorpusManifest:
    """Read the manifest of the corpus in the directory `path`, strictly.

    Raises:
        LingoLiteError: it is not there, or not that of a corpus.
    """
    if not path.is_dir():
        what = "is a file, not a corpus" if path.exists() else "does not exist"
        raise LingoLiteError(
            f"{path} {what}", hint="a corpus is a directory; make one with `lingolite corpus import FILE --out DIR`"
        )
    file = path / MANIFEST_NAME
    try:
        with open_regular(file) as stream:
            text = stream.read(_LARGEST_MANIFEST + 1)
        if len(text) > _LARGEST_MANIFEST:
            raise ValueError(f"it has more than {_LARGEST_MANIFEST:,} bytes")
        manifest = msgspec.json.decode(text, type=CorpusManifest)
    except FileNotFoundError:
        raise LingoLiteError(
            f"{path} is not a corpus: it has no {MANIFEST_NAME}",
            hint="a job that was interrupted is finished by the same command; "
            "files of text become a corpus with `lingolite corpus import FILE --out DIR`",
        ) from None
    except OSError as error:
        raise damaged(file, f"cannot be read: {error.strerror or 'it is not a regular file'}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        if not is_corpus(path):
            raise LingoLiteError(
                f"{path} is not a corpus: its manifest does not say that it is one",
                hint="`lingolite inspect` shows what an artifact is",
            ) from None
        raise damaged(file, f"is not the manifest of a corpus: {str(error)[:300]}") from None
    if manifest.schema != 1:
        raise LingoLiteError(
            f"{file} has schema {manifest.schema}; this version reads schema 1", hint="upgrade lingolite"
        )
    return manifest
