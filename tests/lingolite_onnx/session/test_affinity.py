"""Threads that stay on processors of their own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.session.affinity import pool_entries

from lingolite_cli.artifact import BUNDLE
from lingolite_cli.errors import LingoLiteError

if sys.platform != "linux":
    pytest.skip("threads are pinned on Linux alone", allow_module_level=True)

ALLOWED = sorted(os.sched_getaffinity(0))


def opened(artifact: Any, *cores: int, threads: int) -> OnnxBackend:
    return OnnxBackend(artifact, options=OnnxBackendOptions(cores=cores), threads=threads)


def masks() -> list[set[int]]:
    """Where each thread of this process may run."""
    return [os.sched_getaffinity(int(task.name)) for task in Path("/proc/self/task").iterdir()]


def test_each_thread_stays_on_its_processor(exported: Any) -> None:
    if len(ALLOWED) < 2:
        pytest.skip("there is one processor only")
    first, second = ALLOWED[1], ALLOWED[0]
    before = masks()
    backend = opened(exported(BUNDLE), first, second, threads=2)
    assert os.sched_getaffinity(0) == {first}
    pinned = [mask for mask in masks() if mask == {second}]
    assert len(pinned) == before.count({second}) + 2, "the second thread of each of two sessions"
    backend.close()
    assert os.sched_getaffinity(0) == set(ALLOWED)


def test_one_thread_has_no_pool_to_pin(exported: Any) -> None:
    assert pool_entries([3]) == {}
    assert pool_entries([0, 4, 2]) == {"session.intra_op_thread_affinities": "5;3"}
    backend = opened(exported(BUNDLE), ALLOWED[-1], threads=1)
    assert os.sched_getaffinity(0) == {ALLOWED[-1]}
    backend.close()
    assert os.sched_getaffinity(0) == set(ALLOWED)


@pytest.mark.parametrize(
    ("cores", "threads", "message"),
    [
        ((ALLOWED[0],), 2, "cores must name as many processors as there are threads: 2, not 1"),
        ((4095,), 1, "this process may not run on processor 4095"),
        ((ALLOWED[0], ALLOWED[0]), 2, "cores names a processor twice"),
    ],
    ids=["number", "unknown", "twice"],
)
def test_what_cannot_be_is_refused(exported: Any, cores: tuple[int, ...], threads: int, message: str) -> None:
    with pytest.raises(LingoLiteError, match=message):
        opened(exported(BUNDLE), *cores, threads=threads)
    assert os.sched_getaffinity(0) == set(ALLOWED)
    with pytest.raises(msgspec.ValidationError, match=">= 0"):
        msgspec.convert({"cores": [-1]}, OnnxBackendOptions)
