"""Which processor each thread runs on.

Owns the check of the option `cores`, the setting by which ONNX Runtime pins the threads of its pool, and pinning the
calling thread, which ONNX Runtime does not do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from lingolite_cli.errors import LingoLiteError


def check_cores(cores: Sequence[int], *, threads: int) -> None:
    """Refuse processors that threads cannot be pinned to.

    Raises:
        LingoLiteError: this system cannot pin threads, or `cores` does not name one allowed processor per thread.
    """
    if sys.platform != "linux":
        raise LingoLiteError(f"threads cannot be pinned to processors on {sys.platform}", hint="leave out cores")
    if len(cores) != threads:
        raise LingoLiteError(
            f"cores must name as many processors as there are threads: {threads}, not {len(cores)}",
            hint="name one for each of --threads",
        )
    allowed = os.sched_getaffinity(0)
    for core in cores:
        if core not in allowed:
            listed = ", ".join(map(str, sorted(allowed)))
            raise LingoLiteError(f"this process may not run on processor {core}", hint=f"it may on {listed}")
    if len(set(cores)) < len(cores):
        raise LingoLiteError("cores names a processor twice", hint="name one for each of --threads")


def pool_entries(cores: Sequence[int]) -> Mapping[str, str]:
    """The setting of a session that pins the threads of its pool: all but the one that calls. Theirs count from 1."""
    others = ";".join(str(core + 1) for core in cores[1:])
    return {"session.intra_op_thread_affinities": others} if others else {}


class PinnedThread:
    """The thread that makes this stays on one processor until it is released.

    Args:
        core: the processor, from 0.
    """

    def __init__(self, core: int) -> None:
        self._before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})

    def release(self) -> None:
        """Let the calling thread run wherever it could before."""
        os.sched_setaffinity(0, self._before)
