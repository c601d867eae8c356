"""The process that opened an engine, and the refusal to use the engine in a fork of it.

A fork copies the memory of an engine and none of its threads, and whoever waits for one of them waits for ever. Pipes
to workers it does share, so that two processes would read each other's answers.
"""

from __future__ import annotations

import ctypes
import os
from weakref import WeakSet

from lingolite_cli.errors import LingoLiteError


class HomeProcess:
    """The process in which this was made.

    Args:
        what: stands or runs there, for the message.
        engine: an object that is never freed in a fork, because its destructor would join threads that are not there.
    """

    def __init__(self, what: str, *, engine: object = None) -> None:
        self._what = what
        self._engine = engine
        self._id = os.getpid()
        _HOMES.add(self)

    def keep_engine(self) -> None:
        """Never free the engine in this process."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))

    @property
    def is_here(self) -> bool:
        """Whether this is the process, and not a fork of it."""
        return os.getpid() == self._id

    def require(self) -> None:
        """Refuse any other process.

        Raises:
            LingoLiteError: this one was forked off after the engine had been opened.
        """
        if not self.is_here:
            raise LingoLiteError(
                f"{self._what} was opened before this process was forked, and cannot be used here",
                hint="open it in the process that uses it, or start processes with the method `spawn`",
            )


_HOMES: WeakSet[HomeProcess] = WeakSet()


def _keep_engines() -> None:
    for home in _HOMES:
        home.keep_engine()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_engines)
