"""`qat-int8` from text to files that phones run: the recipe step, the commands, and what they refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import Outcome, contents, read_run, run_command, runs
from safetensors.numpy import load_file

from lingolite_cli.artifact import Artifact
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import Input, corpus_input, model_input
from lingolite_cli.jobs.quantizer_comparison import PlannedComparison, plan_comparison
from lingolite_cli.jobs.quantizer_texts import CALIBRATION, TRAINING, NamedTexts, find_texts
from lingolite_cli.recipe.steps.quantize import QuantizeStep
from lingolite_cli.runs.made_results import QuantizeResult
from lingolite_cli.runs.measured_results import EvaluateResult, VerifyResult
from lingolite_cli.runs.step_result import TrainingRecord
from lingolite_cli.testing import SENTENCES

Command = Callable[..., Outcome]

pytestmark = pytest.mark.training

RECIPE = """\
name = "aware"

[inputs]
model = { bundle = "model" }
train = { pairs = "train.tsv" }
dev = { tsv = "dev.tsv", languages = ["en", "da"] }
test = { tsv = "test.tsv", languages = ["en", "da"] }

[[steps]]
id = "int8"
uses = "quantize"
method = "qat-int8"
data = ["inputs.train", "inputs.train"]
dev = "inputs.dev"
dev_samples = 4

[steps.options]
max_steps = 6
checkpoint_every = 2
batch_tokens = 150
learning_rate = 2e-3
average = 1
"""

SHIPPING = """
[[steps]]
id = "dev-score"
uses = "evaluate"
model = "int8"
backend = "int8"
corpus = "inputs.dev"
metrics = ["chrf"]
max_samples = 4

[[steps]]
id = "torch"
uses = "evaluate"
model = "int8"
backend = "int8"
metrics = ["chrf"]

[[steps]]
id = "files"
uses = "export"
model = "int8"

[[steps]]
id = "phone"
uses = "evaluate"
model = "files"
backend = "onnx"
metrics = ["chrf"]

[[steps]]
id = "same"
uses = "verify"
reference = "torch"
candidate = "phone"
budget = { exact_match_min = 1.0 }
allow_implausible_reference = true # trained for seconds

[[steps]]
id = "report"
uses = "report"
reporters = ["markdown"]
"""


@pytest.fixture
def project(project: Path, parallel_text: Path) -> Path:
    """A project with the tiny bundle, text to train it on, and recipes/aware.toml; commands use any backend."""
    settings = (project / "lingolite.toml").read_text(encoding="utf-8")
    (project / "lingolite.toml").write_text(settings[: settings.index("[defaults.evaluate]")], encoding="utf-8")
    text = parallel_text.read_text(encoding="utf-8")
    (project / "train.tsv").write_text(text + "one column only\n\tan empty source\n", encoding="utf-8")
    (project / "dev.tsv").write_text("".join(text.splitlines(keepends=True)[:9]), encoding="utf-8")
    (project / "recipes" / "aware.toml").write_text(RECIPE, encoding="utf-8")
    return project


def result_of(project: Path) -> tuple[QuantizeResult, TrainingRecord]:
    """The last run's quantization, and the training that it was."""
    (result,) = (step.result for step in read_run(runs(project, "aware")[-1]).steps if step.id == "int8")
    assert isinstance(result, QuantizeResult)
    assert result.training is not None
    return result, result.training


def test_from_text_to_files_for_phones(lingolite: Command, project: Path) -> None:
    """The same integers in bundle and graphs, the same tokens in PyTorch, and in ONNX Runtime in a new process."""
    recipe = project / "recipes" / "aware.toml"
    recipe.write_text(RECIPE + SHIPPING, encoding="utf-8")
    outcome = lingolite("run", "recipes/aware.toml")
    assert outcome.code == 0, outcome.err
    assert "inputs.model → bundle-int8 by qat-int8, trained on inputs.train, inputs.train; 6 steps" in outcome.err
    assert "train.tsv: 2 bad rows were skipped: 1 wrong columns" in outcome.err

    directory = runs(project, "aware")[-1]
    steps = {step.id: step.result for step in read_run(directory).steps}
    result, training = result_of(project)
    assert (training.num_steps, training.ended_by, training.metric) == (6, "max_steps", "chrf")
    assert training.texts[0].bad == {"wrong columns": 1, "empty source": 1}
    lines = [json.loads(line) for line in (directory / training.metrics).read_text().splitlines()]
    assert [line["step"] for line in lines if "dev_score" in line] == [0, 2, 4, 6]
    assert "qat-int8" in (directory / "report.md").read_text(encoding="utf-8")
    dev_score = steps["dev-score"]
    assert isinstance(dev_score, EvaluateResult)
    assert training.dev_score == dev_score.metrics["chrf"].value, "checkpoints are scored as what is shipped"
    same = steps["same"]
    assert isinstance(same, VerifyResult)
    assert same.parity is not None
    assert same.parity.exact_match == 1.0

    bundle, files = (Artifact.open(directory / "artifacts" / name) for name in ("int8", "files"))
    assert bundle.manifest.quantization == files.manifest.quantization
    assert bundle.manifest.quantization is not None
    assert (bundle.manifest.format, bundle.manifest.quantization.scheme) == ("bundle-int8", "qat-int8")
    assert bundle.manifest.made_by.operation == "quantize qat-int8"
    assert bundle.manifest.made_by.options["qconfig"] == "fbgemm"
    assert set(bundle.manifest.made_by.inputs) == {"source", "train", "dev"}
    source = Artifact.open(project / "model")
    assert bundle.manifest.decoding == source.manifest.decoding
    assert result.source.digest == source.digest
    copied = shutil.copytree(files.path, project / "copied")  # onnx reads no file that has several hard links
    assert_same_integers(bundle, copied)

    alone = lingolite("translate", *SENTENCES, "--model", bundle.path, "--backend", "int8", "--json")
    fresh = run_command("translate", *SENTENCES, "--model", files.path, "--backend", "onnx", "--json", cwd=project)
    first, second = ([json.loads(line)["tokens"] for line in outcome.out.splitlines()] for outcome in (alone, fresh))
    assert first == second
    assert any(first)


