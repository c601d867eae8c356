"""Plugins that call `sys.exit`, lose a pipe or raise KeyboardInterrupt: an error that names them, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, read_history, run_command

Command = Callable[..., Outcome]

REASONS = {
    "exit": "SystemExit: my engine is not installed",
    "exit-0": "SystemExit: 0",
    "pipe": "BrokenPipeError: [Errno 32] the server went away",
    "interrupt": "KeyboardInterrupt",
    "stumble": "ZeroDivisionError: stumbled",
}


@pytest.fixture
def quitting(with_echo: Command, install_plugin: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> Command:
    """As `with_echo`, with the distribution `lingolite-quitting` beside it."""
    monkeypatch.syspath_prepend(str(install_plugin("quitting")))
    return with_echo


def said(outcome: Outcome, plugin: str, reason: str) -> bool:
    """Whether the outcome is the error of a plugin, told in one form."""
    assert outcome.code == 4, outcome.err
    assert "Traceback" not in outcome.err
    return f"{plugin} `quits` of lingolite-quitting 1.2 failed: {reason}" in outcome.err


@pytest.mark.parametrize("how", REASONS)
def test_a_metric_that_quits_exits_4(quitting: Command, project: Path, how: str) -> None:
    settings = (project / "lingolite.toml").read_text()
    options = f'metric_options = {{ quits = {{ how = "{how}" }} }}\n'
    (project / "lingolite.toml").write_text(settings + options)
    assert said(quitting("eval", "--metrics", "bleu,quits", "--json"), "metric", REASONS[how])


@pytest.mark.parametrize("how", REASONS)
def test_a_backend_that_quits_exits_4(quitting: Command, how: str) -> None:
    outcome = quitting("translate", "The boat.", "--backend", "quits", "--option", f"how={how}")
    assert said(outcome, "backend", REASONS[how])
    outcome = quitting("eval", "--backend", "quits", "--option", f"how={how}", "--option", "at_once=true")
    assert outcome.code == 4
    assert REASONS[how] in outcome.err


@pytest.mark.parametrize("how", REASONS)
def test_an_executor_that_quits_while_it_gives_answers_exits_4(quitting: Command, project: Path, how: str) -> None:
    (project / "text.en").write_text("The boat.\n", encoding="utf-8")
    job = ["translate", "--file", "text.en", "--out", "out", "--backend", "echo", "--executor", "quits"]
    assert said(quitting(*job, "--option", f"how={how}"), "executor", REASONS[how])
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "plugin"),
    [(["quantize", "--method", "quits"], "quantizer"), (["export", "--format", "quits"], "exporter")],
)
def test_a_conversion_that_quits_exits_4_and_makes_nothing(
    quitting: Command, project: Path, arguments: list[str], plugin: str
) -> None:
    assert said(quitting(*arguments, "--out", "made"), plugin, REASONS["exit"])
    assert not (project / "made").exists()


def test_a_reporter_and_an_observer_that_quit_end_no_run_with_0(quitting: Command, project: Path) -> None:
    outcome = quitting("run", "recipes/small.toml", "--set", 'report.reporters=["quits"]')
    assert said(outcome, "reporter", REASONS["exit"])
    assert (
        "lingolite_step_finished of plugin lingolite-quitting:quitting failed: SystemExit: the observer" in outcome.err
    )
    assert [entry.status for entry in read_history(project)] == ["failed"]


def test_a_worker_of_a_backend_that_quits_says_so(
    project: Path, echo: Path, install_plugin: Callable[[str], Path]
) -> None:
    outcome = run_command(
        *("translate", "The boat.", "--backend", "quits", "--workers", "2"),
        cwd=project,
        plugins=[echo, install_plugin("quitting")],
    )
    assert said(outcome, "backend", REASONS["exit"])


def test_verbose_shows_where_a_plugin_quit(quitting: Command) -> None:
    outcome = quitting("-v", "eval", "--metrics", "quits")
    assert "in _quit" in outcome.err
    assert outcome.out == ""
