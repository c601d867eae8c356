"""How much memory this process has needed."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_memory_mb() -> float | None:
    """Peak resident memory of this process in MB; None where the system does not report it."""
    try:
        # Not getrusage on Linux: its figure survives exec and would include the parent's memory.
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return _peak_by_getrusage()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith("VmHWM"))


def _peak_by_getrusage() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
