"""Errors that a user can cause, and the exit codes of the command line.

Owns the one exception type that commands turn into a message and an exit code. Anything else that
reaches the top is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every `lingolite` command."""

    DONE = 0
    BUG = 1
    BAD_INPUT = 2
    BUDGET_BROKEN = 3
    PLUGIN = 4
    INTERRUPTED = 130


class LingoLiteError(Exception):
    """A problem that the user can mend.

    Args:
        message: what is wrong, the value, and where; lower case, no full stop.
        hint: what to do about it, with a command where there is one.
        exit_code: the exit code of the command that meets it.
    """

    def __init__(self, message: str, *, hint: str | None = None, exit_code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or else all of them."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(choices)}" if choices else "none are known"
