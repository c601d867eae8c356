"""The core without its extras: what works where PyTorch and matplotlib cannot be imported, and what says it cannot.

Each command runs in a process whose import system finds none of the blocked packages, as in an environment that lacks
them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Outcome, environment, read_run, run_command, runs, same_on_both_sides, settings, write_project

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing import SENTENCES

pytestmark = pytest.mark.installation

BLOCKER = """\
import sys
from importlib.machinery import PathFinder


class WithoutExtras(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "matplotlib"):
            return None
        return PathFinder.find_spec(name, path, target)


sys.meta_path[:] = [WithoutExtras if finder is PathFinder else finder for finder in sys.meta_path]
"""

RECIPE = """\
schema = 1
name = "light"

[inputs]
model = { bundle = "model" }
test = { tsv = "test.tsv", languages = ["en", "da"] }

[[steps]]
id = "float"
uses = "export"
model = "inputs.model"

[[steps]]
id = "baseline"
uses = "evaluate"
model = "float"

[[steps]]
id = "int8"
uses = "quantize"
method = "dynamic-int8"

[[steps]]
id = "onnx"
uses = "export"
model = "int8"

[[steps]]
id = "shipped"
uses = "evaluate"
model = "onnx"

[[steps]]
id = "verify"
uses = "verify"
reference = "baseline"
candidate = "shipped"
allow_implausible_reference = true
[steps.budget]
size_ratio_max = 0.9

[[steps]]
id = "speed"
uses = "benchmark"
num_sentences = 2
rounds = 1
systems = [
    { model = "float", backend = "onnx", name = "float" },
    { model = "inputs.model", backend = "cached", if_installed = true },
    { model = "onnx", backend = "onnx", name = "int8" },
]

[[steps]]
id = "report"
uses = "report"
reporters = ["html", "markdown", "junit"]
"""

TRAINING = """\
schema = 1
name = "t"

[inputs]
model = { bundle = "model" }
train = { pairs = "test.tsv" }

[[steps]]
id = "learn"
uses = "train"
model = "inputs.model"
options = { max_steps = 1 }
"""


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory whose `sitecustomize` keeps the extras from being found."""
    directory = tmp_path_factory.mktemp("blocked")
    (directory / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    return directory


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory, tiny: Artifact) -> Path:
    """A project that names no backend."""
    files = {
        "light.toml": RECIPE,
        "train.toml": TRAINING,
        "test.tsv": same_on_both_sides(SENTENCES),
        "some.pt": "PK",
    }
    return write_project(tmp_path_factory.mktemp("light"), files, settings=settings(), bundle=tiny)


@pytest.fixture(scope="module")
def run(light: Path, blocked: Path) -> Outcome:
    """The main flow, without the extras."""
    return run_command("run", "light.toml", cwd=light, plugins=[blocked])


def test_the_blocked_packages_are_really_out_of_reach(blocked: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import torch"], env=environment([blocked]), capture_output=True, text=True, check=False
    )
    assert "No module named 'torch'" in done.stderr


def test_the_main_flow_runs_from_the_bundle_to_the_reports(run: Outcome, light: Path) -> None:
    assert run.code == 0, run.err
    manifest = read_run(runs(light, "light")[0])
    assert [step.id for step in manifest.steps][-2:] == ["speed", "report"]
    directory = runs(light, "light")[0]
    assert (directory / "report.md").stat().st_size > 1000
    assert (directory / "junit.xml").is_file()


def test_a_report_without_matplotlib_says_what_its_figures_need(run: Outcome, light: Path) -> None:
    page = (runs(light, "light")[0] / "report.html").read_text(encoding="utf-8")
    assert "This page has no figures" in page
    assert "pip install &#34;lingolite[plots]&#34;" in page
    assert "<svg" not in page


def test_a_benchmark_leaves_out_what_is_not_installed(run: Outcome, light: Path, blocked: Path) -> None:
    (speed,) = (step for step in read_run(runs(light, "light")[0]).steps if step.id == "speed")
    assert [system.name for system in speed.result.systems] == ["float", "int8"]  # type: ignore[union-attr]


