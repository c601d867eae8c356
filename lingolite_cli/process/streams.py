"""stdin, stdout and stderr that outlive whoever is at their other end.

Owns what happens where one of them is closed or its reader goes away: the work goes on, and what would be written is
dropped. What a command prints is in `lingolite_cli.console`.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

_NUM_STREAMS = 3


class _Surviving(io.FileIO):
    """A descriptor that drops what is written to it once it cannot be used.

    Attributes:
        lost: why it cannot be used: it was closed from the start, or writing failed; None as long as it can.
    """

    lost: OSError | None = None

    def write(self, data: Any) -> int:
        """As of `FileIO`, but it never fails."""
        try:
            return super().write(data)
        except OSError as error:
            self.lost = error
            # The descriptor itself, so that child processes and libraries in C can write to it as well.
            _point_at_nothing(self.fileno())
            return memoryview(data).nbytes


def secure_standard_streams() -> None:
    """Make the three streams of this process usable whatever they are, as UTF-8.

    A closed descriptor is opened on the null device: else the next file that is opened would take its number, and
    what a library prints would be written into that file.
    """
    closed = [number for number in range(_NUM_STREAMS) if _is_closed(number)]
    for number in closed:
        _point_at_nothing(number)
    if 0 in closed:
        raw = _raw(0, "r", is_closed=True)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8")
    sys.stdout = _surviving(sys.stdout, 1, is_closed=1 in closed)
    sys.stderr = _surviving(sys.stderr, 2, is_closed=2 in closed)


def loss_of(stream: Any) -> OSError | None:
    """Why `stream` cannot be used; None where it can.

    It has the number EBADF where it was closed from the start, and EPIPE where its reader went away.
    """
    found: OSError | None = getattr(getattr(getattr(stream, "buffer", None), "raw", None), "lost", None)
    return found


def _surviving(stream: Any, number: int, *, is_closed: bool) -> Any:
    """`stream` as one that survives; left alone where it is not the process's own, as in notebooks and tests."""
    if not is_closed and _descriptor(stream) != number:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(_raw(number, "w", is_closed=is_closed)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or getattr(stream, "line_buffering", False),  # stderr, as Python has it
        write_through=getattr(stream, "write_through", False),
    )


def _raw(number: int, mode: str, *, is_closed: bool) -> _Surviving:
    raw = _Surviving(number, mode, closefd=False)
    raw.lost = OSError(errno.EBADF, os.strerror(errno.EBADF)) if is_closed else None
    return raw


def _descriptor(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except (OSError, AttributeError, ValueError):
        return None


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError as error:
        return error.errno == errno.EBADF
    return False


def _point_at_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != number:
        os.dup2(nothing, number)
        os.close(nothing)
    os.set_inheritable(number, True)
