"""The whole way, with the starter model: from the trained bundle to the int8 ONNX files and the verdict on them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import msgspec
import pytest
from command_line import Outcome, command, environment, read_run, run_command, runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.runs.made_results import ExportResult
from lingolite_cli.runs.measured_results import EvaluateResult, VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.results import StepResult
from lingolite_cli.runs.translations import read_translations

pytestmark = pytest.mark.expensive_fixture

REPOSITORY = Path(__file__).parents[3]

SAMPLES = 24

FEW = [
    *("--set", "threads=1"),
    *("--set", f"baseline.max_samples={SAMPLES}"),
    *("--set", f"shipped.max_samples={SAMPLES}"),
]
ARGUMENTS = [
    *("run", "recipes/mobile.toml", *FEW, "--set", "verify.allow_inconclusive=true"),
    *("--set", "speed.num_sentences=4", "--set", "speed.rounds=1"),
    # Each system is a process that loads its engine anew: one is enough to have the step run.
    *("--set", 'speed.systems=[{ model = "onnx", backend = "onnx" }]'),
]


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the recipes and settings of this repository, whose runs lie elsewhere."""
    root = tmp_path_factory.mktemp("starter")
    shutil.copy(REPOSITORY / "lingolite.toml", root)
    shutil.copytree(REPOSITORY / "recipes", root / "recipes")  # a link would lead a recipe back to the repository
    return root


@pytest.fixture(scope="module")
def killed(starter: Path) -> list[str]:
    """What the run said before it was killed: the shipped files were being evaluated."""
    process = subprocess.Popen(
        command(*ARGUMENTS),
        cwd=starter,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    lines = []
    with process.stderr:
        for line in process.stderr:
            lines.append(line)
            if line.startswith("shipped: evaluate"):
                break
        os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, lines
    return lines


@pytest.fixture(scope="module")
def outcome(starter: Path, killed: list[str]) -> Outcome:
    """The same command again."""
    return run_command(*ARGUMENTS, cwd=starter)


@pytest.fixture(scope="module")
def manifest(starter: Path, outcome: Outcome) -> RunManifest:
    """The manifest of the run that was completed."""
    assert outcome.code == 0, outcome.err
    return read_run(runs(starter, "mobile")[0])


def result_of(manifest: RunManifest, id: str) -> StepResult:
    """The result of the step of that id."""
    (found,) = (step.result for step in manifest.steps if step.id == id)
    return found


def test_finished_steps_are_not_repeated_after_a_kill(manifest: RunManifest, starter: Path) -> None:
    assert {step.id: step.status for step in manifest.steps} == {
        "float": "cached",
        "baseline": "cached",
        "int8": "cached",
        "onnx": "cached",
        "shipped": "done",
        "verify": "done",
        "speed": "done",
        "report": "done",
    }
    assert not list((starter / ".lingolite").rglob("*.partial"))
    assert len(runs(starter, "mobile")) == 1


def test_the_figures_are_those_of_a_run_that_nothing_disturbed(manifest: RunManifest, starter: Path) -> None:
    """The steps that the killed run left to the next one, and the one in which it was killed, are done afresh."""
    recipe = (REPOSITORY / "recipes" / "mobile.toml").read_text()
    (starter / "short.toml").write_text(recipe[: recipe.index('[[steps]]\nid = "verify"')])
    fresh = run_command("run", "short.toml", *FEW, "--fresh", "--json", cwd=starter)
    assert fresh.code == 0, fresh.err
    again = msgspec.convert(fresh.json, RunManifest)
    assert [step.id for step in again.steps] == ["float", "baseline", "int8", "onnx", "shipped"]
    for first, second in zip(manifest.steps[: len(again.steps)], again.steps, strict=True):
        assert second.status == "done"
        assert (second.id, second.key, second.inputs, second.result) == (
            first.id,
            first.key,
            first.inputs,
            first.result,
        )


def test_every_budget_is_judged_on_the_shipped_files(manifest: RunManifest, starter: Path, outcome: Outcome) -> None:
    result = result_of(manifest, "verify")
    assert isinstance(result, VerifyResult)
    limits = {verdict.budget: verdict for verdict in result.verdicts}
    parity = ["logit_difference_max", "kl_mean_max", "token_kl_max", "padding_difference_max", "select_difference_max"]
    exported = ["exported_data_max", "exported_parity_min", "exported_kl_max", "exported_rounding_max"]
    certain = [*exported, "size_mb_max", "size_ratio_max", "parity_min", *parity]
    assert sorted(limits) == sorted(["bleu_drop_max", *certain])
    assert [limits[name].status for name in certain] == ["pass"] * len(certain)
    assert result.parity.causes == []
    assert limits["bleu_drop_max"].status in ("pass", "inconclusive")
    shipped = Artifact.open(runs(starter, "mobile")[0] / "artifacts" / "onnx")
    assert limits["size_mb_max"].seen == shipped.size_bytes / 1e6
    assert result.candidate_artifact.digest == shipped.digest
    assert outcome.out.splitlines()[-1].startswith("pass: ")


def test_the_run_directory_holds_what_the_manifest_names(manifest: RunManifest, starter: Path) -> None:
    directory = runs(starter, "mobile")[0]
    for name in ("report.html", "report.md"):
        assert (directory / name).stat().st_size > 1000
    for step in manifest.steps:
        if isinstance(step.result, EvaluateResult):
            records = read_translations(directory / step.result.translations)
            assert len(records) == SAMPLES
            assert step.result.metrics["bleu"].signature
    exported = result_of(manifest, "onnx")
    assert isinstance(exported, ExportResult)
    assert exported.artifact.path == "artifacts/onnx"
    assert exported.source.path == "artifacts/int8"
    assert Artifact.open(directory / "artifacts" / "int8").digest == exported.source.digest


def test_the_shipped_translations_are_nearly_those_of_the_baseline(manifest: RunManifest) -> None:
    baseline, shipped = result_of(manifest, "baseline"), result_of(manifest, "shipped")
    assert isinstance(baseline, EvaluateResult)
    assert isinstance(shipped, EvaluateResult)
    assert baseline.metrics["chrf"].value > 20, "the starter model translates"
    assert abs(baseline.metrics["chrf"].value - shipped.metrics["chrf"].value) < 3