def assert_same_integers(bundle: Artifact, files: Path) -> None:
    """Every int8 matrix of the bundle is in a graph, alone or beside others, and nothing else is."""
    tensors = load_file(bundle.weights_path)
    missing = {name.removesuffix(".weight") for name, tensor in tensors.items() if tensor.dtype == np.int8}
    for graph in ("encoder", "decoder"):
        for stored in onnx.load(files / f"{graph}.onnx").graph.initializer:
            if stored.data_type != onnx.TensorProto.INT8:
                continue
            names = ["encoder.embedding"] if stored.name == "embedding" else stored.name.split("+")
            expected = np.concatenate([tensors[f"{name}.weight"] for name in names])
            integers = onnx.numpy_helper.to_array(stored)
            np.testing.assert_array_equal(integers if stored.name == "embedding" else integers.T, expected)
            missing -= set(names)
    assert not missing


OPTIONS = ("--option", "max_steps=2", "--option", "batch_tokens=150", "--option", "log_every=1")


def test_the_command_trains_on_the_files_that_are_named(lingolite: Command, project: Path) -> None:
    arguments = ("--method", "qat-int8", "--data", "train.tsv", "--data", "dev.tsv", "--dev", "dev.tsv")
    outcome = lingolite("quantize", *arguments, *OPTIONS, "--option", 'qconfig="qnnpack"', "--out", "made", "--json")
    assert outcome.code == 0, outcome.err
    assert f"training on {project / 'train.tsv'}, {project / 'dev.tsv'}; choosing weights by" in outcome.err
    training = outcome.json["training"]
    assert [text["num_pairs"] for text in training["texts"]] == [30, 9]
    assert training["num_steps"] == 2
    made = Artifact.open(project / "made")
    assert set(made.manifest.made_by.inputs) == {"source", "train", "train-2", "dev"}
    scales = load_file(made.weights_path)["encoder.layers.0.ffn.up_proj.weight_scale"]
    assert scales.shape == (64, 1)
    assert len(np.unique(scales)) == 1


def test_the_command_trains_on_the_texts_of_the_project(lingolite: Command, project: Path) -> None:
    settings = project / "lingolite.toml"
    texts = '\n[[train]]\npairs = "train.tsv"\nshort_share = 0.5\n\n[dev]\ntsv = "dev.tsv"\nlanguages = ["en", "da"]\n'
    settings.write_text(settings.read_text(encoding="utf-8") + texts, encoding="utf-8")
    outcome = lingolite("quantize", "--method", "qat-int8", *OPTIONS, "--out", "made")
    assert outcome.code == 0, outcome.err
    assert f"training on {project / 'train.tsv'}; choosing weights by {project / 'dev.tsv'}\n" in outcome.err
    assert "2 steps, " in outcome.out
    assert "made: bundle-int8" in outcome.out


