"""Finished steps are kept: what is served again, what is run anew, and why."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from command_line import RECIPE, contents, read_run, runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.runs.made_results import QuantizeResult
from lingolite_cli.runs.measured_results import EvaluateResult, VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import read_translations
from tests.lingolite_cli.recipe.cached_runs import Command, digests, done, reasons, run

CACHED = ["baseline", "half", "shipped", "verify"]


def test_a_second_run_is_served_from_the_cache_and_says_so(with_echo: Command, project: Path) -> None:
    first_outcome, first = run(with_echo, project)
    second_outcome, second = run(with_echo, project)
    assert done(first) == CACHED
    assert done(second) == []
    assert digests(second.steps) == digests(first.steps)
    assert "5 steps in" in first_outcome.out
    assert ", 0 from the cache" in first_outcome.out
    assert ", 4 from the cache" in second_outcome.out
    assert "baseline: cached, bleu 100.00, exact 100.00" in second_outcome.err.splitlines()
    assert first.id != second.id


def test_a_run_leaves_a_complete_directory(with_echo: Command, project: Path) -> None:
    run(with_echo, project, "--set", 'report.reporters=["html", "markdown"]')
    directory = runs(project)[0]
    assert {path.name for path in directory.iterdir()} == {
        "manifest.json",
        "report.md",
        "report.html",
        "translations",
        "artifacts",
    }
    manifest = read_run(directory)
    assert (manifest.name, manifest.id, manifest.status) == ("small", directory.name, "done")
    assert manifest.environment.threads == 1
    baseline, half, shipped, verify, _ = (step.result for step in manifest.steps)
    assert isinstance(baseline, EvaluateResult)
    assert isinstance(half, QuantizeResult)
    assert isinstance(shipped, EvaluateResult)
    assert isinstance(verify, VerifyResult)
    assert baseline.artifact.path == "model"
    assert shipped.artifact.path == half.artifact.path == "artifacts/half"
    artifact = Artifact.open(directory / half.artifact.path)
    assert artifact.digest == half.artifact.digest
    for result in (baseline, shipped):
        records = read_translations(directory / result.translations)
        assert [record.hypothesis for record in records] == [record.references[0] for record in records]
        assert len(records) == result.num_samples == 21
    assert "100.00" in (directory / "report.md").read_text()
    assert not [path for path in project.rglob("*.partial")]


def test_fresh_does_every_step_again(with_echo: Command, project: Path, finished: RunManifest) -> None:
    assert set(reasons(with_echo, "--fresh").values()) >= {"asked to run afresh"}
    _, fresh = run(with_echo, project, "--fresh")
    assert done(fresh) == CACHED
    assert digests(fresh.steps) == digests(finished.steps)
    assert done(run(with_echo, project)[1]) == []


@pytest.mark.parametrize(
    ("change", "expected", "why"),
    [
        (["--set", "seed=18"], CACHED, ("baseline", "seed changed from 17 to 18")),
        (
            ["--set", "shipped.batch_size=4"],
            ["shipped", "verify"],
            ("shipped", "options.batch_size changed from 32 to 4"),
        ),
        (
            ["--set", "shipped.options.skip_every=30"],
            ["shipped", "verify"],
            ("shipped", "plugins[0].options.skip_every changed from 0 to 30"),
        ),
        (
            ["--set", "shipped.decoding.beam_size=2"],
            ["shipped", "verify"],
            ("shipped", "options.decoding.beam_size changed from 1 to 2"),
        ),
        (
            ["--set", "verify.resamples=500"],
            ["verify"],
            ("verify", "options.resamples changed from 1000 to 500"),
        ),
        (["--set", "verify.budget.size_mb_max=8"], [], ("verify", "the same work was done before")),
        (["--set", "threads=2"], CACHED, ("half", "threads changed from 1 to 2")),
        (["--set", 'report.reporters=["html"]'], [], ("report", "always written")),
    ],
    ids=["seed", "step option", "plugin option", "decoding", "verify", "budget", "threads", "reporter"],
)
def test_a_change_runs_what_it_affects_and_the_plan_says_why(
    with_echo: Command, project: Path, change: list[str], expected: list[str], why: tuple[str, str]
) -> None:
    kept = ("--set", "verify.budget={ size_mb_max = 9 }")
    run(with_echo, project, *kept)
    before = contents(project)
    plan = reasons(with_echo, *kept, *change)
    assert contents(project) == before, "a plan writes nothing"
    assert plan[why[0]] == why[1]
    for step in CACHED:
        assert (plan[step] == "the same work was done before") is (step not in expected), step
    assert done(run(with_echo, project, *kept, *change)[1]) == expected
    assert done(run(with_echo, project, *kept)[1]) == [], "the first results are still there"


def test_a_step_that_waits_for_another_says_so(with_echo: Command, project: Path) -> None:
    plan = reasons(with_echo)
    assert plan == {
        "baseline": "never run here",
        "half": "never run here",
        "shipped": "`half` runs first",
        "verify": "`baseline` runs first",
        "report": "always written",
    }
    run(with_echo, project)
    assert reasons(with_echo)["shipped"] == "the same work was done before"


def test_a_file_that_an_option_names_is_part_of_the_work(with_echo: Command, project: Path) -> None:
    accepted = project / "accepted.txt"
    accepted.write_text("nobody says this\n", encoding="utf-8")
    options = ("--set", 'baseline.metric_options={ exact = { accepted = "accepted.txt" } }')
    run(with_echo, project, *options)
    assert reasons(with_echo, *options)["baseline"] == "the same work was done before"
    accepted.write_text("nobody says that\n", encoding="utf-8")
    assert "plugins[2].files.accepted.txt changed from" in reasons(with_echo, *options)["baseline"]
    assert done(run(with_echo, project, *options)[1])[0] == "baseline"


def test_an_edited_corpus_is_translated_anew(with_echo: Command, project: Path, finished: RunManifest) -> None:
    test = project / "test.tsv"
    test.write_text(test.read_text().replace("harbour", "station", 1))
    assert "inputs[1] changed from" in reasons(with_echo)["baseline"]
    _, second = run(with_echo, project)
    assert done(second) == ["baseline", "shipped", "verify"]
    assert second.steps[1].result == finished.steps[1].result


def test_another_model_runs_everything_anew(with_echo: Command, project: Path) -> None:
    from lingolite_cli.testing import tiny_bundle

    run(with_echo, project)
    (project / "model").rename(project / "old")
    tiny_bundle(project / "model", seed=18)
    assert "inputs[0] changed from" in reasons(with_echo)["half"]
    assert done(run(with_echo, project)[1]) == CACHED


def test_another_name_for_the_same_work_is_the_same_work(
    with_echo: Command, project: Path, finished: RunManifest
) -> None:
    renamed = RECIPE.replace('"half"', '"smaller"').replace('name = "small"', 'name = "other"')
    (project / "recipes" / "small.toml").write_text(renamed)
    outcome = with_echo("run", "recipes/small.toml")
    assert ", 4 from the cache" in outcome.out
    assert (runs(project, "other")[0] / "artifacts" / "smaller" / "lingolite.json").is_file()


def test_commands_share_the_cache_with_recipes(with_echo: Command, project: Path, finished: RunManifest) -> None:
    report = with_echo("eval", "--metrics", "bleu,exact", "--json").json
    assert report["status"] == "cached"
    assert with_echo("eval", "--metrics", "bleu,exact", "--fresh", "--json").json["status"] == "done"


def test_equal_artifacts_are_kept_once(with_echo: Command, project: Path, finished: RunManifest) -> None:
    """Another seed gives the step another key and the artifact the same bytes."""
    _, other = run(with_echo, project, "--set", "seed=18")
    assert "half" in done(other)
    assert len(list((project / ".lingolite" / "cache").rglob("model.safetensors"))) == 1


def test_changing_a_run_changes_no_other(with_echo: Command, project: Path) -> None:
    """A byte of a file written in place, which would show in every name that the file has."""
    _, first = run(with_echo, project)
    run(with_echo, project)
    one, other = runs(project)
    for name in ("translations/baseline.jsonl", "artifacts/half/model.safetensors"):
        before = (other / name).read_bytes()
        with (one / name).open("r+b") as stream:
            stream.write(b"!")
        assert (other / name).read_bytes() == before
    _, third = run(with_echo, project)
    assert done(third) == [], "the cache did not change either"
    assert digests(third.steps) == digests(first.steps)


@pytest.mark.parametrize("what", ["weights", "option", "option for a moment"])
def test_outcome_is_not_kept_if_an_input_changed_during_the_work(with_echo: Command, project: Path, what: str) -> None:
    """The step waits at a named pipe in the middle of its work, where the test changes what it reads."""
    accepted = project / "accepted.txt"
    accepted.write_text("nobody says this\n", encoding="utf-8")
    os.mkfifo(project / "gate")
    weights = project / "model" / "model.safetensors"
    good = weights.read_bytes()

    def change() -> None:
        with (project / "gate").open("wb"):
            if what == "weights":
                weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
            else:
                accepted.write_text("nobody says that\n", encoding="utf-8")
            if what == "option for a moment":
                accepted.write_text("nobody says this\n", encoding="utf-8")

    changing = threading.Thread(target=change)
    changing.start()
    options = ("--set", 'baseline.metric_options={ exact = { accepted = "accepted.txt" } }')
    outcome = with_echo("run", "recipes/small.toml", *options, "--set", 'baseline.options={ gate = "gate" }')
    changing.join()
    assert outcome.code == 2
    assert "changed" in outcome.err
    assert not list((project / ".lingolite" / "cache" / "steps").rglob("entry.json")), "nothing was kept"


def test_timings_are_never_served_from_the_cache(with_echo: Command, project: Path) -> None:
    recipe = """
        [[steps]]
        id = "speed"
        uses = "benchmark"
        systems = [{ model = "half", backend = "echo" }]
        num_sentences = 2
        batch_sizes = [1]
        rounds = 1
        """
    (project / "recipes" / "small.toml").write_text(RECIPE + recipe)
    run(with_echo, project)
    assert reasons(with_echo)["speed"] == "timings are always taken anew"
    _, second = run(with_echo, project)
    assert done(second) == ["speed"]
    assert second.steps[-1].key is None


def test_the_manifest_holds_the_resolved_recipe(with_echo: Command, project: Path) -> None:
    _, manifest = run(with_echo, project, "--set", "seed=5")
    assert manifest.seed == manifest.recipe["seed"] == 5
    assert manifest.recipe["steps"][0]["batch_size"] == 32
    result = manifest.steps[0].result
    assert isinstance(result, EvaluateResult)
    assert result.backend == "echo"  # the project's, where it runs the artifact
    assert manifest.recipe_path == "recipes/small.toml"
    plain = json.loads((runs(project)[0] / "manifest.json").read_text())
    assert plain["environment"]["packages"]["numpy"]
    assert plain["environment"]["cpu_features"] == sorted(plain["environment"]["cpu_features"])
