"""An entry in the table is all that a budget takes: it is checked, judged, helped with and reported like the others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from command_line import Outcome, read_run, run_command, runs

from lingolite_cli.runs.measured_results import VerifyResult

ENTRIES = """\
from lingolite_cli.budgets.budget import Budget, Limit, TimedRounds
from lingolite_cli.budgets.table import BUDGETS

BUDGETS["parted_max"] = Budget(
    name="parted_max",
    group="parity",
    label="Parted",
    summary="share of sentences that the systems translate differently",
    needs="translations",
    rule=Limit(lambda seen: 1.0 - seen.parity.exact_match if seen.parity else None),
)
BUDGETS["ready_seconds_max"] = Budget(
    name="ready_seconds_max",
    group="time",
    label="Ready",
    summary="time of loading and of a first token",
    unit="s",
    needs="timed rounds",
    rule=TimedRounds(lambda one: one.load_seconds + one.first_token_ms / 1000),
)
"""


@pytest.fixture
def with_entries(echo: Path, project: Path, tmp_path: Path) -> Callable[..., Outcome]:
    """The command in a process of its own, where that one and its workers have two entries more in the table."""
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "sitecustomize.py").write_text(ENTRIES, encoding="utf-8")
    return partial(run_command, cwd=project, plugins=[tmp_path / "entries", echo])


def test_an_entry_is_all_that_a_budget_takes(with_entries: Callable[..., Outcome], project: Path) -> None:
    limits = "verify.budget={ parted_max = 0.25, ready_seconds_max = 1e-9 }"
    outcome = with_entries("run", "recipes/small.toml", "--set", limits, "--set", "verify.timing={ num_sentences = 2 }")
    assert outcome.code == 3, outcome.err
    manifest = read_run(runs(project)[-1])
    (result,) = [step.result for step in manifest.steps if isinstance(step.result, VerifyResult)]
    parted, ready = result.verdicts
    assert (parted.budget, parted.status, parted.seen) == ("parted_max", "pass", 0.0)
    assert (ready.budget, ready.status, ready.rounds) == ("ready_seconds_max", "fail", 6)
    assert result.timing is not None
    (candidate,) = result.timing.systems
    seen = sorted(one.load_seconds + one.first_token_ms / 1000 for one in candidate.rounds)
    assert ready.seen == pytest.approx((seen[2] + seen[3]) / 2)
    assert ready.why.endswith("rounds) is outside the limit of 1e-09 s")
    report = (runs(project)[-1] / "report.md").read_text(encoding="utf-8")
    assert "| `parted_max` | " in report
    assert "| Ready, s |" in report


def test_an_entry_is_in_the_help_and_among_the_suggestions(with_entries: Callable[..., Outcome], project: Path) -> None:
    helped = with_entries("verify", "--help").out
    assert "parted_max" in helped.split("parity   ")[1].split("faults")[0]
    assert "ready_seconds_max" in helped.split("time     ")[1].split("memory")[0]
    wrong = with_entries("run", "recipes/small.toml", "--set", "verify.budget={ ready_second_max = 1 }")
    assert wrong.code == 2
    assert "ready_seconds_max" in wrong.err
