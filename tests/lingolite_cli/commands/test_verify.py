"""No verdict on nothing: on texts that a metric cannot measure, and against a reference that does not translate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from command_line import Outcome, runs

from lingolite_cli.runs.record import RunManifest

Command = Callable[..., Outcome]

REPORTS = ("--set", 'report.reporters=["html", "markdown", "junit"]')
SHORT = (
    *("--set", "baseline.decoding={max_length=3}", "--set", "shipped.decoding={max_length=3}"),
    *("--set", "verify.budget={size_ratio_max=0.9}"),
)
"""Translations that end in the midst of a sentence."""


@pytest.fixture
def labels(project: Path) -> Path:
    """A test set whose sentences have two words."""
    text = "".join(
        f"{verb} {noun}\t{verb} {noun}\n" for verb in ("Open", "Close", "Save") for noun in ("file", "folder")
    )
    (project / "test.tsv").write_text(text, encoding="utf-8")
    return project


def reports(project: Path) -> dict[str, str]:
    (run,) = runs(project, "small")
    return {
        path.suffix: path.read_text(encoding="utf-8") for path in run.glob("*.*") if path.stem in ("report", "junit")
    }


def test_a_budget_on_a_metric_that_the_text_cannot_measure_fails(with_echo: Command, labels: Path) -> None:
    outcome = with_echo("run", "recipes/small.toml", *REPORTS)
    assert outcome.code == 3
    why = "these texts cannot measure it: a perfect translation scores 0.00"
    assert f"verify.bleu_drop_max: not measured against the limit of 20: {why}" in outcome.out
    shown = reports(labels)
    assert all(why in text for text in shown.values()), [name for name, text in shown.items() if why not in text]
    assert 'type="not measured"' in shown[".xml"]


def test_eval_warns_of_a_metric_that_the_text_cannot_measure(with_echo: Command, labels: Path) -> None:
    outcome = with_echo("eval", "--metrics", "bleu,chrf")
    assert outcome.code == 0
    assert "warning: bleu: these texts cannot measure it" in outcome.err
    assert "chrf: these" not in outcome.err


def test_compare_says_what_it_could_not_measure(with_echo: Command, labels: Path) -> None:
    with_echo("eval", "--metrics", "chrf", "--save-translations", "labels.jsonl")
    asked = ("compare", "labels.jsonl", "labels.jsonl", "--fail-on-regression", "--metrics")
    outcome = with_echo(*asked, "bleu")
    assert outcome.code == 3
    assert "bleu: these texts cannot measure it" in outcome.out
    assert "nothing could be measured" in outcome.out
    assert with_echo(*asked, "bleu,chrf").code == 0


def test_a_reference_that_does_not_translate_fails_the_run(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", "recipes/small.toml", *SHORT, *REPORTS)
    assert outcome.code == 3
    why = "21 of 21 translations (100%, more than 10%) have a fault of a broken system: 21 unfinished"
    assert why in outcome.out
    assert "Does the reference translate?" in outcome.out
    shown = reports(project)
    assert all(why in text for text in shown.values()), [name for name, text in shown.items() if why not in text]
    assert 'verify.reference"' in shown[".xml"]


def test_a_recipe_may_take_its_reference_as_it_is_and_reports_keep_saying_so(with_echo: Command, project: Path) -> None:
    allowed = ("--set", "verify.allow_implausible_reference=true")
    outcome = with_echo("run", "recipes/small.toml", *SHORT, *REPORTS, *allowed)
    assert outcome.code == 0, outcome.out
    assert "fail but allowed: verify.reference_doubts_max" in outcome.out
    (run,) = runs(project, "small")
    manifest = msgspec.json.decode((run / "manifest.json").read_bytes(), type=RunManifest)
    ((_, verdict),) = [pair for pair in manifest.verdicts if pair[1].budget == "reference_doubts_max"]
    assert (verdict.status, verdict.allowed, verdict.breaks_run) == ("fail", True, False)
    shown = reports(project)
    assert "21 unfinished" in shown[".html"]
    assert "fail (allowed)" in shown[".md"]
    assert "<failure" not in shown[".xml"]


def test_verify_has_an_option_for_it(with_echo: Command, project: Path) -> None:
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text() + "[defaults.evaluate.decoding]\nmax_length = 3\n", encoding="utf-8")
    asked = ("verify", "model", "--model", "model", "--metrics", "chrf", "--budget", "size_ratio_max=1")
    assert with_echo(*asked).code == 3
    outcome = with_echo(*asked, "--allow-implausible-reference")
    assert outcome.code == 0
    assert "pass: 1 of 2 budgets met, fail but allowed: reference_doubts_max" in outcome.out
