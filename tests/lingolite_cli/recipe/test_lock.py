"""Locks: what is refused and named, before a run and after it, and what `verify-lock` says."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents, runs

from lingolite_cli.runs.record import RunManifest
from lingolite_cli.schema import read_toml

Command = Callable[..., Outcome]
LOCK = "recipes/small.lock.toml"


@pytest.fixture
def locked(with_echo: Command, finished: RunManifest) -> Command:
    """The command in a project whose recipe was run and locked."""
    return with_echo


EXACT = "[steps.metrics.exact]\nvalue = "


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text, path
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_lock_tells_inputs_steps_and_outcomes(locked: Command, project: Path) -> None:
    lock = read_toml(project / LOCK)
    assert lock["inputs"]["test"].keys() == {"test.tsv"}
    assert {"lingolite.json", "model.safetensors"} & lock["inputs"]["model"].keys() == {"model.safetensors"}
    steps = {step["id"]: step for step in lock["steps"]}
    assert len(steps["half"]["artifact"]) == 64
    assert steps["shipped"]["metrics"]["exact"]["value"] == 100.0
    assert steps["shipped"]["plugins"][0]["distribution"] == "lingolite-echo"
    assert lock["packages"].keys() == {
        "jinja2", "lingolite", "ml_dtypes", "msgspec", "numpy", "sacrebleu", "safetensors", "sentencepiece",
    }, "what the steps use, and neither PyTorch nor ONNX Runtime, which are installed"  # fmt: skip
    assert str(project) not in (project / LOCK).read_text(encoding="utf-8")


def test_the_same_run_again_and_afresh_is_the_locked_one(locked: Command, project: Path) -> None:
    before = (project / LOCK).read_bytes()
    for flags in ((), ("--fresh",)):
        outcome = locked("run", "recipes/small.toml", "--locked", *flags)
        assert outcome.code == 0, outcome.err
    outcome = locked("run", "recipes/small.toml", "--lock", "--fresh")
    assert outcome.code == 0
    assert f"lock: {LOCK}" in outcome.out
    assert (project / LOCK).read_bytes() == before


@pytest.mark.parametrize(
    ("file", "before", "after", "said"),
    [
        ("test.tsv", "\t", " \t", "input `test`, file `test.tsv`: "),
        ("recipes/small.toml", "size_ratio_max = 0.9", "size_ratio_max = 0.8", "size_ratio_max`: 0.8, locked 0.9"),
        (
            "recipes/small.toml",
            '["bleu", "exact"]',
            '["bleu"]',
            "step `baseline`, metric `exact`: gone; locked lingolite-echo",
        ),
        ("recipes/small.toml", 'id = "half"', 'id = "other"', "order of the steps: "),
        ("recipes/small.toml", "schema = 1", "schema = 1\nseed = 18", "seed: 18, locked 17"),
        ("lingolite.toml", "threads = 1", "threads = 2", "threads: 2, locked 1"),
    ],
)
def test_whatever_differs_is_named_and_nothing_is_run(
    locked: Command, project: Path, file: str, before: str, after: str, said: str
) -> None:
    edit(project / file, before, after)
    if 'id = "half"' == before:
        edit(project / file, 'model = "half"', 'model = "other"')
    made = contents(project)
    outcome = locked("run", "recipes/small.toml", "--locked")
    assert outcome.code == 2
    assert "this would not be the locked run" in outcome.err
    assert said in outcome.err
    assert "hint: undo the differences" in outcome.err
    assert contents(project) == made


@pytest.mark.parametrize("command", [["run", "--lock"], ["run", "--locked"], ["verify-lock"]], ids=" ".join)
def test_recipe_from_a_pipe_has_no_lock(locked: Command, project: Path, command: list[str]) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as stream:
        stream.write((project / "recipes" / "small.toml").read_bytes())
    before = runs(project)
    outcome = locked(*command[:1], f"/dev/fd/{reading}", *command[1:])
    os.close(reading)
    assert outcome.code == 2
    assert f"/dev/fd/{reading} is a pipe, and a lock lies beside the file of its recipe" in outcome.err
    assert runs(project) == before


def test_lock_that_cannot_be_written_is_refused_before_any_work(locked: Command, project: Path) -> None:
    (project / LOCK).unlink()
    (project / LOCK).mkdir()
    before = runs(project)
    outcome = locked("run", "recipes/small.toml", "--lock", "--fresh")
    assert (outcome.code, outcome.err.split("\n")[0]) == (2, f"error: {LOCK} is a directory")
    assert runs(project) == before


def test_overridden_option_is_named(locked: Command) -> None:
    outcome = locked("run", "recipes/small.toml", "--locked", "--set", "verify.resamples=999")
    assert outcome.code == 2
    assert "step `verify`, option `resamples`: 999, locked 1000" in outcome.err


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('sacrebleu = "', 'sacrebleu = "0.', "package `sacrebleu`: "),
        (
            'distribution = "lingolite-echo"\nversion = "',
            'distribution = "lingolite-echo"\nversion = "7.',
            "`: lingolite-echo ",
        ),
        ('python = "', 'python = "2.', "Python: "),
    ],
)
def test_other_versions_are_named(locked: Command, project: Path, before: str, after: str, said: str) -> None:
    edit(project / LOCK, before, after)
    outcome = locked("run", "recipes/small.toml", "--locked")
    assert outcome.code == 2
    assert said in outcome.err
    assert ", locked " in outcome.err


def test_changed_weight_is_named(locked: Command, project: Path) -> None:
    edit(project / LOCK, '"model.safetensors" = "', '"model.safetensors" = "0')
    outcome = locked("run", "recipes/small.toml", "--locked")
    assert outcome.code == 2
    assert "input `model`, file `model.safetensors`: " in outcome.err


def test_other_outcome_breaks_the_run(locked: Command, project: Path) -> None:
    edit(project / LOCK, f"{EXACT}100.0", f"{EXACT}99.99")
    outcome = locked("run", "recipes/small.toml", "--locked")
    assert outcome.code == 3
    assert "the run came out otherwise than locked" in outcome.err
    assert "100.0000, locked 99.9900" in outcome.err
    assert len(runs(project, "small")) == 2, "the run is kept, to be looked at"


def test_on_another_cpu_scores_have_a_tolerance_and_artifacts_none(locked: Command, project: Path) -> None:
    lock = project / LOCK
    edit(lock, "cpu_features = [", 'cpu_features = [\n    "of-another-cpu",')
    edit(lock, f"{EXACT}100.0", f"{EXACT}99.95")
    outcome = locked("run", "recipes/small.toml", "--locked")
    assert outcome.code == 0, outcome.err
    assert "CPU feature: gone; locked of-another-cpu" in outcome.err
    edit(lock, f"{EXACT}99.95", f"{EXACT}99.85")
    assert locked("run", "recipes/small.toml", "--locked").code == 3
    edit(lock, f"{EXACT}99.85", f"{EXACT}100.0")
    edit(lock, 'artifact = "', 'artifact = "0')
    assert "step `half`, artifact: " in locked("run", "recipes/small.toml", "--locked").err


def test_broken_budget_is_not_locked(with_echo: Command, project: Path) -> None:
    outcome = with_echo("run", "recipes/small.toml", "--lock", "--set", "verify.budget.size_ratio_max=0.1")
    assert outcome.code == 3
    assert not (project / LOCK).exists()


def test_without_a_lock_there_is_a_hint(with_echo: Command) -> None:
    for command in (("run", "recipes/small.toml", "--locked"), ("verify-lock", "recipes/small.toml")):
        outcome = with_echo(*command)
        assert outcome.code == 2
        assert "recipes/small.toml has no lock" in outcome.err
        assert "hint: lingolite run recipes/small.toml --lock" in outcome.err
    assert with_echo("run", "recipes/small.toml", "--locked", "--lock").code == 2


def test_verify_lock_passes_and_says_what_to_expect_elsewhere(locked: Command) -> None:
    outcome = locked("verify-lock", "recipes/small.toml", "--json")
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    elsewhere = {finding["what"]: finding["elsewhere"] for finding in found["findings"]}
    assert elsewhere["half: artifact"].startswith("the same bytes")
    assert elsewhere["shipped: bleu, exact"].startswith("within 0.1")
    assert found["cpu"] == []


def test_verify_lock_finds_what_differs(locked: Command, project: Path) -> None:
    edit(project / LOCK, f"{EXACT}100.0", f"{EXACT}99.0")
    edit(project / "recipes" / "small.toml", "size_ratio_max = 0.9", "size_ratio_max = 0.8")
    outcome = locked("verify-lock", "recipes/small.toml")
    assert outcome.code == 3
    assert "0.8, locked 0.9" in " ".join(outcome.out.split())
    assert "100.0000, locked 99.0000" in " ".join(outcome.out.split())


def test_changed_signature_of_a_metric_is_named(locked: Command, project: Path) -> None:
    """The same figure by another rule is another figure."""
    edit(project / LOCK, 'signature = "', 'signature = "other ')
    outcome = locked("run", "recipes/small.toml", "--locked")
    assert outcome.code == 3
    assert "step `baseline`, signature of " in outcome.err
    outcome = locked("verify-lock", "recipes/small.toml")
    assert outcome.code == 3
    assert "signature of" in outcome.out


def test_verify_lock_names_what_the_lock_does_not_have(locked: Command, project: Path) -> None:
    lock = project / LOCK
    digest = read_toml(lock)["steps"][1]["artifact"]
    edit(lock, f'artifact = "{digest}"\n', "")
    outcome = locked("verify-lock", "recipes/small.toml")
    assert outcome.code == 3
    assert "not in the lock" in outcome.out
    assert locked("run", "recipes/small.toml", "--locked").code == 3


def test_verify_lock_looks_at_the_artifact_itself(locked: Command, project: Path) -> None:
    """Another one, whole by its own digests, where the run's manifest tells of the locked one."""
    (run,) = runs(project, "small")
    shutil.rmtree(run / "artifacts" / "half")
    shutil.copytree(project / "model", run / "artifacts" / "half")
    outcome = locked("verify-lock", "recipes/small.toml")
    assert outcome.code == 3
    assert "half" in outcome.out


def test_verify_lock_with_a_step_that_the_lock_lacks_is_a_difference(locked: Command, project: Path) -> None:
    lock = project / LOCK
    text = lock.read_text(encoding="utf-8")
    lock.write_text(text[: text.rindex("[[steps]]")], encoding="utf-8")
    outcome = locked("verify-lock", "recipes/small.toml")
    assert outcome.code == 3
    assert "order of the steps" in outcome.out


def test_verify_lock_refuses_a_damaged_artifact(locked: Command, project: Path) -> None:
    (run,) = runs(project, "small")
    weights = run / "artifacts" / "half" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    outcome = locked("verify-lock", "recipes/small.toml")
    assert outcome.code == 2
    assert "was changed" in outcome.err


def test_verify_lock_without_a_run_says_so(locked: Command, project: Path) -> None:
    (run,) = runs(project, "small")
    run.rename(project / "elsewhere")
    outcome = locked("verify-lock", "recipes/small.toml")
    assert outcome.code == 0
    assert "no outcome was checked" in outcome.out
    assert locked("verify-lock", "recipes/small.toml", "--run", "elsewhere").code == 0
