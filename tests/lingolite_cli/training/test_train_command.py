"""`lingolite train` and the step kind `train`, from text to a bundle that the rest of a recipe goes on with."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import Outcome, command, environment, hear_interruptions, read_run, runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.runs.made_results import TrainResult
from lingolite_cli.runs.measured_results import EvaluateResult

pytestmark = pytest.mark.training

ROOT = Path(__file__).resolve().parents[3]

RECIPE = """\
name = "learn"

[inputs]
train = { pairs = "train.tsv" }
dev = { tsv = "train.tsv", languages = ["en", "da"] }

[[steps]]
id = "train"
uses = "train"
languages = ["en", "da"]
dev = "inputs.dev"
metric = "cross-entropy"
scratch = { vocab_size = 290, architecture = { d_model = 32, n_encoder_layers = 1, n_decoder_layers = 1, d_ff = 48 } }

[steps.options]
max_steps = 6
checkpoint_every = 2
batch_tokens = 400
warmup_steps = 2

[[steps]]
id = "half"
uses = "quantize"
method = "fp16"
model = "train"

[[steps]]
id = "scored"
uses = "evaluate"
model = "half"
backend = "cached"
corpus = "inputs.dev"
metrics = ["chrf"]
decoding = { max_length = 8 }

[[steps]]
id = "report"
uses = "report"
"""


@pytest.fixture
def project(tmp_path: Path, parallel_text: Path) -> Path:
    """A project with a recipe that trains on 30 pairs."""
    root = tmp_path / "project"
    root.mkdir()
    shutil.copyfile(parallel_text, root / "train.tsv")
    (root / "lingolite.toml").write_text("schema = 1\n")
    (root / "learn.toml").write_text(RECIPE, encoding="utf-8")
    return root


def result_of(project: Path) -> TrainResult:
    """The result of the last run's training."""
    (step,) = (step for step in read_run(runs(project, "learn")[-1]).steps if step.id == "train")
    assert isinstance(step.result, TrainResult)
    return step.result


def test_recipe_goes_on_with_the_trained_bundle(lingolite: Callable[..., Outcome], project: Path) -> None:
    assert lingolite("run", "learn.toml").code == 0
    directory = runs(project, "learn")[-1]
    result = result_of(project)
    assert (result.num_steps, result.ended_by, result.source) == (6, "max_steps", None)
    assert (result.texts[0].num_pairs, result.texts[0].bad) == (30, {})
    lines = [json.loads(line) for line in (directory / result.metrics).read_text().splitlines()]
    assert [line["step"] for line in lines if "dev_score" in line] == [2, 4, 6]
    bundle = Artifact.open(directory / "artifacts" / "train")
    assert bundle.manifest.languages == ("en", "da")
    assert (bundle.manifest.model.vocab_size, bundle.manifest.model.d_ff) == (290, 48)
    assert bundle.manifest.made_by.operation == "train"
    scored = read_run(directory).steps[2].result
    assert isinstance(scored, EvaluateResult)
    assert scored.num_samples == 30
    assert "train" in (directory / "report.md").read_text(encoding="utf-8")


