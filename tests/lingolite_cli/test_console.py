"""What goes to stdout, what to stderr, and in which form."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import msgspec
import pytest
from command_line import Outcome

from lingolite_cli.console import Console, status_text
from lingolite_cli.errors import LingoLiteError


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Figures(msgspec.Struct):
    name: str
    value: float


def speak(console: Console) -> None:
    """Everything that a console can say."""
    console.print("data")
    console.print_json([Figures("å", 0.5)])
    console.table(["name", "value"], [["å", "0.5"]], right="value")
    console.note("remark")
    console.warn("careful")
    console.error(LingoLiteError("what happened", hint="do this"))


def test_data_go_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    speak(Console())
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == "data"
    assert "å" in out
    assert "remark" not in out
    assert err == "remark\nwarning: careful\nerror: what happened\n\nhint: do this\n"


def test_json_is_the_only_thing_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    speak(Console(json=True))
    out, err = capsys.readouterr()
    assert json.loads(out) == [{"name": "å", "value": 0.5}]
    assert "å" in out
    assert err.startswith("remark\nwarning: careful\n")


def test_quiet_keeps_data_warnings_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    speak(Console(quiet=True))
    out, err = capsys.readouterr()
    assert out.startswith("data\n")
    assert err == "warning: careful\nerror: what happened\n\nhint: do this\n"


def test_a_table_is_as_wide_as_it_was_told_and_loses_no_word(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = "a sentence that is much longer than forty characters [b]and no markup[/b]"
    Console().table(["key", "text"], [["k", text], ["number", "7"]], title="the title")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    assert "the title" in out
    assert [word for word in text.split() if word not in out] == []


@pytest.mark.parametrize("columns", ["", "wide", "0", "-5"])
def test_a_width_that_is_none_is_no_matter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    Console().table(["name"], [["baseline"]])
    assert "baseline" in capsys.readouterr().out


def test_colour_is_for_terminals_only_and_not_with_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert status_text("fail") == "fail", "stdout is captured and no terminal"
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert status_text("fail") == "\033[31;1mfail\033[0m"
    Console().warn("careful")
    monkeypatch.setenv("NO_COLOR", "1")
    assert status_text("fail") == "fail"
    Console().warn("careful")
    assert err.getvalue() == "\033[33;1mwarning\033[0m: careful\nwarning: careful\n"


def test_progress_is_drawn_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {"pipe": io.StringIO(), "terminal": Terminal(), "quiet": Terminal()}
    for name, stream in streams.items():
        monkeypatch.setattr(sys, "stderr", stream)
        with Console(quiet=name == "quiet").progress("baseline: cached", total=3) as progress:
            assert list(progress.track("abc")) == ["a", "b", "c"]
    assert streams["pipe"].getvalue() == ""
    assert streams["quiet"].getvalue() == ""
    assert "baseline: cached" in streams["terminal"].getvalue()
    assert "3/3" in streams["terminal"].getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "recipes/small.toml", "--json"),
        ("run", "recipes/small.toml", "--plan", "--json"),
        ("eval", "--json"),
        ("quantize", "--method", "fp16", "--out", "half", "--json"),
        ("verify", "model", "--candidate-backend", "echo", "--json"),
        ("bench", "--system", "echo", "--rounds", "1", "--num-sentences", "2", "--lengths", "", "--json"),
        ("plugins", "list", "--json"),
        ("plugins", "show", "echo", "--json"),
        ("recipes", "list", "--json"),
        ("recipes", "show", "recipes/small.toml", "--json"),
        ("doctor", "--json"),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_every_command_that_reports_can_print_one_json_document(
    with_echo: Callable[..., Outcome], arguments: tuple[str, ...]
) -> None:
    outcome = with_echo(*arguments)
    assert outcome.code == 0, outcome.err
    assert outcome.json
    assert "{" not in outcome.err
