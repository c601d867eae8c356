"""Errors that a user can cause, and the exit codes of the command line.

Owns the one exception type that commands turn into a message and an exit code. Anything else that
reaches the top is a bug.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from enum import IntEnum

_NO_MEMORY = re.compile(
    r"can(no|')t allocate memory|bad.?alloc|out of memory|failed to (allocate|map segment)|unable to allocate",
    re.IGNORECASE,
)


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


def out_of_memory(error: BaseException | None) -> LingoLiteError | None:
    """What to tell where memory ran out; None where `error` is something else.

    Libraries say it in their own exceptions and words, and a library that cannot be mapped at its import says that it
    failed to map a segment.
    """
    while error is not None:
        if (
            isinstance(error, MemoryError)
            or getattr(error, "errno", None) == errno.ENOMEM
            or _NO_MEMORY.search(str(error))
        ):
            return LingoLiteError(
                "memory ran out",
                hint="pass a smaller --batch-size or fewer --workers, or close other programs",
            )
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def engine_failures(what: str) -> Iterator[None]:
    """Tell in words whatever an engine raises in the block: it runs files that may be damaged in any way.

    Args:
        what: what could not be done, as in "backend `onnx` cannot open DIR".

    Raises:
        LingoLiteError: in its place (exit code 4), or because memory ran out.
    """
    try:
        yield
    except LingoLiteError:
        raise
    except Exception as error:
        raise out_of_memory(error) or LingoLiteError(
            f"{what}: {type(error).__name__}: {_first_line(error)}",
            hint="the artifact may be damaged: make it again; the whole cause is shown by `lingolite -v`",
            exit_code=ExitCode.PLUGIN,
        ) from error


def _first_line(error: Exception, most: int = 300) -> str:
    text = next(iter(str(error).strip().splitlines()), "no reason given")
    return text if len(text) <= most else text[: most - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known name, or else all of them."""
    choices = sorted(known)
    near = get_close_matches(name, choices, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(choices)}" if choices else "none are known"
