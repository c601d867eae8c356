"""Where a run is when it ends."""

from __future__ import annotations

import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.execution.stop import RunPosition


@pytest.mark.parametrize(
    ("error", "name", "message", "hint"),
    [
        (LingoLiteError("no engine", hint="install one"), "LingoLiteError", "no engine", "install one"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError", "ZeroDivisionError: division by zero", None),
        (KeyboardInterrupt(), "KeyboardInterrupt", "", None),
    ],
)
def test_a_stop_says_what_the_user_sees(error: BaseException, name: str, message: str, hint: str | None) -> None:
    position = RunPosition()
    position.enter("verify")
    stop = position.stop(error)
    assert (stop.where, stop.step, stop.error, stop.message, stop.hint) == (
        "at `verify`",
        "verify",
        name,
        message,
        hint,
    )
    assert stop.seconds >= 0


def test_after_the_last_step_a_run_is_at_its_files() -> None:
    position = RunPosition()
    position.enter("verify")
    position.leave()
    stop = position.stop(OSError("disk full"))
    assert (stop.where, stop.step, stop.seconds) == ("while its files were written", None, 0.0)
