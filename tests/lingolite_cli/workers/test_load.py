"""More threads, processes or memory than a machine has are refused before any process is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.workers.load import available_memory, check_load


def test_workers_that_the_memory_cannot_hold_are_refused_with_how_many_it_can() -> None:
    available = available_memory()
    if available is None:
        pytest.skip("this system does not say how much memory is free")
    with pytest.raises(LingoLiteError, match="2 workers need at least") as error:
        check_load(threads=1, workers=2, size_bytes=available)
    assert error.value.hint == "take at most 1"
    check_load(threads=1, workers=1, size_bytes=available)


@pytest.mark.parametrize(
    "arguments",
    [
        ("translate", "hello", "--threads", "100000"),
        ("translate", "hello", "--threads", "1" + "0" * 30),
        ("eval", "--threads", "100000"),
        ("eval", "--workers", "300"),
        ("eval", "--workers", "1" + "0" * 30),
        ("bench", "--threads", "100000"),
        ("bench", "--workers", "300"),
        ("bench", "--system", "echo,threads=100000"),
    ],
    ids=" ".join,
)
def test_commands_refuse_them(with_echo: Callable[..., Outcome], project: Path, arguments: tuple[str, ...]) -> None:
    outcome = with_echo(*arguments)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert not (project / ".lingolite").exists()
