"""Where a run is, and the record of a stop there.

Owns the words of that record. What is written of a stopped run is in `run_files`.
"""

from __future__ import annotations

import time

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.runs.record import Stop


class RunPosition:
    """The step that a run is at, and for how long.

    Attributes:
        step: its id; None before the first step and after the last.
    """

    def __init__(self) -> None:
        self.step: str | None = None
        self._since = 0.0

    def enter(self, step: str) -> None:
        """Enter a step."""
        self.step, self._since = step, time.perf_counter()

    def leave(self) -> None:
        """Leave the last step."""
        self.step = None

    def stop(self, error: BaseException) -> Stop:
        """The record of a stop at this position, in the words of the error that the user sees."""
        message, hint = str(error), None
        if isinstance(error, LingoLiteError):
            message, hint = error.message, error.hint
        elif isinstance(error, Exception):
            message = f"{type(error).__name__}: {error}"
        return Stop(
            where=f"at `{self.step}`" if self.step else "while its files were written",
            step=self.step,
            seconds=time.perf_counter() - self._since if self.step else 0.0,
            error=type(error).__name__,
            message=message,
            hint=hint,
        )
