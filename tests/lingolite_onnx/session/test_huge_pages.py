"""Memory that is moved to huge pages."""

from __future__ import annotations

import ctypes
import errno
import mmap
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lingolite_onnx import backend as backend_module
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.session import huge_pages
from lingolite_onnx.session.huge_pages import HugePages, move_to_huge_pages

from lingolite_cli.artifact import BUNDLE

MB = 1 << 20
IDS = np.array([[5, 6, 7, 3]])

ENABLED = Path("/sys/kernel/mm/transparent_hugepage/enabled")

needs_huge_pages = pytest.mark.skipif(
    not huge_pages._is_possible() or "[always]" in ENABLED.read_text(encoding="ascii"),
    reason="no huge pages on this system, or everybody has them unasked",
)


def new_memory(size: int) -> tuple[mmap.mmap, np.ndarray, int]:
    """Fresh private memory, as an array of bytes and its address."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # type: ignore[attr-defined, unused-ignore]
    # The kernel would merge it with a neighbour of like flags, and count the huge pages of both in one mapping.
    memory.madvise(mmap.MADV_DONTFORK)  # type: ignore[attr-defined, unused-ignore]
    array = np.frombuffer(memory, np.uint8)
    return memory, array, array.ctypes.data


def bytes_in_huge_pages(address: int) -> int:
    """Of the mapping at an address."""
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text("utf-8"), flags=re.M)[1:]:
        first, last = (int(number, 16) for number in mapping.split(maxsplit=1)[0].split("-"))
        if first <= address < last:
            (size,) = re.findall(r"AnonHugePages: +(\d+) kB", mapping)
            return int(size) * 1024
    raise AssertionError(f"nothing is mapped at {address:x}")


def kernel_collapses() -> bool:
    """Whether the kernel does what is asked for, asked without the code under test: MADV_COLLAPSE, 25, of one page."""
    _memory, array, address = new_memory(4 * MB)
    array[:] = 1
    aligned = -(-address // (2 * MB)) * 2 * MB
    return ctypes.CDLL(None).madvise(ctypes.c_void_p(aligned), ctypes.c_size_t(2 * MB), 25) == 0


@needs_huge_pages
def test_memory_in_use_is_moved_and_keeps_its_contents() -> None:
    _memory, array, address = new_memory(16 * MB)
    array[:] = np.arange(len(array)) % 251
    assert bytes_in_huge_pages(address) == 0
    if not kernel_collapses():
        pytest.skip("this kernel is older than 6.1, or has no free huge page")
    assert move_to_huge_pages() >= bytes_in_huge_pages(address) >= 14 * MB, (
        "all but what does not fill a page at either end"
    )
    np.testing.assert_array_equal(array, np.arange(len(array)) % 251)


@needs_huge_pages
def test_memory_that_is_hardly_used_stays_as_it_is() -> None:
    _memory, array, address = new_memory(16 * MB)
    array[:: 2 * mmap.PAGESIZE] = 1
    move_to_huge_pages()
    assert bytes_in_huge_pages(address) == 0


class Refusing:
    """A C library whose madvise always refuses."""

    def __init__(self, code: int) -> None:
        self.asked: list[int] = []
        self.code = code
        self.madvise = type("", (), {"__call__": self._refuse})()

    def _refuse(self, address: int, size: int, advice: int) -> int:
        self.asked.append(address)
        ctypes.set_errno(self.code)
        return -1


@needs_huge_pages
@pytest.mark.parametrize(("code", "is_last"), [(errno.ENOMEM, True), (errno.EBUSY, True), (errno.EINVAL, False)])
def test_a_system_that_has_run_out_is_asked_no_more(monkeypatch: pytest.MonkeyPatch, code: int, is_last: bool) -> None:
    _memory, array, _ = new_memory(16 * MB)
    array[:] = 1
    library = Refusing(code)
    monkeypatch.setattr(huge_pages.ctypes, "CDLL", lambda *_arguments, **_options: library)
    assert move_to_huge_pages() == 0
    assert (len(library.asked) == 1) == is_last


@needs_huge_pages
def test_what_the_process_had_before_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    _before, array, earlier = new_memory(16 * MB)
    array[:] = 1
    pages = HugePages()
    _since, array, later = new_memory(16 * MB)
    array[:] = 1
    library = Refusing(errno.EINVAL)
    monkeypatch.setattr(huge_pages.ctypes, "CDLL", lambda *_arguments, **_options: library)
    pages.count(huge_pages.FIRST_TOKENS)
    assert not any(earlier - 2 * MB < address < earlier + 16 * MB for address in library.asked)
    assert len([address for address in library.asked if later <= address <= later + 14 * MB]) >= 7


@pytest.mark.parametrize(
    ("without", "left"),
    [
        ([], [(10, 20)]),
        ([(0, 10), (20, 30)], [(10, 20)]),
        ([(0, 12), (14, 15), (18, 40)], [(12, 14), (15, 18)]),
        ([(5, 25)], []),
        ([(10, 20)], []),
    ],
    ids=["none", "beside", "parts", "all", "same"],
)
def test_what_is_left_of_a_piece(without: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    pieces = huge_pages._left((10, 20), without)
    assert [(start, end) for start, end in pieces if start < end] == left


@pytest.mark.parametrize("state", ["always madvise [never]", None], ids=["off", "absent"])
def test_nothing_happens_where_there_are_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, state: str | None
) -> None:
    monkeypatch.setattr(huge_pages, "_SETTINGS", tmp_path)
    if state is not None:
        (tmp_path / "enabled").write_text(state, encoding="ascii")
        (tmp_path / "hpage_pmd_size").write_text("2097152", encoding="ascii")
    assert move_to_huge_pages() == 0


@pytest.mark.skipif(sys.platform == "linux", reason="other systems are asked")
def test_other_systems_have_none() -> None:
    assert move_to_huge_pages() == 0


def test_memory_is_moved_when_the_tokens_have_doubled(monkeypatch: pytest.MonkeyPatch) -> None:
    pages, tokens = HugePages(), 0
    moved_at: list[int] = []
    monkeypatch.setattr(huge_pages, "move_to_huge_pages", lambda **_: moved_at.append(tokens))
    while tokens < 9000:
        tokens += 32
        pages.count(32)
    assert moved_at == [1024, 2048, 4096, 8192]


@pytest.mark.parametrize("is_asked_for", [True, False])
@pytest.mark.parametrize("method", ["step", "step_top_k"])
def test_the_backend_counts_the_tokens_of_its_steps(
    exported: Any, monkeypatch: pytest.MonkeyPatch, is_asked_for: bool, method: str
) -> None:
    counted: list[int] = []
    monkeypatch.setattr(backend_module.HugePages, "count", lambda _self, tokens: counted.append(tokens))
    backend = OnnxBackend(exported(BUNDLE), options=OnnxBackendOptions(huge_pages=is_asked_for), threads=1)
    ids = np.repeat(IDS, 3, axis=0)
    state = backend.encode(ids, np.ones_like(ids, bool))
    for _ in range(2):
        getattr(backend, method)(state, np.array([1, 1, 1]), *([4] if method == "step_top_k" else []))
    assert counted == ([3, 3] if is_asked_for else [])
    backend.close()
