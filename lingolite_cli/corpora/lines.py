"""One line of a corpus, as shards have it, and the files of shards: compressed JSON lines.

Owns the keys of a line and the bytes of a shard. Which shards a corpus has is in `artifact`.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from lingolite_cli.decoding.hypothesis import Alternative
from lingolite_cli.files.verified import damaged
from lingolite_cli.plugins.extras import CORPORA, require

Compression = Literal["gzip", "zstd"]
SUFFIXES: dict[Compression, str] = {"gzip": ".jsonl.gz", "zstd": ".jsonl.zst"}
_GZIP_LEVEL, _ZSTD_LEVEL = 6, 10


class CorpusLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A line of a corpus; what has its default is left out.

    Attributes:
        source: text.
        target: its translation; None in monolingual text.
        provenance: where the line is from, such as the name of a collection.
        licence: of the line.
        score: of a translation that a model made: log-probability over the length penalty.
        faults: kinds of faults that the translation shows; see `lingolite_cli.evaluation.faults`.
        alternatives: the n best translations, where more than one was asked for, the best included.
        error: why there is no translation.
    """

    source: str
    target: str | None = None
    provenance: str | None = None
    licence: str | None = None
    score: float | None = None
    faults: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    error: str | None = None


def packed(lines: Iterable[CorpusLine], compression: Compression) -> bytes:
    """The file of a shard. Equal lines give equal bytes.

    Raises:
        LingoLiteError: zstd was asked for, and its package is not installed.
    """
    text = b"".join(map(_written, lines))
    if compression == "zstd":
        require(CORPORA, what="compression with zstd")
        import zstandard

        compressed: bytes = zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_content_size=True).compress(text)
        return compressed
    return gzip.compress(text, _GZIP_LEVEL, mtime=0)


def _written(line: CorpusLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def unpacked_lines(data: bytes, *, path: Path) -> Iterator[CorpusLine]:
    """The lines of a shard.

    Args:
        data: the file.
        path: of the file, for messages.

    Raises:
        LingoLiteError: it is damaged, it has what is no line of a corpus, or zstd is not installed.
    """
    decoder = msgspec.json.Decoder(CorpusLine)
    try:
        with _opened(data, path) as stream:
            for number, text in enumerate(stream, start=1):
                try:
                    yield decoder.decode(text)
                except (ValueError, RecursionError) as error:
                    raise damaged(path, f"has no line of a corpus in line {number}: {str(error)[:200]}") from None
    except (EOFError, OSError, zlib.error) as error:
        raise damaged(path, f"cannot be unpacked: {error}") from None


def _opened(data: bytes, path: Path) -> io.BufferedIOBase:
    if path.name.endswith(SUFFIXES["zstd"]):
        require(CORPORA, what=f"{path}, compressed with zstd,")
        import zstandard

        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True))
    return gzip.GzipFile(fileobj=io.BytesIO(data))
