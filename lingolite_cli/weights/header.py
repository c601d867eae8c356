"""What the header of a safetensors file says of its tensors, read without a library and without the tensors.

Owns the reading of the header alone. Who computes with tensors reads them by `lingolite_cli.weights.bundle`.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from lingolite_cli.errors import LingoLiteError

_LARGEST = 64 << 20


class StoredValues(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one type in a file: tensors, values and bytes of all of them together."""

    dtype: str
    num_tensors: int
    num_values: int
    size_bytes: int


class _Tensor(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]


def stored_values(path: Path) -> list[StoredValues]:
    """How a file of weights stores its values, the type with most bytes first.

    Raises:
        LingoLiteError: its header cannot be read.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(_LARGEST, path.stat().st_size):
                raise ValueError("its header is longer than the file")
            header = msgspec.json.decode(stream.read(length), type=dict[str, msgspec.Raw])
        tensors = [msgspec.json.decode(raw, type=_Tensor) for name, raw in header.items() if name != "__metadata__"]
    except (OSError, ValueError) as error:  # msgspec's errors are values too
        raise LingoLiteError(f"{path} is no safetensors file: {error}", hint="make the artifact again") from None
    found = []
    for dtype in {tensor.dtype for tensor in tensors}:
        same = [tensor for tensor in tensors if tensor.dtype == dtype]
        size = sum(end - start for start, end in (tensor.data_offsets for tensor in same))
        values = sum(math.prod(tensor.shape) for tensor in same)
        found.append(StoredValues(dtype=dtype, num_tensors=len(same), num_values=values, size_bytes=size))
    return sorted(found, key=lambda values: -values.size_bytes)
