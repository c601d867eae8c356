"""Requests to end: Ctrl-C, SIGTERM and SIGHUP, all as KeyboardInterrupt, which cleans up.

Owns how a real request is told from a KeyboardInterrupt that somebody's code raises.
"""

from __future__ import annotations

import signal
from types import FrameType


class _Requests:
    """What was asked of this process. `is_watched` is false where others handle its signals, as for the Python API."""

    is_watched = False
    is_asked = False


def end_on_signals() -> None:
    """From now on Ctrl-C, SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread. `nohup` keeps its meaning."""
    _Requests.is_watched, _Requests.is_asked = True, False
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def is_requested() -> bool:
    """Whether a KeyboardInterrupt that was caught is a request to end."""
    return _Requests.is_asked or not _Requests.is_watched


def _interrupt(number: int, frame: FrameType | None) -> None:
    _Requests.is_asked = True
    raise KeyboardInterrupt
