"""Pairs as token ids: one run of small integers, in memory or in a file that is mapped.

Owns the layout: source and target of the first pair, then of the second, and so on, without padding; beside it the
lengths, and which pairs are short. A mapped file is read where a batch needs it, so that the memory of a training does
not grow with its text. N is the number of pairs.
"""

from __future__ import annotations

import io
import mmap
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Unsigned = NDArray[np.unsignedinteger[Any]]
IDS_NAME, LENGTHS_NAME, SHORT_NAME = FILE_NAMES = ("ids.bin", "lengths.bin", "short.bin")


class PairIds:
    """N pairs as ids.

    Args:
        ids: of all pairs, in the layout of this module.
        lengths: [N, 2], of source and target.
        is_short: [N] bool.
        release: called when rows of `ids` are not needed any more.
    """

    def __init__(
        self,
        ids: Unsigned,
        lengths: Unsigned,
        is_short: NDArray[np.bool_],
        *,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._ids = ids
        self._release = release
        self.lengths = lengths
        self.is_short = is_short
        small = np.uint32 if len(ids) < 2**32 else np.uint64
        self._ends = np.cumsum(lengths.sum(axis=1, dtype=small), dtype=small)

    def __len__(self) -> int:
        return len(self.lengths)

    def rows(self, indices: Sequence[int]) -> Iterator[tuple[Unsigned, Unsigned]]:
        """Source and target of each of the pairs `indices`; copy what outlives the iteration."""
        for index in indices:
            num_source, num_target = map(int, self.lengths[index])
            end = int(self._ends[index])
            middle = end - num_target
            yield self._ids[middle - num_source : middle], self._ids[middle:end]
        self._release()


class PairIdsWriter:
    """Takes pairs one by one and writes them in the layout of this module.

    Args:
        streams: for ids, lengths and shortness.
        dtype: of ids and lengths; see `smallest_type`.
    """

    def __init__(self, streams: tuple[BinaryIO, BinaryIO, BinaryIO], dtype: np.dtype[np.unsignedinteger[Any]]) -> None:
        self._ids, self._lengths, self._short = streams
        self._code = dtype.char
        self.num_pairs = 0
        self.num_short = 0

    def add(self, source: Sequence[int], target: Sequence[int], *, is_short: bool) -> None:
        """Write one pair."""
        self._ids.write(array(self._code, source).tobytes())
        self._ids.write(array(self._code, target).tobytes())
        self._lengths.write(array(self._code, (len(source), len(target))).tobytes())
        self._short.write(b"\1" if is_short else b"\0")
        self.num_pairs += 1
        self.num_short += is_short


def smallest_type(*, vocab_size: int, max_tokens: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest type that holds all ids and lengths."""
    return np.dtype(np.uint16 if max(vocab_size - 1, max_tokens) < 2**16 else np.uint32)


def pairs_in_memory(write: Callable[[PairIdsWriter], None], *, dtype: np.dtype[np.unsignedinteger[Any]]) -> PairIds:
    """The pairs that `write` gives to the writer."""
    streams = (io.BytesIO(), io.BytesIO(), io.BytesIO())
    write(PairIdsWriter(streams, dtype))
    ids, lengths, short = (stream.getvalue() for stream in streams)
    return PairIds(
        np.frombuffer(ids, dtype), np.frombuffer(lengths, dtype).reshape(-1, 2), np.frombuffer(short, np.bool_)
    )


def write_pairs(
    directory: Path, write: Callable[[PairIdsWriter], None], *, dtype: np.dtype[np.unsignedinteger[Any]]
) -> PairIdsWriter:
    """Write the files of `FILE_NAMES` into a directory that exists, with the pairs that `write` gives to the writer."""
    with ExitStack() as stack:
        ids, lengths, short = (stack.enter_context((directory / name).open("wb")) for name in FILE_NAMES)
        writer = PairIdsWriter((ids, lengths, short), dtype)
        write(writer)
    return writer


def map_pairs(directory: Path, *, dtype: np.dtype[np.unsignedinteger[Any]]) -> PairIds:
    """The pairs that `write_pairs` wrote; they stay readable if the files are removed meanwhile.

    Raises:
        OSError: a file cannot be read.
    """
    lengths = np.fromfile(directory / LENGTHS_NAME, dtype).reshape(-1, 2)
    is_short = np.fromfile(directory / SHORT_NAME, np.bool_)
    if len(lengths) == 0:  # which cannot be mapped
        return PairIds(np.zeros(0, dtype), lengths, is_short)
    with (directory / IDS_NAME).open("rb") as stream:
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mapped, "madvise"):  # not on Windows
        mapped.madvise(mmap.MADV_RANDOM)
    return PairIds(np.frombuffer(mapped, dtype), lengths, is_short, release=lambda: _unload(mapped))


def _unload(mapped: mmap.mmap) -> None:
    """Let the system take back what was read: of all epochs it would otherwise be the whole file."""
    if hasattr(mapped, "madvise"):
        mapped.madvise(mmap.MADV_DONTNEED)
