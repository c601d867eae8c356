"""What goes to stdout, what to stderr, and in which form."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from command_line import Outcome

from lingolite_cli.console import Console, status_text
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.text.visible import shown


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


def test_colour_is_for_terminals_only_and_not_with_no_color(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    Console().print(status_text("fail"))
    assert capsys.readouterr().out == "fail\n", "stdout is captured and no terminal"
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    Console().print(f"{status_text('fail')}: 2")
    Console().table(["status"], [[status_text("fail")]])
    Console().warn("careful")
    monkeypatch.setenv("NO_COLOR", "1")
    Console().print(status_text("fail"))
    Console().warn("careful")
    assert out.getvalue().startswith("\033[31;1mfail\033[0m: 2\n")
    assert "\033[1;31mfail" in out.getvalue()
    assert out.getvalue().endswith("\nfail\n")
    assert err.getvalue() == "\033[33;1mwarning\033[0m: careful\nwarning: careful\n"


HARMFUL = "a\x1b[31mred\x1b]0;title\x07 \x9b2J \u202eexe.txt\u2066 \x00\r\x7f \ufdd4bold\ufdd0 \ud800"
WRITTEN = r"a\x1b[31mred\x1b]0;title\x07 \x9b2J \u202eexe.txt\u2066 \x00\r\x7f \ufdd4bold\ufdd0 \ud800"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal], ids=["pipe", "terminal"])
def test_no_text_reaches_a_terminal_with_what_acts_on_it(monkeypatch: pytest.MonkeyPatch, stream: type) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out, err = stream(), stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    console = Console()
    text = HARMFUL.replace("\ufdd4", "").replace("\ufdd0", "")  # which the console keeps for itself
    written = WRITTEN.replace(r"\ufdd4", "").replace(r"\ufdd0", "")
    console.print(text)
    console.table([text], [[text]], title=text)
    console.note(text)
    console.warn(text)
    console.error(LingoLiteError(text, hint=text))
    console.trouble(text)
    with console.progress(text, total=1) as progress:
        progress.advance()
    assert out.getvalue().replace("\n", "").count(written) == 4
    assert err.getvalue().count(written) >= 5
    for printed in (out, err):
        kept = (
            re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", printed.getvalue()) if stream is Terminal else printed.getvalue()
        )
        assert shown(kept) == kept


def test_marks_of_colours_in_a_text_colour_it_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", out)
    Console().print("\ufdd4a\ufdd0 \ufdd0 \ufdd5 \ufdd9")
    assert out.getvalue() == "\033[31;1ma\033[0m \\ufdd0 \\ufdd5 \\ufdd9\n"


def test_json_is_exact_in_a_pipe_and_reads_the_same_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"text": HARMFUL.replace("\ud800", "")}
    out, terminal = io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    Console(json=True).print_json(value)
    monkeypatch.setattr(sys, "stdout", terminal)
    Console(json=True).print_json(value)
    assert json.loads(out.getvalue()) == json.loads(terminal.getvalue()) == value
    assert "\u202e" in out.getvalue()
    assert shown(terminal.getvalue()) == terminal.getvalue()


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


def test_bar_measures_work_where_what_is_counted_differs_in_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nine of ten sentences that are a tenth of the work are a tenth of the bar."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("COLUMNS", "80")
    with Console().progress("eval", total=10) as progress:
        progress.weigh(100)
        progress.advance(9, work=10)
        drawn: Any = progress
        drawn.show()
        (task,) = drawn._display.tasks
        assert (task.percentage, task.fields["count"]) == (10, "9/10")
        progress.begin("next", total=7)
        assert (task.percentage, task.fields["count"]) == (0, "0/7")
        progress.advance(7)
    assert "eval: next" in stream.getvalue()
    assert "7/7" in stream.getvalue()


def test_what_was_finished_before_counts_and_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    with Console().progress("translate", total=1000) as progress:
        progress.skip(600)
        drawn: Any = progress
        drawn.show()
        (task,) = drawn._display.tasks
        assert (task.completed, task.fields["count"], task.fields["remark"]) == (600, "600/1,000", "")
        assert task.speed is None
        progress.advance(10)
        drawn.show()
        assert task.fields["count"] == "610/1,000"
        assert task.fields["remark"].endswith("/s")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (
            ("verify", "model", "--candidate-backend", "echo"),
            ("verify: metrics", "verify: opening both systems", "verify: faults"),
        ),
        (
            ("bench", "--system", "echo", "--rounds", "1", "--num-sentences", "2", "--lengths", ""),
            ("bench: starts", "bench: turns", "0/3"),
        ),
        (("compare", "first.jsonl", "second.jsonl"), ("compare: translations: sentences", "compare: translations: bl")),
    ],
    ids=lambda own: own[0],
)
def test_long_work_has_a_bar_from_its_start(
    with_echo: Callable[..., Outcome],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    parts: tuple[str, ...],
) -> None:
    for name in ("first", "second"):
        saved = with_echo("eval", "--backend", "echo", "--save-translations", f"{name}.jsonl")
        assert saved.code == 0, saved.err
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with_echo(*arguments)
    for part in parts:
        assert part in stream.getvalue()


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
