"""Disks that cannot be written: found out before the work, or told in words when met in the middle of it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lingolite_cli.errors import LingoLiteError

_REASONS = {
    errno.ENOSPC: "no room is left on the disk",
    errno.EDQUOT: "the quota on the disk is used up",
    errno.EFBIG: "a file would be larger than this process may write (`ulimit -f`)",
}
_REMEDIES = {errno.ENOSPC: "make room", errno.EDQUOT: "make room", errno.EFBIG: "raise the limit"}
_FULL_BYTES = 256 * 1024
"""With less room than this, a library that failed while it wrote did so for want of it, whatever it says."""
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")  # all that numpy says


def check_writable(directory: Path) -> None:
    """Refuse a directory that could not be written to, or not be made, before the work whose outcome goes there.

    Raises:
        LingoLiteError: permission is denied, the file system is read-only, or a file is in the way.
    """
    existing = _existing(directory)
    if not existing.is_dir():
        raise LingoLiteError(f"cannot write to {_named(existing)}: it is not a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        is_read_only = hasattr(os, "statvfs") and bool(os.statvfs(existing).f_flag & os.ST_RDONLY)
        why = "its file system is read-only" if is_read_only else "permission denied"
        raise LingoLiteError(
            f"cannot write to {_named(existing)}: {why}",
            hint="choose another place, or make it writable; LINGOLITE_CACHE, LINGOLITE_RUNS and LINGOLITE_HISTORY say "
            "where a project keeps things",
        )


@contextmanager
def explained(*places: Path) -> Iterator[None]:
    """Tell of a disk that got full in the block, in whatever words a library said it.

    Args:
        places: where the block writes, beside the directory for temporary files.

    Raises:
        LingoLiteError: naming the disk, where it was full; other exceptions pass.
    """
    try:
        yield
    except LingoLiteError:
        raise
    except Exception as error:
        found = full_disk(error, [*places, Path(tempfile.gettempdir())])
        if found is None:
            raise
        raise found from error


def full_disk(error: Exception, places: Sequence[Path]) -> LingoLiteError | None:
    """What to tell of an exception that came of a full disk; None where it did not.

    Args:
        error: as it was raised, by Python or by a library with words of its own.
        places: where something was written.
    """
    free = {place: _free_bytes(place) for place in places}
    fullest = min(free, key=lambda place: free[place])
    number = _number(error)
    if number is None and free[fullest] > _FULL_BYTES:
        return None
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)  # of a copy, the target
    where = os.fsdecode(name) if name else str(fullest) if free[fullest] <= _FULL_BYTES else "while writing"
    return LingoLiteError(
        f"{_REASONS[number or errno.ENOSPC]}: {where}",
        hint=f"{_REMEDIES[number or errno.ENOSPC]}, then run the same command again: what was finished is kept",
    )


def _free_bytes(place: Path) -> float:
    """What is free on its disk; on what is none, such as /proc, there is no end of room."""
    usage = shutil.disk_usage(_existing(place))
    return usage.free if usage.total else float("inf")


def _number(error: Exception) -> int | None:
    """Which of the reasons an exception tells: by its number, or in the text that other languages give it."""
    if isinstance(error, OSError) and error.errno in _REASONS:
        return error.errno
    text = str(error)
    for number in _REASONS:
        if os.strerror(number) in text or f"os error {number}" in text:
            return number
    return errno.ENOSPC if _SHORT_WRITE.search(text) else None


def _named(path: Path) -> Path:
    """The path as a user would name it: from where they stand, if it is below."""
    here = Path.cwd()
    return path.relative_to(here) if path != here and path.is_relative_to(here) else path


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that exists."""
    return next(found for found in (path.absolute(), *path.absolute().parents) if found.exists())
