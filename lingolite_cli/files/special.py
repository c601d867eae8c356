"""Paths that are no files of their own: pipes, devices, and the descriptors of this process.

Owns how they are told from files and written to. They cannot be replaced by a rename, only written through.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self|[0-9]+))/fd/([0-9]+)")
_MOST_LINKS = 40


def is_special(path: Path) -> bool:
    """Whether `path` is, or leads to, a pipe, a device, a socket or an open descriptor of this process."""
    return _descriptor_of(path) is not None or is_stream(path)


def is_stream(path: Path) -> bool:
    """Whether what is read at `path` comes once, as of a pipe or a device."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def write_through(path: Path, blocks: Iterable[bytes]) -> None:
    """Write to what `path` leads to, without replacing it.

    Raises:
        OSError: it cannot be written to, or its reader went away.
    """
    number = _descriptor_of(path)
    stream: Any = {1: sys.stdout, 2: sys.stderr}.get(number) if number is not None else None
    if stream is not None and hasattr(stream, "buffer"):  # behind what is printed already
        stream.flush()
        with suppress(BrokenPipeError):  # which the stream meets again and remembers
            stream.buffer.writelines(blocks)
        stream.flush()
        return
    descriptor = os.dup(number) if number is not None else os.open(path, os.O_WRONLY)
    with os.fdopen(descriptor, "wb") as opened:
        opened.writelines(blocks)


def _descriptor_of(path: Path) -> int | None:
    """The descriptor that a path such as /dev/stdout leads to.

    It may be a regular file: then whoever opened it, a shell for one, would go on writing to the file that a rename
    replaced.
    """
    found = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        match = _DESCRIPTOR.fullmatch(found)
        if match is not None:
            return int(match[1])
        if not os.path.islink(found):
            return None
        found = os.path.normpath(os.path.join(os.path.dirname(found), os.readlink(found)))
    return None