def test_overfit_is_translated_exactly(lingolite: Callable[..., Outcome], project: Path) -> None:
    """12 pairs, from nothing to every sentence right: through text, tokenizer, training, bundle, backend and metric."""
    text = (project / "train.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    (project / "train.tsv").write_text("".join(text[:12]), encoding="utf-8")
    options = {
        "checkpoint_every": 100, "max_steps": 300, "learning_rate": 5e-3, "warmup_steps": 60, "label_smoothing": 0.0,
        "dropout": 0.0, "batch_tokens": 600, "patience": 3,
    }  # fmt: skip
    changes = [f"--set=train.options.{key}={value}" for key, value in options.items()]
    changes += [
        "--set=train.metric=chrf",
        "--set=train.scratch.architecture.d_model=64",
        "--set=train.scratch.architecture.d_ff=128",
    ]
    outcome = lingolite("train", "learn.toml", *changes, "--out", "made")
    assert outcome.code == 0, outcome.err
    assert result_of(project).dev_score == pytest.approx(100.0)

    lines = [line.split("\t") for line in (project / "train.tsv").read_text(encoding="utf-8").splitlines()]
    sources = "".join(f"{source}\n" for source, _ in lines).encode()
    translated = lingolite("translate", "--model", "made", "--backend", "cached", stdin=sources)
    assert translated.out.splitlines() == [target for _, target in lines]


@pytest.mark.slow
def test_200_real_pairs_are_learnt_by_heart(lingolite: Callable[..., Outcome], project: Path) -> None:
    """200 sentences of the starter's dev text that have few words, each translated exactly in the end.

    In NFKC, since that is what SentencePiece makes of text: it writes three dots where a target has an ellipsis.
    """
    rows = (ROOT / "recipes" / "starter-en-da" / "dev.en-da.tsv").read_text(encoding="utf-8").splitlines()
    pairs = {
        source: target
        for source, target, *_ in (row.split("\t") for row in rows)
        if len(source.split()) <= 9 and unicodedata.is_normalized("NFKC", target)
    }
    kept = list(pairs.items())[:200]
    assert len(kept) == 200
    (project / "train.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in kept), encoding="utf-8")
    options = {
        "checkpoint_every": 150, "max_steps": 900, "learning_rate": 4e-3, "warmup_steps": 60, "label_smoothing": 0.0,
        "dropout": 0.0, "batch_tokens": 1024,
    }  # fmt: skip
    changes = [f"--set=train.options.{key}={value}" for key, value in options.items()]
    changes += ["--set=train.metric=chrf", "--set=train.scratch.vocab_size=600"]
    changes += [
        f"--set=train.scratch.architecture.{key}={value}"
        for key, value in {"d_model": 96, "n_encoder_layers": 2, "n_decoder_layers": 2, "d_ff": 192}.items()
    ]
    assert lingolite("train", "learn.toml", *changes, "--out", "made").code == 0

    stdin = "".join(f"{source}\n" for source, _ in kept).encode()
    translated = lingolite("translate", "--model", "made", "--backend", "cached", stdin=stdin)
    assert translated.out.splitlines() == [target for _, target in kept]


def test_killed_process_resumes_by_itself(lingolite: Callable[..., Outcome], project: Path, tmp_path: Path) -> None:
    longer = ("--set", "train.options.max_steps=60", "--set", "train.options.dropout=0.3")
    process = subprocess.Popen(
        command("train", "learn.toml", *longer),
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "step 4 of 60:" in line:
            process.send_signal(signal.SIGKILL)
            break
    process.wait(timeout=60)
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL
    assert not (project / "runs").exists()

    resumed = lingolite("train", "learn.toml", *longer, "--resume", "--out", "resumed")
    assert resumed.code == 0, resumed.err
    assert "step 2 of" not in resumed.err
    assert "step 60 of 60:" in resumed.err
    shutil.rmtree(project / ".lingolite")
    assert lingolite("train", "learn.toml", *longer, "--out", "whole").code == 0
    weights = [(project / name / "model.safetensors").read_bytes() for name in ("resumed", "whole")]
    assert weights[0] == weights[1]


def test_interrupted_training_names_its_checkpoint_and_the_command_that_goes_on(
    lingolite: Callable[..., Outcome], project: Path
) -> None:
    asked = ("train", "learn.toml", "--set", "train.options.max_steps=4000", "--fresh")
    with subprocess.Popen(
        command(*asked),
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=hear_interruptions,
    ) as process:
        assert process.stderr is not None
        assert any("step 4 of 4,000: " in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    found = re.search(r"train: its last checkpoint is of step ([\d,]+): (\S+)\ngo on: lingolite (.*)\n", said)
    assert found is not None, said
    step, checkpoint = int(found[1].replace(",", "")), project / found[2]
    assert torch.load(checkpoint, weights_only=True)["position"]["step"] == step >= 4
    again = shlex.split(found[3])
    assert again == [*asked[:-1], "--resume"]
    resumed = lingolite(*again, "--set", f"train.options.max_steps={step + 2}", "--set", "train.options.patience=3")
    assert resumed.code == 0, resumed.err
    assert "step 2 of" not in resumed.err


def test_interrupted_run_names_its_checkpoint_too(lingolite: Callable[..., Outcome], project: Path) -> None:
    asked = ("run", "learn.toml", "--set", "train.options.max_steps=4000")
    with subprocess.Popen(
        command(*asked),
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=hear_interruptions,
    ) as process:
        assert process.stderr is not None
        assert any("step 4 of 4,000: " in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert "train: its last checkpoint is of step " in said
    assert f"go on: lingolite {shlex.join(asked)}\n" in said


def test_training_that_is_interrupted_before_a_checkpoint_says_so(project: Path) -> None:
    asked = ("train", "learn.toml", "--set", "train.options.max_steps=4000", "--set")
    with subprocess.Popen(
        command(*asked, "train.options.checkpoint_every=4000"),
        cwd=project,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        preexec_fn=hear_interruptions,
    ) as process:
        assert process.stderr is not None
        assert any("rows to train on" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert "interrupted before its first checkpoint, which is written after 4,000 steps" in said
    assert "go on:" not in said


def test_bundle_is_trained_further(lingolite: Callable[..., Outcome], project: Path, existing_bundle: Artifact) -> None:
    shutil.copytree(existing_bundle.path, project / "model")
    text = RECIPE.replace("[inputs]\n", '[inputs]\nmodel = { bundle = "model" }\n')
    lines = ['model = "inputs.model"' if line.startswith("scratch") else line for line in text.splitlines()]
    (project / "learn.toml").write_text("\n".join(lines), encoding="utf-8")
    assert lingolite("train", "learn.toml", "--out", "made").code == 0
    result = result_of(project)
    assert result.source is not None
    assert result.source.digest == existing_bundle.digest
    made = Artifact.open(project / "made")
    assert made.manifest.model == existing_bundle.manifest.model
    assert made.tokenizer_path.read_bytes() == existing_bundle.tokenizer_path.read_bytes()
    assert made.weights_path.read_bytes() != existing_bundle.weights_path.read_bytes()


def test_finished_training_is_served_from_the_cache_and_fresh_starts_anew(
    lingolite: Callable[..., Outcome], project: Path
) -> None:
    assert "step 2 of " in lingolite("train", "learn.toml").err
    assert "train: cached" in lingolite("train", "learn.toml").err
    assert "step 2 of " in lingolite("train", "learn.toml", "--fresh").err
    further = lingolite("train", "learn.toml", "--set", "train.options.max_steps=8").err
    assert "step 8 of " in further
    assert "step 6 of " not in further


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "there is no checkpoint to resume step `train` from"),
        (["--resume", "--fresh"], "--resume and --fresh contradict each other"),
        (["--max-minutes", "0"], "--max-minutes must be more than 0"),
        (["--out", "train.tsv"], "--out train.tsv would be written over"),
        (["--out", "train.tsv", "--overwrite"], "--out train.tsv would be written over"),
        (["--out", "lingolite.toml"], "lingolite.toml exists"),
        (["--out", "lingolite.toml", "--overwrite"], "lingolite.toml is not an artifact, so it is not replaced"),
        (["--set", "inputs.train.pairs=missing.tsv"], "inputs.train: no such file"),
        (["--set", "train.data=['inputs.dev']"], "`inputs.dev` is text to evaluate on"),
        (["--set", "train.metric=bleurt"], "there is no metric called `bleurt`"),
        (["--set", "train.metric=length-ratio"], "`length-ratio` describes translations and cannot pick the better"),
        (["--set", "train.languages=['en']"], "languages"),
        (["--set", "train.scratch.architecture.n_heads=7"], "n_heads 7 does not divide d_model 32"),
        (["--set", "train.scratch.preset=tinny"], "unknown preset `tinny`"),
        (["--set", "train.scratch.vocab_size=9000"], "cannot make a tokenizer of 9000 pieces"),
        (["--set", "train.options.learning_rte=1"], "step `train`: unknown key `options.learning_rte`"),
        (["--set", "train.options.device=gpu"], "unknown device `gpu`"),
        (["--set", "train.options.schedule=cosine", "--set", "train.options.warmup_steps=6"], "needs max_steps"),
        (["--set", "train.text.on_bad_data=refuse", "--set", "train.text.max_tokens=6"], "line 1: bad data: over-long"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_mistakes_are_refused(
    lingolite: Callable[..., Outcome], project: Path, arguments: list[str], message: str
) -> None:
    outcome = lingolite("train", "learn.toml", *arguments)
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert not (project / "runs").exists()


def test_quantized_bundle_is_not_trained(lingolite: Callable[..., Outcome], project: Path, tiny: Artifact) -> None:
    assert lingolite("quantize", "--model", str(tiny.path), "--out", "small").code == 0
    text = RECIPE.replace("[inputs]\n", '[inputs]\nmodel = { bundle = "small" }\n')
    lines = ['model = "inputs.model"' if line.startswith("scratch") else line for line in text.splitlines()]
    (project / "learn.toml").write_text("\n".join(lines), encoding="utf-8")
    outcome = lingolite("train", "learn.toml")
    assert outcome.code == 2
    assert "is of format bundle-int8; only float bundles can be trained" in outcome.err


@pytest.mark.parametrize(("name", "num_steps", "trained"), [("train-starter", 7, "train"), ("qat", 11, "qat")])
def test_recipes_that_train_pass_their_checks(
    lingolite: Callable[..., Outcome], project: Path, parallel_text: Path, name: str, num_steps: int, trained: str
) -> None:
    outcome = lingolite("train", str(ROOT / "recipes" / f"{name}.toml"), "--resume", cwd=ROOT)
    assert outcome.code == 2
    assert "inputs.train: no such file" in outcome.err or "no checkpoint" in outcome.err
    (project / "recipes").symlink_to(ROOT / "recipes", target_is_directory=True)
    (project / "corpus").mkdir()
    for corpus in ("train", "everyday-train"):
        shutil.copyfile(parallel_text, project / "corpus" / f"{corpus}.en-da.tsv.gz")
    recipe = f"recipes/{name}.toml"
    checked = lingolite("recipes", "check", recipe)
    assert (checked.code, checked.out) == (0, f"{recipe}: {num_steps} steps, nothing wrong found\n")
    refused = lingolite("train", recipe, "--resume")
    assert f"there is no checkpoint to resume step `{trained}` from" in refused.err


@pytest.mark.slow
def test_two_trainings_at_once_take_turns_and_come_out_alike(project: Path) -> None:
    """They share the state on disk: the second waits, and takes over what the first trained."""
    pipe = subprocess.PIPE
    arguments = {"cwd": project, "env": environment(), "stdout": pipe, "stderr": pipe, "text": True}
    with (
        subprocess.Popen(command("run", "learn.toml"), **arguments) as first,
        subprocess.Popen(command("run", "learn.toml"), **arguments) as second,
    ):
        errors = [process.communicate(timeout=300)[1] for process in (first, second)]
        assert [process.returncode for process in (first, second)] == [0, 0], errors
    waited = [error.count("waiting for another run that trains the same") for error in errors]
    assert sorted(waited) in ([0, 1], [0, 0]), "one waits, unless it came when the other one was done"
    results = [read_run(run).steps[0].result for run in runs(project, "learn")]
    assert len(results) == 2
    assert results[0] == results[1]
