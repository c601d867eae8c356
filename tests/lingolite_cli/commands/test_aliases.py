"""Flags that are other names for options of a plugin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from command_line import Outcome

from lingolite_cli.artifact import Artifact
from lingolite_cli.commands.aliases import ALIASES, Alias
from lingolite_cli.plugins.registry import load_registry

Command = Callable[..., Outcome]


@pytest.mark.parametrize(
    ("kind", "alias"), [(kind, alias) for kind in ALIASES for alias in ALIASES[kind]], ids=lambda x: str(x)[:40]
)
def test_an_alias_is_an_option_of_a_plugin_that_is_installed(kind: str, alias: Alias) -> None:
    specs = [entry.spec for entry in load_registry().of_kind(kind) if entry.spec is not None]
    options = {field.encode_name for spec in specs for field in msgspec.structs.fields(spec.options)}
    assert alias.option in options


def test_help_says_what_an_alias_stands_for(lingolite: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert "--opset-version N   ONNX opset; alias of --option opset_version=N." in lingolite("export", "--help").out
    assert "alias of --option test=true" in lingolite("export", "--help").out


def test_a_flag_and_its_option_make_the_same_file(lingolite: Command, project: Path) -> None:
    by_flag = lingolite("export", "--out", "a", "--opset-version", "19", "--no-test")
    by_option = lingolite("export", "--out", "b", "--option", "opset_version=19", "--option", "test=false")
    without = lingolite("export", "--out", "c", "--no-test")
    assert (by_flag.code, by_option.code, without.code) == (0, 0, 0), by_flag.err + by_option.err + without.err
    first, second, third = (Artifact.open(project / name).digest for name in "abc")
    assert first == second
    assert first != third, "the flag is not lost"


def test_an_option_wins_over_its_flag(lingolite: Command) -> None:
    outcome = lingolite("export", "--out", "a", "--opset-version", "19", "--option", "opset_version=3")
    assert outcome.code == 2
    assert "opset_version" in outcome.err
    assert "3" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("translate", "Hi", "--backend", "cached", "--provider", "X"), "`cached` has no option provider", "onnx"),
        (("eval", "--backend", "onnx", "--device", "cpu"), "backend `onnx` has no option device", "cached"),
        (("translate", "Hi", "--backend", "cached", "--shortlist"), "backend `cached` has no option shortlist", "onnx"),
        (("eval", "--no-cache", "--backend", "cached"), "--no-cache and --backend cached contra", "--backend eager"),
    ],
)  # fmt: skip
def test_a_plugin_without_the_option_refuses_the_flag(
    lingolite: Command, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    outcome = lingolite(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert hint in outcome.err
