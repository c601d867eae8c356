"""stdin, stdout and stderr that outlive whoever is at their other end.

Owns what happens where one of them is closed or its reader goes away: the work goes on, and what would be written is
dropped. What a command prints is in `lingolite_cli.console`.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any

_NUM_STREAMS = 3


class _Surviving(io.TextIOWrapper):
    """A stream that drops what is written to it once it cannot be used.

    Not a raw stream: an interruption inside of one that is written in Python would lose or repeat what is buffered.

    Attributes:
        lost: why it cannot be used: it was closed from the start, or writing failed; None as long as it can.
    """

    lost: OSError | None = None

    def write(self, text: str, /) -> int:
        """As of any stream, but it never fails."""
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """As of any stream, but it never fails."""
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = error
        # The descriptor itself, so that child processes and libraries in C can write to it as well.
        _point_at_nothing(self.fileno())


def secure_standard_streams() -> None:
    """Make the three streams of this process usable whatever they are, as UTF-8.

    A closed descriptor is opened on the null device: else the next file that is opened would take its number, and
    what a library prints would be written into that file. A descriptor that does not block, as event loops hand them
    down, is made to: else what a slow reader has no room for would be lost, and what a slow writer has not written yet
    would be the end.
    """
    closed = [number for number in range(_NUM_STREAMS) if _is_closed(number)]
    for number in closed:
        _point_at_nothing(number)
    for number in range(_NUM_STREAMS):
        _make_blocking(number)
    if 0 in closed:
        sys.stdin = _Surviving(io.BufferedReader(io.FileIO(0, "r", closefd=False)), encoding="utf-8")
        sys.stdin.lost = _closed()
    sys.stdout = _surviving(sys.stdout, 1, is_closed=1 in closed)
    sys.stderr = _surviving(sys.stderr, 2, is_closed=2 in closed)


def loss_of(stream: Any) -> OSError | None:
    """Why `stream` cannot be used; None where it can.

    It has the number EBADF where it was closed from the start, and EPIPE where its reader went away.
    """
    return stream.lost if isinstance(stream, _Surviving) else None


def _surviving(stream: Any, number: int, *, is_closed: bool) -> Any:
    """`stream` as one that survives; left alone where it is not the process's own, as in notebooks and tests."""
    if not is_closed and _descriptor(stream) != number:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        return stream
    surviving = _Surviving(
        io.BufferedWriter(io.FileIO(number, "w", closefd=False)),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or getattr(stream, "line_buffering", False),  # stderr, as Python has it
        write_through=getattr(stream, "write_through", False),
    )
    surviving.lost = _closed() if is_closed else None
    return surviving


def _closed() -> OSError:
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


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


def _make_blocking(number: int) -> None:
    if hasattr(os, "set_blocking"):  # not on Windows before Python 3.12
        with suppress(OSError):
            os.set_blocking(number, True)


def _point_at_nothing(number: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    if nothing != number:
        os.dup2(nothing, number)
        os.close(nothing)
    os.set_inheritable(number, True)