def test_bundles_and_exported_files_are_translated_evaluated_and_verified_without_a_backend_being_named(
    run: Outcome, light: Path, blocked: Path
) -> None:
    onnx = runs(light, "light")[0] / "artifacts" / "onnx"
    int8 = runs(light, "light")[0] / "artifacts" / "int8"
    translated = [
        run_command("translate", "--model", model, SENTENCES[0], cwd=light, plugins=[blocked])
        for model in (light / "model", int8, onnx)
    ]
    assert [outcome.code for outcome in translated] == [0, 0, 0], translated
    assert translated[1].out == translated[2].out, "int8 has the same tokens wherever it comes from"
    evaluated = run_command("eval", "--model", light / "model", "--json", cwd=light, plugins=[blocked])
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json["backend"] == "onnx"
    for candidate in (int8, onnx):
        asked = ("verify", candidate, "--budget", "size_ratio_max=0.9", "--allow-implausible-reference", "--json")
        verified = run_command(*asked, cwd=light, plugins=[blocked])
        assert verified.code == 0, verified.err


@pytest.mark.parametrize("method", ["dynamic-int8", "int4", "fp16", "bf16", "mixed"])
def test_quantizers_of_weights_alone_work(light: Path, blocked: Path, method: str, tmp_path: Path) -> None:
    done = run_command("quantize", "--method", method, "--out", tmp_path / "made", cwd=light, plugins=[blocked])
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("import", "none.pt", "--tokenizer", "none", "--out", "made"), "torch"),
        (("translate", "--backend", "cached", "Hi"), "torch"),
        (("eval", "--model", "some.pt", "--tokenizer", "model"), "torch"),
        (("eval", "--no-cache"), "torch"),
        (("quantize", "--method", "gptq-int4", "--out", "made"), "torch"),
        (("quantize", "--method", "static-int8", "--out", "made"), "torch"),
        (("quantize", "--method", "qat-int8", "--out", "made"), "torch"),
        (("quantize", "--search", "--source", "test.tsv", "--out", "made"), "torch"),
        (("train", "train.toml"), "torch"),
        (("recipes", "check", "train.toml"), "torch"),
        (("bench", "--plot", "speed.svg"), "plots"),
        (("history", "--plot", "history.html"), "plots"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_what_needs_an_extra_says_so_before_any_work(
    light: Path, blocked: Path, arguments: tuple[str, ...], extra: str
) -> None:
    done = run_command(*arguments, cwd=light, plugins=[blocked])
    assert done.code == 4, done.err
    assert f'pip install "lingolite[{extra}]"' in done.err
    assert "Traceback" not in done.err
    assert not (light / "made").exists()


def test_a_project_that_names_a_backend_of_torch_runs_its_exported_files(
    run: Outcome, light: Path, blocked: Path, tmp_path: Path
) -> None:
    (tmp_path / "lingolite.toml").write_text(
        'schema = 1\nlanguages = ["en", "da"]\n[defaults.evaluate]\nbackend = "cached"\n', encoding="utf-8"
    )
    onnx = runs(light, "light")[0] / "artifacts" / "onnx"
    exported = run_command("translate", "--model", onnx, "the cat", cwd=tmp_path, plugins=[blocked])
    assert exported.code == 0, exported.err
    bundle = run_command("translate", "--model", light / "model", "the cat", cwd=tmp_path, plugins=[blocked])
    assert bundle.code == 4
    assert "defaults.evaluate.backend" in bundle.err


def test_the_diagnosis_tells_what_is_missing_and_what_it_would_give(light: Path, blocked: Path) -> None:
    done = run_command("doctor", cwd=light, plugins=[blocked])
    assert done.code == 0, done.err
    assert "not installed: torch, which gives training" in done.out
    assert 'pip install "lingolite[plots]"' in done.out


@pytest.mark.parametrize("name", ["load_bundle", "MobileTranslationModel", "prepare_model_for_qat", "save_bundle"])
def test_the_python_names_that_need_torch_name_the_extra(blocked: Path, name: str) -> None:
    script = (
        f"try:\n    from lingolite_cli import {name}\n"
        "except ImportError as error:\n    print(type(error).__name__, error, error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment([blocked]), capture_output=True, text=True, check=True
    )
    assert f"`lingolite_cli.{name}` needs torch" in done.stdout
    assert 'pip install "lingolite[torch]"' in done.stdout
