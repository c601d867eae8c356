"""`lingolite monitor`: verdicts, reports, drift and quality, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from command_line import Outcome, read_history, runs

from lingolite_cli.runs.translations import TranslationRecord, write_translations
from tests.lingolite_cli.monitoring.served_logs import cut, looping, served_day, served_sentences, write_log

SIGNED = """\
schema = 1
name = "signed"

[inputs]
model = { bundle = "model" }
test = { tsv = "test.tsv", languages = ["en", "da"] }

[[steps]]
id = "shipped"
uses = "evaluate"
backend = "cached"
metrics = ["bleu"]
"""

Command = Callable[..., Outcome]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_log(tmp_path_factory.mktemp("logs") / "healthy.jsonl", served_day(seed=3, requests=4000))


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    requests = served_day(seed=3, requests=4000, damage=looping)
    return write_log(tmp_path_factory.mktemp("logs") / "broken.jsonl", requests)


@pytest.fixture
def translations(tmp_path: Path) -> Path:
    """What a run that was signed off translated."""
    records = [
        TranslationRecord(
            index=place,
            source=one.source or "",
            references=["x"],
            hypothesis=one.translation or "",
            tokens=[7],
            score=one.log_probability,
            is_truncated=False,
            is_finished=True,
        )
        for place, one in enumerate(served_sentences())
    ]
    write_translations(tmp_path / "translations.jsonl", records)
    return tmp_path / "translations.jsonl"


def monitored(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = outcome.json["steps"][0]["result"]
    return result


def test_an_unharmed_log_passes_and_leaves_a_run(lingolite: Command, project: Path, healthy: Path) -> None:
    outcome = lingolite("monitor", healthy)
    assert outcome.code == 0, outcome.err
    assert "4,000 requests; en-da (4,000)" in outcome.out
    assert "pass: all 2 budgets met" in outcome.out
    (directory,) = runs(project, "monitor")
    page = (directory / "report.html").read_text()
    assert "By hour" in page
    assert "2026-11-30 12:00" in page
    assert "By hour" in (directory / "report.md").read_text()
    assert [entry.recipe for entry in read_history(project)] == ["monitor"]


def test_what_began_is_named_with_its_hour_and_breaks_the_run(lingolite: Command, project: Path, broken: Path) -> None:
    outcome = lingolite("monitor", broken)
    assert outcome.code == 3
    assert "loops from 2026-11-30T12:00Z on: 0 before" in outcome.out
    (directory,) = runs(project, "monitor")
    failures = ElementTree.parse(directory / "junit.xml").findall(".//failure")
    assert ["loops from 2026-11-30T12:00Z" in (failure.get("message") or "") for failure in failures] == [True]
    assert [entry.broken_budgets for entry in read_history(project)] == [["served_onsets_max"]]


def test_drift_is_judged_against_a_run(lingolite: Command, healthy: Path, broken: Path, translations: Path) -> None:
    passed = lingolite("monitor", healthy, "--run", translations, "--json")
    assert passed.code == 0, passed.err
    assert {verdict["status"] for verdict in monitored(passed)["verdicts"]} == {"pass"}
    failed = lingolite("monitor", broken, "--run", translations, "--json")
    assert failed.code == 3
    statuses = {verdict["budget"]: verdict["status"] for verdict in monitored(failed)["verdicts"]}
    assert [name for name, status in statuses.items() if status == "fail"] == [
        "served_onsets_max",
        "served_loops_rise_max",
    ]


def test_the_run_that_was_signed_off_is_found_by_its_directory(
    lingolite: Command, project: Path, healthy: Path
) -> None:
    (project / "recipes" / "signed.toml").write_text(SIGNED)
    assert lingolite("run", "recipes/signed.toml").code == 0
    outcome = lingolite("monitor", healthy, "--run", runs(project, "signed")[-1], "--json")
    assert monitored(outcome)["num_signed_off"] > 0
    assert "served was another artifact than the run signed off" in monitored(outcome)["warnings"][0]


def test_what_has_a_reference_is_scored(lingolite: Command, project: Path, healthy: Path) -> None:
    pairs = [f"{one.source}\t{one.translation}" for one in served_sentences()[:50]]
    (project / "references.tsv").write_text("\n".join(pairs) + "\n")
    given = ("--references", "references.tsv", "--languages", "en-da", "--metrics", "chrf", "--json")
    passed = lingolite("monitor", healthy, *given, "--budget", "chrf_min=99")
    assert passed.code == 0, passed.err
    assert monitored(passed)["metrics"]["chrf"]["value"] == pytest.approx(100.0)
    assert monitored(passed)["num_scored"] > 100
    assert lingolite("monitor", healthy, *given, "--budget", "chrf_min=101").code == 3


def test_a_loss_against_the_run_is_paired(lingolite: Command, project: Path, healthy: Path, translations: Path) -> None:
    pairs = [f"{one.source}\t{one.translation}" for one in served_sentences()[:50]]
    (project / "references.tsv").write_text("\n".join(pairs) + "\n")
    given = ("--references", "references.tsv", "--languages", "en-da", "--metrics", "chrf")
    given = (*given, "--run", translations, "--budget", "chrf_drop_max=8")
    passed = lingolite("monitor", healthy, *given, "--json")
    assert passed.code == 0, passed.err
    (same,) = monitored(passed)["differences"]
    assert (same["delta"], same["low"], same["high"]) == (0.0, 0.0, 0.0)
    assert monitored(passed)["num_paired"] <= 50 < monitored(passed)["num_scored"], "what is served again counts once"
    cutting = write_log(project / "log", served_day(seed=5, requests=2000, damage=cut, share=1.0))
    failed = lingolite("monitor", cutting, *given, "--json")
    assert failed.code == 3
    statuses = {verdict["budget"]: verdict["status"] for verdict in monitored(failed)["verdicts"]}
    assert statuses["chrf_drop_max"] == "fail"
    for directory in runs(project, "monitor"):
        assert "Against the run, on the same sentences" in (directory / "report.html").read_text()


def test_references_are_no_use_to_a_log_without_texts(lingolite: Command, project: Path, tmp_path: Path) -> None:
    bare = (
        msgspec.structs.replace(
            one,
            sentences=tuple(msgspec.structs.replace(each, source=None, translation=None) for each in one.sentences),
        )
        for one in served_day(seed=1, requests=10)
    )
    log = write_log(tmp_path / "bare.jsonl", bare)
    (project / "references.tsv").write_text("A\tB\n")
    outcome = lingolite("monitor", log, "--references", "references.tsv", "--budget", "chrf_min=1")
    assert outcome.code == 3
    assert "the log has no texts, so that nothing has a reference" in outcome.err
    (directory,) = runs(project, "monitor")
    assert "monitor: the log has no texts" in (directory / "report.md").read_text()
    assert "nothing was measured to hold against the limit of 1" in outcome.out


def test_older_files_of_a_log_are_read(lingolite: Command, tmp_path: Path) -> None:
    requests = list(served_day(seed=1, requests=30))
    write_log(tmp_path / "log", iter(requests[20:]))
    write_log(tmp_path / "log.1", iter(requests[:20]))
    outcome = lingolite("monitor", tmp_path / "log", "--json")
    assert monitored(outcome)["served"]["total"]["requests"] == {"done": 30}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("missing.jsonl",), "missing.jsonl is no file"),
        (("model",), "model is a directory"),
        (("empty",), "empty has no request"),
        (("test.tsv",), "test.tsv is not a sample log: line 1"),
        (("log", "--run", "missing"), "cannot read missing"),
        (("log", "--run", "model"), "name the directory of a run"),
        (("log", "--references", "missing.tsv"), "missing.tsv"),
        (("log", "--budget", "served_onset_max=1"), "did you mean `served_onsets_max`"),
        (("log", "--budget", "served_loops_rise_max=0.1"), "there is no such budget here"),
        (("log", "--budget", "chrf_min=1"), "there is no such budget here"),
        (("log", "--references", "test.tsv", "--budget", "chrf_drop_max=1"), "there is no such budget here"),
        (("log", "--budget", "served_onsets_max=many"), "served_onsets_max"),
        (("log", "--languages", "en"), "expected two languages"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_refused_before_there_is_a_run(
    lingolite: Command, project: Path, flags: tuple[str, ...], words: str
) -> None:
    write_log(project / "log", served_day(seed=1, requests=3))
    (project / "empty").write_text("\n")
    outcome = lingolite("monitor", *flags)
    assert outcome.code == 2
    assert words in outcome.err
    assert not (project / "runs").exists()
