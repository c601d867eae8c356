"""The memory of a process in huge pages, on Linux.

A step reads all weights of a decoder. In pages of 4 KiB the processor looks up an address every 4 KiB, and its
prefetchers stop there; in pages of 2 MiB neither happens. Many systems give huge pages
only on request (`madvise` in `/sys/kernel/mm/transparent_hugepage/enabled`), and ONNX Runtime's allocators do not ask.

Owns which memory is moved, and when that pays. Where the system has no such call, nothing happens.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

FIRST_TOKENS = 1024
"""Target tokens after which memory is moved: about thirty sentences. Moving costs as much time as it saves in the next
few hundred steps, so short texts are not worth it."""

Range: TypeAlias = tuple[int, int]
"""Addresses from the first to before the last."""

_SETTINGS = Path("/sys/kernel/mm/transparent_hugepage")
_PROCESS = Path("/proc/self")
_MADV_COLLAPSE = 25  # since Linux 6.1, see madvise(2)
_OUT_OF_MEMORY = (errno.ENOMEM, errno.EBUSY)  # no free huge page, or none within the limit of the control group
_PRESENT, _EXCLUSIVE = np.uint64(1 << 63), np.uint64(1 << 56)  # admin-guide/mm/pagemap.rst of the kernel
_FULL_SHARE = 15 / 16
"""A huge page is made where at least this share of its small ones is in use. The rest is what it costs in memory."""
_LOOKED_AT = 1 << 30
"""Bytes of addresses that are looked at together, so that a process may reserve as many as it likes."""


class HugePages:
    """Counts the target tokens of an engine, and moves memory after 1,024, 2,048, 4,096 and so on.

    Not once: engines open graphs when they first need them, and their buffers grow. What has been moved is left alone,
    and so are the addresses that the process used before this was made: they are not the engine's.
    """

    def __init__(self) -> None:
        self._others = tuple(_private_memory()) if _is_possible() else ()
        self._tokens = 0
        self._next = FIRST_TOKENS

    def count(self, tokens: int) -> None:
        """So many target tokens more were computed."""
        self._tokens += tokens
        if self._tokens >= self._next:
            move_to_huge_pages(without=self._others)
            self._next = 2 * self._tokens


def move_to_huge_pages(without: Sequence[Range] = ()) -> int:
    """Move the private memory of this process that is in use to huge pages.

    The kernel copies: addresses and contents stay the same. Files and what is shared with another process stay where
    they are. When the system runs out of huge pages, the rest stays as well.

    Args:
        without: addresses that are left alone, in ascending order.

    Returns:
        The bytes that are in huge pages now.
    """
    if not _is_possible():
        return 0
    size = int((_SETTINGS / "hpage_pmd_size").read_text(encoding="ascii"))
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    moved = 0
    for address in _in_use(size, without):
        if madvise(address, size, _MADV_COLLAPSE) == 0:
            moved += size
        elif ctypes.get_errno() in _OUT_OF_MEMORY:
            break
    return moved


def _is_possible() -> bool:
    """Whether huge pages exist and are not disabled on this system, and the process may read its own page map."""
    if sys.platform != "linux":
        return False
    enabled = _SETTINGS / "enabled"
    needed = (enabled, _SETTINGS / "hpage_pmd_size", _PROCESS / "maps", _PROCESS / "pagemap")
    return all(os.access(path, os.R_OK) for path in needed) and "[never]" not in enabled.read_text(encoding="ascii")


def _in_use(size: int, without: Sequence[Range]) -> Iterator[int]:
    """Addresses of stretches of `size` bytes of private memory that is in use, and in use by this process alone."""
    page = os.sysconf("SC_PAGESIZE")
    with (_PROCESS / "pagemap").open("rb") as pagemap:
        for start, end in _stretches(size, without):
            pagemap.seek(start // page * 8)
            entries = np.frombuffer(pagemap.read((end - start) // page * 8), np.uint64).reshape(-1, size // page)
            is_ours = (entries & (_PRESENT | _EXCLUSIVE)) == (_PRESENT | _EXCLUSIVE)
            for index in np.flatnonzero(is_ours.mean(axis=1) >= _FULL_SHARE).tolist():
                yield start + index * size


def _stretches(size: int, without: Sequence[Range]) -> Iterator[Range]:
    """Private memory but some, in multiples of `size`, and no more of it than is looked at together."""
    for piece in _private_memory():
        for first, last in _left(piece, without):
            first, last = -(-first // size) * size, last // size * size
            for start in range(first, last, _LOOKED_AT):
                yield start, min(start + _LOOKED_AT, last)


def _left(piece: Range, without: Sequence[Range]) -> Iterator[Range]:
    """What is left of a piece, in ascending order."""
    start, end = piece
    for first, last in without:
        if first < end and last > start:
            yield start, max(first, start)
            start = last
    yield start, max(end, start)


def _private_memory() -> Iterator[Range]:
    """Writable private memory that is not mapped from a file."""
    for line in (_PROCESS / "maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, permissions, _, _, _, *name = line.split(maxsplit=5)
        if permissions == "rw-p" and name in ([], ["[heap]"]):
            start, end = (int(address, 16) for address in addresses.split("-"))
            yield start, end
