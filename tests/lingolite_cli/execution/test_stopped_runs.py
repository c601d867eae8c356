"""Runs that stop with an error: what CI finds of them, and that the next run goes on where they stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command_line import Outcome, half_written, read_history, read_run, runs

Command = Callable[..., Outcome]

RUN = ("run", "recipes/small.toml")
STOPS = (
    *RUN,
    "--set",
    'half.method="int4"',
    "--set",
    "half.options={group_size=128}",
    "--set",
    "shipped.backend=cached",
)
"""The tiny model has no rows that groups of 128 would divide, which its quantizer finds out when it reads them."""
WITH_JUNIT = ("--set", 'report.reporters=["junit", "markdown"]')


def cases(path: Path) -> dict[str, str]:
    """Outcomes of a JUnit file, by class and name."""
    return {
        f"{case.attrib['classname']}.{case.attrib['name']}": "/".join(child.tag for child in case) or "passed"
        for case in ElementTree.parse(path).iter("testcase")
    }


@pytest.fixture
def stopped(with_echo: Command, project: Path) -> Outcome:
    """A run that stopped at its second step of five."""
    return with_echo(*STOPS, *WITH_JUNIT)


def test_a_run_that_stops_leaves_cases_for_all_of_its_steps(stopped: Outcome, project: Path) -> None:
    assert stopped.code == 2
    (run,) = runs(project)
    assert cases(run / "junit.xml") == {
        "small.baseline.evaluate": "passed",
        "small.half.quantize": "error",
        "small.shipped.evaluate": "skipped",
        "small.verify.verify": "skipped",
        "small.verify.bleu_drop_max": "skipped",
        "small.verify.size_ratio_max": "skipped",
    }
    error = ElementTree.parse(run / "junit.xml").find(".//error")
    assert error is not None
    assert error.attrib["type"] == "LingoLiteError"
    assert "groups of 128 do not divide" in error.attrib["message"]
    assert str(error.text).startswith("at `half`: cannot quantize")
    assert "\n\nhint: " in str(error.text)


def test_its_report_says_first_where_and_why(stopped: Outcome, project: Path) -> None:
    (run,) = runs(project)
    lines = (run / "report.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# small: ❌ stopped by an error"
    assert lines[2].startswith("An error at \\`half\\` ended the run; 1 of 4 steps done")
    assert "groups of 128 do not divide" in lines[3]
    assert lines[4].startswith("- Hint: ")
    assert lines[5] == "- Budgets that were not reached: verify.bleu\\_drop\\_max, verify.size\\_ratio\\_max"
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in lines if line.startswith("| `")]
    assert ["`half`", "quantize", "stopped"] in rows
    assert ["`shipped`", "evaluate", "not reached"] in rows
    assert f"report of what was finished: {(run / 'report.md').relative_to(project)}" in stopped.err


def test_its_directory_has_what_was_finished_and_the_next_run_goes_on(
    stopped: Outcome, with_echo: Command, project: Path
) -> None:
    (run,) = runs(project)
    manifest = read_run(run)
    assert (manifest.status, [step.id for step in manifest.steps]) == ("failed", ["baseline"])
    assert manifest.stop is not None
    assert (manifest.stop.step, manifest.stop.error) == ("half", "LingoLiteError")
    assert (run / "translations" / "baseline.jsonl").is_file()
    assert half_written(project) == []
    (entry,) = read_history(project)
    assert (entry.status, entry.directory) == ("failed", f"runs/small/{run.name}")
    again = with_echo(*RUN)
    assert again.code == 0, again.err
    assert "baseline: cached" in again.err
    assert [entry.status for entry in read_history(project)] == ["failed", "done"]
    compared = with_echo("compare", run, runs(project)[-1], "--metrics", "bleu")
    assert compared.code == 0, compared.err
    assert f"warning: {run} stopped at `half`: only what it finished is compared" in compared.err


def test_a_lock_is_checked_against_the_last_run_that_came_to_its_end(with_echo: Command, project: Path) -> None:
    assert with_echo(*RUN, "--lock").code == 0
    (done,) = runs(project)
    assert with_echo(*STOPS).code == 2
    assert len(runs(project)) == 2
    checked = with_echo("verify-lock", "recipes/small.toml")
    assert checked.code == 0, checked.err
    assert f"run: runs/small/{done.name}" in checked.out


def test_reporter_that_fails_stops_the_run_and_the_others_report_it(
    with_echo: Command, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markdown's template is gone, as in a broken installation; JUnit has none."""
    monkeypatch.setattr("jinja2.Environment.get_template", _no_template)  # in front of what an earlier run compiled
    outcome = with_echo(*RUN, *WITH_JUNIT)
    assert outcome.code == 1
    (run,) = runs(project)
    assert [path.name for path in run.iterdir() if path.suffix in (".md", ".xml")] == ["junit.xml"]
    found = cases(run / "junit.xml")
    assert {name for name, what in found.items() if what != "passed"} == {"small.report.report"}
    assert "warning: report: no report by markdown of the run: " in outcome.err


def _no_template(*arguments: object) -> None:
    raise FileNotFoundError("no template")


def test_a_run_without_reports_leaves_no_directory_when_it_stops(with_echo: Command, project: Path) -> None:
    recipe = project / "recipes" / "small.toml"
    text = recipe.read_text(encoding="utf-8")
    recipe.write_text(text[: text.index('[[steps]]\nid = "report"')], encoding="utf-8")
    assert with_echo(*STOPS).code == 2
    assert not (project / "runs").exists()
