"""The command line around the commands: where options may stand, examples, completion, and one form of error."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import Outcome, environment

from lingolite_cli.app import app
from lingolite_cli.commands import completion
from lingolite_cli.commands.examples import EXAMPLES
from lingolite_cli.commands.table import COMMANDS
from lingolite_cli.files.guides import guides

Command = Callable[..., Outcome]


def every_command(group: Any, *names: str) -> dict[str, Any]:
    """All commands by their words, groups included."""
    found = {" ".join(names): group}
    for name, command in getattr(group, "commands", {}).items():
        found |= every_command(command, *names, name)
    return found


ROOT = typer.main.get_command(app)
EVERY = every_command(ROOT)


def test_the_summaries_of_the_table_are_those_of_the_commands() -> None:
    for entry in COMMANDS:
        command = EVERY[entry.name]
        assert command.get_short_help_str(limit=1000).removesuffix(".") == entry.summary.removesuffix(".")


@pytest.mark.parametrize("words", EVERY, ids=lambda words: words or "lingolite")
def test_every_help_has_examples_that_exist_and_a_guide_that_exists(lingolite: Command, words: str) -> None:
    found = EXAMPLES[words]
    shown = lingolite(*words.split(), "-h").out
    assert all(f"\n  lingolite {line}\n" in shown for line in found.lines)
    assert f"\nGuide: lingolite docs {found.guide}\n" in shown
    assert found.guide in {guide.name for guide in guides()}
    for line in found.lines:
        command: Any = ROOT
        rest = iter(shlex.split(line.partition(" <")[0]))
        for word in rest:
            if word.startswith("-"):
                options = {option: parameter for parameter in command.params for option in parameter.opts}
                assert word in options, line
                if not getattr(options[word], "is_flag", False):
                    assert next(rest, None) is not None, line
            elif hasattr(command, "commands"):
                command = command.commands[word]


def test_no_example_is_of_a_command_that_is_gone() -> None:
    assert set(EXAMPLES) == set(EVERY)


@pytest.mark.parametrize("place", ["before", "behind"])
def test_options_of_lingolite_stand_before_a_command_or_behind_it(
    with_echo: Command, project: Path, place: str
) -> None:
    options, words = ["--cache", str(project / "elsewhere"), "-q"], ["eval"]
    outcome = with_echo(*options, *words) if place == "before" else with_echo(*words, *options)
    assert (outcome.code, outcome.err) == (0, "")
    assert (project / "elsewhere").is_dir()
    words = ["plugins", "show", "bleu"]
    blocked = ["--no-plugin", "metrics"]
    outcome = with_echo(*blocked, *words) if place == "before" else with_echo(*words, *blocked)
    assert outcome.code == 2
    verbose = ["eval", "--model", "nowhere"]
    outcome = with_echo("-v", *verbose) if place == "before" else with_echo(*verbose, "-v")
    assert "Traceback" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["translat"], "no such command `translat`"),
        (["run"], "missing argument `RECIPE`"),
        (["train", "a", "b"], "got unexpected extra argument"),
        (["run", "--plam", "a"], "no such option: --plam"),
        (["eval", "--batch-size", "0"], "invalid value for `--batch-size`"),
        (["eval", "--batch-size", "x"], "invalid value for `--batch-size`"),
        (["eval", "--batch-size"], "option `--batch-size` requires an argument"),
        (["export"], "missing option `--out`"),
        (["plugins", "lst"], "no such command `lst`"),
        (["history", "--limit", "-1"], "invalid value for `--limit`"),
        (["--quite"], "no such option: --quite"),
        (["translate", "--stream", "--json", "a"], "--stream and --json contradict one another"),
        (["translate", "--languages", "en", "a"], "--languages en: expected two languages"),
        (["translate", "--option", "a", "a"], "--option a"),
        (["run", "--set", "a", "mobile"], "--set a"),
        (
            ["import", "a.pt", "--tokenizer", "t", "--out", "o", "--trained-on", "words"],
            "options of importer `lingolite`: `trained_on`: invalid value",
        ),
        (["docs", "recipe"], "there is no guide called `recipe`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_one_form(with_echo: Command, arguments: list[str], message: str) -> None:
    outcome = with_echo(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    first, blank, hint, *rest = outcome.err.split("\n")
    assert first.startswith(f"error: {message}")
    assert not first.endswith(".")
    assert (blank, rest) == ("", [""])
    assert hint.startswith("hint: ")


def completed(project: Path, echo: Path, line: str) -> list[str]:
    """What a shell is told may follow `lingolite LINE`; a space at the end begins a new word."""
    words = f"lingolite {line}"
    place = len(words.split()) - (not words.endswith(" "))
    done = subprocess.run(
        [sys.executable, "-m", "lingolite_cli"],
        cwd=project,
        env={
            **environment([echo]),
            "_LINGOLITE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(place),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_names_of_plugins_recipes_runs_and_guides_are_completed(
    project: Path, echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    run = project / "runs" / "small" / "20260101-000000-abcd"
    run.mkdir(parents=True)
    assert {"echo", "onnx", "cached"} <= set(completed(project, echo, "eval --backend "))
    assert completed(project, echo, "quantize --method dyn") == ["dynamic-int8"]
    assert completed(project, echo, "run sm") == ["small"]
    assert completed(project, echo, "history show 2026") == [run.name]
    assert completion.guide_names("rec") == ["recipes"]
    assert completion.recipe_names("") == ["small", "recipes/small.toml"]
    assert completion.exporter_names("on") == ["onnx"]
    assert "bleu" in completion.metric_names("")
    assert "cached" in completion.plugin_names("ca")


def test_a_damaged_project_completes_nothing_and_says_nothing(project: Path, echo: Path) -> None:
    (project / "lingolite.toml").write_text("not = [toml")
    assert completed(project, echo, "run sm") == []


def test_guides_are_listed_and_printed(lingolite: Command) -> None:
    listed = lingolite("docs", "--json").json
    assert [guide["name"] for guide in listed] == [guide.name for guide in guides()]
    for guide in listed:
        text = Path(guide["path"]).read_text(encoding="utf-8")
        assert re.search(rf"^# {re.escape(guide['title'])}$", text, re.MULTILINE)
    assert lingolite("docs", "recipes").out.startswith("# ")
