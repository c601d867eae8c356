"""How many processes and threads are asked for, against what this machine can hold: refused before any starts."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.environment import MOST_THREADS
from lingolite_cli.errors import LingoLiteError

MOST_WORKERS = 256
_WORKER_BYTES = 100 * 10**6
"""Of a worker without its weights, at the least: an interpreter, numpy and an engine."""


def check_load(*, threads: int, workers: int, size_bytes: int = 0) -> None:
    """Refuse what would only end when the machine is out of processes or memory.

    Args:
        threads: of each engine.
        workers: processes that each have an engine.
        size_bytes: of the artifact that each of them opens.

    Raises:
        LingoLiteError: one of them is below 1, above what is ever of use, or all of it is more than the free memory.
    """
    for name, number, most in (("threads", threads, MOST_THREADS), ("workers", workers, MOST_WORKERS)):
        if not 1 <= number <= most:
            raise LingoLiteError(f"{name} must be from 1 to {most}, not {shortened(number)}")
    available = available_memory() if workers > 1 else None
    if available is None:
        return
    each = _WORKER_BYTES + size_bytes
    if workers * each > available:
        raise LingoLiteError(
            f"{workers} workers need at least {workers * each / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB "
            "are free",
            hint=f"take at most {max(1, available // each)}",
        )


def shortened(number: int) -> str:
    """A number in a message: its digits, or how many bits it has where there are too many to read."""
    return str(number) if number.bit_length() <= 64 else f"a number of {number.bit_length()} bits"


def available_memory() -> int | None:
    """Bytes that new processes can have without swapping, as the system and this container's limit say; None if
    neither says."""
    found = [number for number in (_system_bytes(), _container_bytes()) if number is not None]
    return min(found, default=None)


def _system_bytes() -> int | None:
    text = _read("/proc/meminfo")
    lines = [line.split() for line in (text or "").splitlines() if line.startswith("MemAvailable:")]
    return int(lines[0][1]) * 1024 if lines else None


def _container_bytes() -> int | None:
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit is None or used is None or not limit.strip().isdigit():
        return None
    return max(0, int(limit) - int(used))


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
