"""Marian's binary container and its `.npz`: tensors by name, and the configuration that lies among them.

Owns the layout of the file. Every number of a header is held against the size of the file before anything is made of
it, and tensors lie in the pages of the file, mapped. What a tensor is for is `lingolite_importers.marian.names`'s.

The container (marian-dev, src/common/binary.cpp), little-endian: u64 version 1; u64 n; n headers of four u64, which are
the length of the name with its NUL, the type, the number of dimensions and the bytes of data; all names; all shapes as
int32; u64 p and p bytes of padding; the data.
"""

from __future__ import annotations

import lzma
import mmap
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import yaml

from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_importers.reading import read_file

CONFIGURATION = "special:model.yml"

_VERSION = 1
_MOST_TENSORS = 1 << 16
_MOST_DIMENSIONS = 8
_LONGEST_NAME = 1 << 10
_LARGEST_CONFIGURATION = 1 << 20
_SMALLEST_MULTIPLIER = 1e-30
_FLOAT32, _INT8, _INTGEMM8, _INTGEMM16 = 0x404, 0x101, 0x4101, 0x4102
_TYPES = {_FLOAT32: "<f4", _INT8: "i1", _INTGEMM8: "i1"}
_UNREADABLE = (
    *(ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    RuntimeError,  # an archive with a password, or compressed in a way that is not known
    MemoryError,  # an array that claims a shape which no file of this size has
)
"""What numpy and zipfile raise on archives that are damaged."""
_DAMAGED = "the file is damaged or half-copied; copy it again"


class MarianTensor(msgspec.Struct, frozen=True):
    """A tensor.

    Attributes:
        values: [in, out] of a matrix in float, [out, in] of one in integers, [V, d] of an embedding in both.
        multiplier: of integers: a weight is its integer over this. None of floats.
    """

    values: Array
    multiplier: float | None = None


class MarianModel(msgspec.Struct, frozen=True):
    """What a file holds.

    Attributes:
        path: the file.
        configuration: what `special:model.yml` says.
        tensors: all others by name.
    """

    path: Path
    configuration: Mapping[str, Any]
    tensors: Mapping[str, MarianTensor]


def read_model(path: Path) -> MarianModel:
    """Read a `.bin` or `.npz`.

    Raises:
        LingoLiteError: it cannot be read, or is not such a file; or a header claims what the file cannot hold.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_npz(path)
        return _read_container(path)
    except OSError as error:
        raise LingoLiteError(f"cannot read {path}: {error.strerror or error}") from None


class _Content:
    """The bytes of a file, read from the front."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.stat().st_size:
            raise LingoLiteError(f"{path} is empty", hint=_DAMAGED)
        self.bytes: bytes | mmap.mmap
        if path.suffix == ".gz":
            self.bytes = read_file(path)
        else:
            with path.open("rb") as stream:
                self.bytes = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        self.size = len(self.bytes)
        self.place = 0

    def take(self, count: int, what: str) -> int:
        """Where the next `count` bytes begin."""
        if count > self.size - self.place:
            raise LingoLiteError(
                f"{self.path} is cut short: {what} takes {count:,} bytes, and {self.size - self.place:,} are left",
                hint=_DAMAGED,
            )
        self.place += count
        return self.place - count

    def array(self, dtype: str, count: int, what: str) -> Array:
        """The next `count` numbers."""
        kind = np.dtype(dtype)
        start = self.take(count * kind.itemsize, what)
        return np.ndarray((count,), kind, self.bytes, start)


def _read_container(path: Path) -> MarianModel:
    content = _Content(path)
    version, count = content.array("<u8", 2, "its first header").tolist()
    if version != _VERSION:
        raise LingoLiteError(
            f"{path} is not a Marian model: it begins with the number {version}, not with version {_VERSION}",
            hint="expected a .bin of marian-conv or of Firefox Translations, or a .npz",
        )
    if count > _MOST_TENSORS:
        raise LingoLiteError(f"{path} claims {count:,} tensors", hint=_DAMAGED)
    headers = content.array("<u8", 4 * count, f"{count:,} headers").reshape(count, 4).tolist()
    names = [_name(content, length) for length, _, _, _ in headers]
    shapes = [_shape(content, name, rank) for name, (_, _, rank, _) in zip(names, headers, strict=True)]
    (padding,) = content.array("<u8", 1, "its padding").tolist()
    content.take(padding, "its padding")
    tensors: dict[str, MarianTensor] = {}
    configuration: Mapping[str, Any] = {}
    for name, shape, (_, kind, _, size_bytes) in zip(names, shapes, headers, strict=True):
        start = content.take(size_bytes, f"the tensor {name}")
        if name == CONFIGURATION:
            configuration = _configuration(content.bytes[start : start + min(size_bytes, _LARGEST_CONFIGURATION)], path)
        elif name in tensors:
            raise LingoLiteError(f"{path} has the tensor {name} twice", hint=_DAMAGED)
        elif not name.startswith("special:"):
            tensors[name] = _tensor(content, name, shape, kind, start, size_bytes)
    return MarianModel(path, configuration, tensors)


def _name(content: _Content, length: int) -> str:
    if not 0 < length <= _LONGEST_NAME:
        raise LingoLiteError(f"{content.path} claims a name of {length:,} bytes", hint=_DAMAGED)
    start = content.take(length, "a name")
    try:
        return content.bytes[start : start + length].rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise LingoLiteError(f"{content.path} has a name that is not UTF-8", hint=_DAMAGED) from None


def _shape(content: _Content, name: str, rank: int) -> tuple[int, ...]:
    if rank > _MOST_DIMENSIONS:
        raise LingoLiteError(f"{content.path} claims {rank:,} dimensions of {name}", hint=_DAMAGED)
    shape = tuple(content.array("<i4", rank, f"the shape of {name}").tolist())
    if any(size < 1 for size in shape):
        raise LingoLiteError(f"{content.path} claims the shape {list(shape)} of {name}", hint=_DAMAGED)
    return shape


def _tensor(
    content: _Content, name: str, shape: tuple[int, ...], kind: int, start: int, size_bytes: int
) -> MarianTensor:
    if kind == _INTGEMM16:
        raise LingoLiteError(
            f"{content.path}: {name} has 16-bit integers, which no bundle carries",
            hint="convert the float model with --gemm-type intgemm8, or import it as it is",
        )
    if kind not in _TYPES:
        raise LingoLiteError(
            f"{content.path}: {name} has the type {kind:#x}, which is not float32 or intgemm8",
            hint="files made for one processor (intgemm8avx2, packed16) cannot be carried; use portable intgemm8",
        )
    dtype, number = np.dtype(_TYPES[kind]), 1
    for size in shape:
        number *= size
    needed = number * dtype.itemsize + (4 if kind == _INTGEMM8 else 0)
    if name.endswith("_QuantMultA"):
        needed = 4  # also where its type says integers: then it is of the embedding, and means nothing
    if needed > size_bytes:
        raise LingoLiteError(
            f"{content.path}: {name} of shape {list(shape)} takes {needed:,} bytes, and the header says {size_bytes:,}",
            hint=_DAMAGED,
        )
    if name.endswith("_QuantMultA"):
        return MarianTensor(np.ndarray((1,), "<f4", content.bytes, start))
    values = np.ndarray(shape, dtype, content.bytes, start)
    if kind != _INTGEMM8:
        return MarianTensor(values)
    multiplier = float(np.ndarray((1,), "<f4", content.bytes, start + number)[0])
    if not is_multiplier(multiplier):
        raise LingoLiteError(f"{content.path}: the integers of {name} have the multiplier {multiplier}", hint=_DAMAGED)
    # The shape is that of the float matrix, [in, out], and the integers lie as [out, in]; an embedding's as it says.
    return MarianTensor(values if "Wemb" in name else values.reshape(shape[::-1]), multiplier)


def is_multiplier(value: float) -> bool:
    """Whether integers over this number are float32: its inverse must be one too."""
    return _SMALLEST_MULTIPLIER <= value <= 1 / _SMALLEST_MULTIPLIER


def _configuration(text: bytes, path: Path) -> Mapping[str, Any]:
    try:
        found = yaml.safe_load(text.split(b"\0", maxsplit=1)[0].decode())
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise LingoLiteError(f"{path}: {CONFIGURATION} is not YAML: {str(error)[:200]}", hint=_DAMAGED) from None
    if not isinstance(found, dict):
        raise LingoLiteError(f"{path}: {CONFIGURATION} is not a table", hint=_DAMAGED)
    return found


def _read_npz(path: Path) -> MarianModel:
    size_bytes = path.stat().st_size
    tensors: dict[str, MarianTensor] = {}
    configuration: Mapping[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                # Deflate gives at most about a thousand times what it takes; weights nothing like it.
                if entry.file_size > 20 * size_bytes:
                    raise LingoLiteError(
                        f"{path}: {entry.filename[:100]} claims {entry.file_size:,} bytes", hint=_DAMAGED
                    )
        with np.load(path, allow_pickle=False) as loaded:
            for name in loaded.files:
                if name == CONFIGURATION:
                    configuration = _configuration(loaded[name].tobytes()[:_LARGEST_CONFIGURATION], path)
                elif not name.startswith("special:"):
                    tensors[name] = MarianTensor(_floats(loaded[name], name, path))
    except _UNREADABLE as error:
        raise LingoLiteError(f"{path} is not an .npz of Marian: {str(error)[:200]}", hint=_DAMAGED) from None
    return MarianModel(path, configuration, tensors)


def _floats(values: Any, name: str, path: Path) -> Array:
    # numpy gives the bytes of an entry that is not an array.
    dtype = values.dtype if isinstance(values, np.ndarray) else "bytes"
    if dtype == "bytes" or values.dtype.kind != "f":
        raise LingoLiteError(
            f"{path}: {name} has the type {dtype}, not a float", hint="expected a model of marian-train"
        )
    with np.errstate(over="ignore"):  # infinities are refused with all other numbers
        floats: Array = values.astype(np.float32, copy=False)
    return floats