def test_train_runs_the_quantizations_that_train_and_no_others(lingolite: Command, project: Path) -> None:
    recipe = project / "recipes" / "aware.toml"
    half = '\n[[steps]]\nid = "half"\nuses = "quantize"\nmethod = "fp16"\n'
    recipe.write_text(RECIPE + half + SHIPPING, encoding="utf-8")
    refused = lingolite("train", "recipes/aware.toml", "--resume")
    assert "there is no checkpoint to resume step `int8` from" in refused.err
    outcome = lingolite("train", "recipes/aware.toml", "--max-minutes", "5", "--out", "made")
    assert outcome.code == 0, outcome.err
    (step,) = read_run(runs(project, "aware")[-1]).steps
    assert step.id == "int8"
    assert Artifact.open(project / "made").manifest.format == "bundle-int8"
    further = lingolite("train", "recipes/aware.toml", "--set", "int8.options.max_steps=8", "--resume")
    assert further.code == 0, further.err
    assert "step 8 of " in further.err
    assert "step 6 of " not in further.err
    other = lingolite("train", "recipes/aware.toml", "--set", "int8.options.qconfig=qnnpack", "--resume")
    assert "there is no checkpoint to resume" in other.err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("int8.method=qat-int", "there is no quantizer called `qat-int`"),
        ("int8.options.qconfig=fbgem", "qconfig"),
        ("int8.options.learning_rte=1", "unknown key `learning_rte` = 1"),
        ("int8.data=[]", "`qat-int8` needs parallel text to train on, and none is named"),
        ("int8.data=['inputs.dev']", "`inputs.dev` is text to evaluate on"),
        ("int8.data=['inputs.trian']", "there is no `inputs.trian`"),
        ("inputs.train.pairs=missing.tsv", "inputs.train: no such file"),
        ("int8.dev=inputs.dve", "there is no `inputs.dve`"),
        ("int8.languages=['en', 'nb']", "are not two of the model's languages"),
        ("int8.metric=bleurt", "there is no metric called `bleurt`"),
        ("inputs.model.bundle=small", "`inputs.model` is of format bundle-int8, and quantizer `qat-int8` reads bundle"),
    ],
)
def test_mistakes_in_a_recipe_are_refused_before_any_work(
    lingolite: Command, project: Path, change: str, message: str
) -> None:
    if "small" in change:
        assert lingolite("quantize", "--out", "small").code == 0
    before = contents(project)
    outcome = lingolite("run", "recipes/aware.toml", "--set", change)
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert contents(project) == before


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--method", "qat-int8"), "`qat-int8` needs parallel text to train on, and none is named", "--data FILE"),
        (("--method", "qat-int8", "--data", "train.tsv"), "text with references to choose its weights by", "--dev"),
        (("--method", "qat-int8", "--data", "nowhere.tsv", "--dev", "dev.tsv"), "no such file", "nowhere.tsv"),
        (("--method", "fp16", "--data", "train.tsv"), "`fp16` does not train", "leave out --data"),
        (("--method", "fp16", "--dev", "dev.tsv"), "`fp16` does not train", "leave out --dev"),
        (("--method", "qat-int8", "--calibration", "dev.tsv"), "`qat-int8` takes no calibration text", "--calibration"),
        (("--method", "qat", "--data", "train.tsv"), "there is no quantizer called `qat`", "qat-int8"),
    ],
)  # fmt: skip
def test_mistakes_of_the_command_are_refused_before_any_work(
    lingolite: Command, project: Path, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    before = contents(project)
    outcome = lingolite("quantize", *arguments, "--out", "made")
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert hint in outcome.err
    assert contents(project) == before


def test_keys_that_are_missing_or_would_be_ignored_are_refused(lingolite: Command, project: Path) -> None:
    recipe = project / "recipes" / "aware.toml"
    without_options = RECIPE[: RECIPE.index("[steps.options]")]
    for text, message in (
        (RECIPE.replace('dev = "inputs.dev"\n', ""), "`qat-int8` needs text with references to choose its weights by"),
        (without_options.replace("qat-int8", "fp16"), "step `int8`, `data`: `fp16` does not train"),
    ):
        recipe.write_text(text, encoding="utf-8")
        outcome = lingolite("run", "recipes/aware.toml")
        assert outcome.code == 2
        assert message in outcome.err


def test_compared_where_there_is_text_to_train_on(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    context = JobContext(is_quiet=True)
    named = NamedTexts(data=(project / "train.tsv",), dev=project / "dev.tsv")

    def compared(named: NamedTexts) -> PlannedComparison:
        texts = find_texts(context, named)
        model = model_input(project / "model")
        test = corpus_input(context)
        inputs: dict[str, Input] = {"model": model, "test": test}
        return plan_comparison(context, texts, inputs=inputs, format="bundle", max_samples=None)

    left_out = compared(NamedTexts())
    assert "qat-int8" not in [step.id for step in left_out.job.recipe.steps]
    assert left_out.left_out["qat-int8"].startswith("it needs parallel text to train on, and none is named; name it as")
    found = compared(named)
    (step,) = (step for step in found.job.recipe.steps if step.id == "qat-int8")
    assert isinstance(step, QuantizeStep)
    assert step.data == ("inputs.train",)
    inputs = found.job.recipe.inputs
    assert inputs["train"] == {"pairs": str(project / "train.tsv")}
    assert inputs["dev"] == {"tsv": str(project / "dev.tsv"), "languages": ("en", "da")}
    assert {"qat-int8-int8", "qat-int8-onnx"} <= {step.id for step in found.job.recipe.steps}
    assert "qat-int8" not in found.left_out


def test_named_languages_are_those_of_the_projects_texts_too(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text(encoding="utf-8") + '\n[dev]\ntsv = "dev.tsv"\n', encoding="utf-8")
    named = NamedTexts(data=(project / "train.tsv",), languages=("da", "en"))
    found = find_texts(JobContext(is_quiet=True), named).found
    assert found[TRAINING].languages == ("da", "en")
    assert found[TRAINING].inputs["dev"].languages == ("da", "en")
    assert found[CALIBRATION].inputs[CALIBRATION].languages == ("da", "en")
