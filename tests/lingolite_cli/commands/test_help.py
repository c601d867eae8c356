"""What `--help` shows, of every command."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from command_line import Outcome

from lingolite_cli.app import app

Command = Callable[..., Outcome]


def commands(group: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """The names of every command below a group, groups included."""
    yield names
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *names, name)


@pytest.mark.parametrize("names", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_help_fits_and_names_values_by_what_they_are(
    lingolite: Command, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = lingolite(*names, "--help")
    assert shown.code == 0
    assert [line for line in shown.out.splitlines() if len(line) > 100] == []
    assert re.findall(r"<[^>]*>|\{[^}]*\}", shown.out) == []
    assert "..." not in "".join(re.findall(r"(?m)^  [a-z-]+  .*$", shown.out)), "every summary is whole"


def test_arguments_stand_in_usage_and_below_with_what_they_are(
    lingolite: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    lines = lingolite("translate", "--help").out.splitlines()
    assert lines[0] == "Usage: lingolite translate [OPTIONS] [TEXT]..."
    assert "  TEXT  Texts; default: the lines of stdin." in lines
    assert any(
        re.fullmatch("  --model PATH +The artifact, or a checkpoint; default: the project's model.", line)
        for line in lines
    )
    assert lingolite("run", "--help").out.startswith("Usage: lingolite run [OPTIONS] RECIPE...\n")
