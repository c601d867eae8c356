"""How long reports take to write is counted to the step and the run that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from command_line import Outcome, read_history, read_run, runs

Command = Callable[..., Outcome]

STOPS = ("--set", 'half.method="int4"', "--set", "half.options={group_size=128}", "--set", "shipped.backend=cached")
"""No matrix of the tiny model can be divided so."""
REPORTS = ("--set", 'report.reporters=["markdown", "html"]')


def seconds_between(run: Path) -> float:
    """From the first report to the second, by the times of their files: what the second took to write."""
    first, second = ((run / name).stat().st_mtime_ns for name in ("report.md", "report.html"))
    return (second - first) / 1e9


def test_time_of_reporters_is_that_of_their_step_and_of_the_run(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", "recipes/small.toml", *REPORTS)
    (run,) = runs(project)
    manifest = read_run(run)
    (report,) = (step for step in manifest.steps if step.uses == "report")
    assert report.seconds >= seconds_between(run) > 0.001
    assert manifest.seconds >= sum(step.seconds for step in manifest.steps)
    (entry,) = read_history(project)
    assert entry.seconds == manifest.seconds
    assert f"report: {report.seconds:.1f} s\n" in outcome.err
    assert f"5 steps in {manifest.seconds:.1f} s" in outcome.out
    assert "| `report` | report | done | – |" in (run / "report.md").read_text(encoding="utf-8")


def test_time_of_reports_of_a_failed_run_is_counted(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", "recipes/small.toml", *REPORTS, *STOPS)
    assert outcome.code == 2
    (run,) = runs(project)
    manifest = read_run(run)
    assert manifest.status == "failed"
    assert manifest.seconds >= sum(step.seconds for step in manifest.steps) + seconds_between(run)
