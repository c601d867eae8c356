"""The process that opened an engine, and the refusal to use the engine in a fork of it.

A fork copies the memory of an engine and none of its threads, and whoever waits for one of them waits for ever. Pipes
to workers it does share, so that two processes would read each other's answers.
"""

from __future__ import annotations

import os

from lingolite_cli.errors import LingoLiteError


class HomeProcess:
    """The process in which this was made.

    Args:
        what: stands or runs there, for the message.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._id = os.getpid()

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
