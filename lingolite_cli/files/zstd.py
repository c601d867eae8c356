"""Zstandard as a form of text files, through the package `zstandard`, which an extra brings.

Owns reading as a stream, frame after frame, with a file that is cut short told, and writing as a stream.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import IO, Any

from lingolite_cli.plugins.extras import CORPORA, require

MAGIC = b"\x28\xb5\x2f\xfd"
_READ_BYTES = 1 << 12
"""At once: a block of four bytes may stand for 128 KB."""
_LEVEL = 10


def zstd_reader(stream: IO[bytes], *, name: str) -> io.RawIOBase:
    """What a compressed stream holds.

    Args:
        stream: binary; it may be endless.
        name: what messages call it.

    Raises:
        LingoLiteError: the package is not installed.
    """
    require(CORPORA, what=f"{name}, compressed with zstd,")
    return _ZstdReader(stream)


def zstd_blocks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks of a stream, compressed.

    Raises:
        LingoLiteError: the package is not installed.
    """
    require(CORPORA, what="compression with zstd")
    import zstandard

    packer = zstandard.ZstdCompressor(level=_LEVEL).compressobj()
    for block in blocks:
        yield packer.compress(block)
    yield packer.flush()


class _ZstdReader(io.RawIOBase):
    """The package's own reader takes a file that is cut short for one that ends."""

    def __init__(self, stream: IO[bytes]) -> None:
        import zstandard

        self._new_frame = zstandard.ZstdDecompressor().decompressobj
        self._error = zstandard.ZstdError
        self._stream = stream
        self._frame: Any = None
        self._ready = b""

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:  # Any: whatever can be written to, which has no name before Python 3.12
        """As of `io.RawIOBase`.

        Raises:
            EOFError: the stream is damaged, or ends inside of a frame.
        """
        target = memoryview(buffer)
        while not self._ready:
            chunk = self._stream.read(_READ_BYTES)
            if not chunk:
                if self._frame is not None:
                    raise EOFError("it ends inside of a zstd frame")
                return 0
            self._ready = self._unpacked(chunk)
        number = min(len(target), len(self._ready))
        target[:number] = self._ready[:number]
        self._ready = self._ready[number:]
        return number

    def _unpacked(self, chunk: bytes) -> bytes:
        found = b""
        try:
            while chunk:
                if self._frame is None:
                    self._frame = self._new_frame()
                found += self._frame.decompress(chunk)
                chunk = b""
                if self._frame.eof:
                    chunk, self._frame = self._frame.unused_data, None
        except self._error as error:
            raise EOFError(str(error)) from None
        return found
