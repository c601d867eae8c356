"""Text of others: UTF-8 with or without a byte order mark, plain, gzip or zstd, in files and in pipes.

Owns the way from a path to bytes that can be split into lines, and what is said of other forms, which are recognized by
their first bytes. Lines and their meaning are the reader's.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.encodings import not_utf8_hint, other_form_hint
from lingolite_cli.files.special import is_stream
from lingolite_cli.files.zstd import MAGIC as ZSTD
from lingolite_cli.files.zstd import zstd_reader

_GZIP = b"\x1f\x8b"
_PACKED = (_GZIP, ZSTD)
_HEAD_BYTES = 64
_CHUNK_BYTES = 1 << 20
MOST_LINE_BYTES = 16 << 20
"""A line of a stream that is longer is no sentence; a few bytes of gzip unpack to any length."""
_UNSUSPICIOUS_BYTES = 256 << 20
_MOST_RATIO = 40
"""Text shrinks to a third or a tenth. What unpacks to this many times its size, and to more than the above, is none."""


MOST_REMEMBERED_BYTES = 1 << 30
"""Of what a pipe held: a device such as /dev/zero has no end."""

_STREAMS: dict[str, bytes] = {}
"""What pipes and devices held, by their paths: they can be read once, and a run reads its inputs several times."""


def read_text_bytes(path: Path) -> bytes:
    """A file's content, unpacked where it is packed, its byte order mark included. A pipe is read once and remembered.

    Raises:
        LingoLiteError: it cannot be read, is damaged or cut short, unpacks to absurd size, or is in another form.
    """
    with _told(str(path)):
        data = _content(path)
        if not data.startswith(_PACKED):
            return _plain(data, str(path))
        with unpacked(io.BytesIO(data), name=str(path)) as stream:
            return _plain(b"".join(_chunks(stream, len(data), name=str(path))), str(path))


def read_lines(stream: IO[bytes], *, name: str) -> Iterator[bytes]:
    """The lines of a stream as they come, with their ends, unpacked where they are packed, without a byte order mark.

    Args:
        stream: binary; it may be endless.
        name: what messages call it.

    Raises:
        LingoLiteError: as of `read_text_bytes`, or a line is longer than `MOST_LINE_BYTES`.
    """
    with _told(name):
        lines = unpacked(stream, name=name)
        head = lines.peek(_HEAD_BYTES)[:_HEAD_BYTES]
        _refuse_other_forms(head.removeprefix(codecs.BOM_UTF8), name)
        if head.startswith(codecs.BOM_UTF8):
            lines.read(len(codecs.BOM_UTF8))
        number = 0
        while line := lines.readline(MOST_LINE_BYTES + 1):
            number += 1
            if len(line) > MOST_LINE_BYTES:
                raise LingoLiteError(
                    f"{name}, line {number}: longer than {MOST_LINE_BYTES >> 20} MB, which is no sentence",
                    hint="give one sentence a line",
                )
            yield line


def unpacked(stream: IO[bytes], *, name: str) -> io.BufferedReader:
    """A reader of a stream that can be looked into, unpacked where it is gzip or zstd; `read_lines` and `peek` go on
    from it.

    Args:
        stream: binary; it may be endless.
        name: what messages call it.

    Raises:
        LingoLiteError: it cannot be read, or the package that unpacks it is not installed.
    """
    with _told(name):
        ahead = _peekable(stream)
        head = ahead.peek(_HEAD_BYTES)
        if head.startswith(ZSTD):
            return io.BufferedReader(zstd_reader(ahead, name=name))
        return _peekable(cast("IO[bytes]", gzip.open(ahead))) if head.startswith(_GZIP) else ahead


def unpacked_name(path: Path) -> str:
    """The name of a file without the ending that says how it is packed."""
    return path.name.removesuffix(".gz").removesuffix(".zst")


def beginning(stream: io.BufferedReader, *, name: str) -> bytes:
    """What can be read of a stream at once, without reading on: some thousand bytes, or a line that was typed.

    Raises:
        LingoLiteError: it cannot be read.
    """
    with _told(name):
        return stream.peek(_HEAD_BYTES)


def lines_of(path: Path) -> Iterator[bytes]:
    """As `read_lines`, of a file or a pipe.

    Raises:
        LingoLiteError: as of `read_lines`, or it cannot be opened.
    """
    with _told(str(path)):
        stream = path.open("rb")
    with stream:
        yield from read_lines(stream, name=str(path))


def repeatable_lines(path: Path) -> Iterator[bytes]:
    """As `lines_of`, as often as is asked for: what a pipe held is remembered, and a file is read anew, not kept.

    Raises:
        LingoLiteError: as of `read_text_bytes` and `read_lines`.
    """
    with _told(str(path)):
        packed = open_again(path)
        num_packed = packed.seek(0, os.SEEK_END)
        packed.seek(0)
    num_unpacked = 0
    with packed:
        for line in read_lines(packed, name=str(path)):
            num_unpacked += len(line)
            _refuse_bomb(num_unpacked, num_packed, name=str(path))
            yield line


def open_again(path: Path) -> IO[bytes]:
    """A file as it is on disk; or what a pipe held, which is remembered, as often as is asked for.

    Raises:
        OSError: it cannot be read.
        LingoLiteError: a pipe holds more than can be remembered.
    """
    return io.BytesIO(_content(path)) if is_stream(path) else path.open("rb")


def text_digest(path: Path) -> str:
    """SHA-256, in hex, of a file as it is on disk, or of what a pipe held.

    Raises:
        LingoLiteError: it cannot be read.
    """
    digest = hashlib.sha256()
    with _told(str(path)), open_again(path) as stream:
        while block := stream.read(_CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _content(path: Path) -> bytes:
    if not is_stream(path):
        return path.read_bytes()
    place = os.path.abspath(path)
    if place not in _STREAMS:
        with path.open("rb") as stream:
            held = stream.read(MOST_REMEMBERED_BYTES + 1)
        if len(held) > MOST_REMEMBERED_BYTES:
            raise LingoLiteError(
                f"{path} is a pipe or a device, and holds more than {MOST_REMEMBERED_BYTES >> 20:,} MB",
                hint="write it to a file first, and pass that",
            )
        _STREAMS[place] = held
    return _STREAMS[place]


def _chunks(stream: IO[bytes], num_packed: int, *, name: str) -> Iterator[bytes]:
    num_unpacked = 0
    while chunk := stream.read(_CHUNK_BYTES):
        num_unpacked += len(chunk)
        _refuse_bomb(num_unpacked, num_packed, name=name)
        yield chunk


def _refuse_bomb(num_unpacked: int, num_packed: int, *, name: str) -> None:
    if num_unpacked > max(_UNSUSPICIOUS_BYTES, _MOST_RATIO * num_packed):
        raise LingoLiteError(
            f"{name} unpacks to more than {num_unpacked >> 20:,} MB from {num_packed:,} bytes, which is no text",
            hint="unpack it first, if it is meant",
        )


def _plain(data: bytes, name: str) -> bytes:
    _refuse_other_forms(data[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8), name)
    return data


def _refuse_other_forms(head: bytes, name: str) -> None:
    hint = other_form_hint(head)
    if hint is not None:
        raise LingoLiteError(f"{name} is not UTF-8 text", hint=hint)


def _peekable(stream: IO[bytes]) -> io.BufferedReader:
    """`stream` where it can be looked into without reading on, as stdin; else a reader of it that can."""
    if hasattr(stream, "peek"):
        return cast("io.BufferedReader", stream)
    return io.BufferedReader(cast("io.RawIOBase", stream))


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise LingoLiteError(f"{name} is damaged or cut short: {error}", hint="copy or download it again") from None
    except OSError as error:
        raise LingoLiteError(f"cannot read {name}: {error.strerror}") from None


def decoded_lines(lines: Iterable[bytes], *, name: str) -> Iterator[str]:
    """Lines as text, without their ends.

    Raises:
        LingoLiteError: one is not UTF-8.
    """
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise LingoLiteError(
                f"{name}, line {number}: not UTF-8: byte {error.start} is {line[error.start]:#04x}",
                hint=not_utf8_hint(line),
            ) from None
