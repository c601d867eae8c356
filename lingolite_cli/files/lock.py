"""A lock that processes of one machine take in turn, by a file that stays. It is given back when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(path: Path, *, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """While the block lasts, no other process is in such a block with the same file. Waits as long as it takes.

    Args:
        path: made where it is missing, its directory too.
        waiting: called once, if another process holds the lock.

    Raises:
        OSError: the file cannot be opened for writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _try(descriptor):
            if waiting is not None:
                waiting()
            _wait(descriptor)
        yield
    finally:
        os.close(descriptor)  # which gives the lock back


def try_lock(path: Path) -> int | None:
    """Take a lock that nobody else holds; it is held until `close_lock`, or until this process dies.

    Args:
        path: made where it is missing; its directory exists.

    Returns:
        What `close_lock` takes, or None where another holds it.

    Raises:
        OSError: the file cannot be opened for writing.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        is_taken = _try(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    if is_taken:
        return descriptor
    os.close(descriptor)
    return None


def close_lock(descriptor: int) -> None:
    """Give back what `try_lock` took."""
    os.close(descriptor)


if os.name == "nt":
    import msvcrt

    def _try(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True

    def _wait(descriptor: int) -> None:
        while not _try(descriptor):  # Windows itself would give up after ten seconds
            time.sleep(0.1)
else:
    import fcntl

    def _try(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
