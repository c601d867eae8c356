"""`weight.bin`: the file of arrays beside a program. Reading only.

The layout is that of coremltools' `MILBlob/Blob/StorageFormat.hpp`: a header of 64 bytes, and for each array 64 bytes
that say its type, its size and where it begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError

_SENTINEL = 0xDEADBEEF
_RECORD = np.dtype(
    [
        ("sentinel", "<u4"),
        ("type", "<u4"),
        ("size", "<u8"),
        ("offset", "<u8"),
        ("padding", "<u8"),
        ("reserved", "<u8", 4),
    ]
)
_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float16),
    2: np.dtype(np.float32),
    3: np.dtype(np.uint8),
    4: np.dtype(np.int8),
    14: np.dtype(np.int32),
}
_INT4, _UINT4 = 8, 11


class WeightFile:
    """The arrays of a program.

    Args:
        path: of the file.

    Raises:
        LingoLiteError: it is missing or empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._bytes = np.memmap(path, np.uint8, "r")
        except (OSError, ValueError) as error:
            raise self._damaged(str(error)) from None

    def read(self, offset: int, shape: tuple[int, ...]) -> Array:
        """The array whose record is at `offset`. 4-bit integers come as int8 or uint8, one each.

        Raises:
            LingoLiteError: there is no such array.
        """
        end = offset + _RECORD.itemsize
        if offset < 0 or end > len(self._bytes):
            raise self._damaged(f"has no record at {offset:,}")
        record = self._bytes[offset:end].view(_RECORD)[0]
        if record["sentinel"] != _SENTINEL:
            raise self._damaged(f"has no array at {offset:,}")
        begin, size, kind = int(record["offset"]), int(record["size"]), int(record["type"])
        content = self._bytes[begin : begin + size]
        count = int(np.prod(shape, dtype=np.int64))
        if kind in (_INT4, _UINT4):
            return self._unpack(content, count, is_signed=kind == _INT4).reshape(shape)
        if kind not in _TYPES:
            raise self._damaged(f"holds an array of an unknown type, {kind}")
        if len(content) != size or size != count * _TYPES[kind].itemsize:
            raise self._damaged(f"holds {len(content):,} bytes for an array of {list(shape)}")
        array: Array = content.view(_TYPES[kind]).reshape(shape)
        return array

    def _unpack(self, content: Array, count: int, *, is_signed: bool) -> Array:
        """Two integers a byte, the first in the lower half."""
        if len(content) != -(-count // 2):
            raise self._damaged(f"holds {len(content):,} bytes for {count:,} integers of 4 bits")
        pairs = np.stack([content & 15, content >> 4], axis=-1).reshape(-1)[:count]
        return ((pairs ^ 8).astype(np.int8) - np.int8(8)) if is_signed else pairs

    def _damaged(self, what: str) -> LingoLiteError:
        return LingoLiteError(f"{self._path} {what}", hint="the package is damaged; export the bundle again")
