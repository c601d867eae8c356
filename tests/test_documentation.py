"""The README and the guides, held to the code: commands, options, keys and examples are tried."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import typer
from lingolite_serve.options import HttpOptions
from lingolite_torch.options import GptqInt4Options

from lingolite_cli.app import app
from lingolite_cli.artifact import Artifact, Quantization
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.evaluation.faults import FAULT_KINDS
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.recipe.kinds import KINDS
from lingolite_cli.training.options import PairsSpec, ScratchOptions, TextOptions, TrainingOptions
from lingolite_cli.views.budgets import budgets_markdown, served_budgets_markdown
from lingolite_cli.weights.options import StaticInt8Options

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def guide(name: str) -> str:
    """The text of a guide."""
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """(document, command line) of every `lingolite …` in a shell block or in backquotes."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        lines = [line.split("#")[0] for block in blocks(text, "sh") for line in block.splitlines()]
        spans = re.findall(r"`(lingolite [^`]*)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
        for line in [*lines, *(span.replace("\n", " ") for span in spans)]:
            found += [
                (document.name, part.strip()) for part in line.split("&&") if part.strip().startswith("lingolite ")
            ]
    return sorted(set(found))


@pytest.mark.parametrize(("document", "line"), commands())
def test_documented_command_exists_with_its_options(document: str, line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = iter(shlex.split(line)[1:])
    for word in words:
        name = word.split("=")[0]
        if name.startswith("-"):
            options = {
                option: parameter
                for parameter in command.params
                for option in (*parameter.opts, *parameter.secondary_opts)
            }
            assert name in options, f"{document}: `{line}`: {command.name} has no {name}"
            if "=" not in word and not getattr(options[name], "is_flag", True):
                assert next(words, None) is not None, f"{document}: `{line}`: {name} has no value"
        elif hasattr(command, "commands"):
            assert word in command.commands, f"{document}: `{line}`: there is no command {word}"
            command = command.commands[word]


@pytest.mark.parametrize("struct", [kind.table for kind in KINDS.values()])
def test_every_key_of_a_step_is_documented(struct: Any) -> None:
    text = guide("recipes")
    keys = [field.encode_name for field in msgspec.structs.fields(struct)]
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_every_budget_is_in_the_help_of_verify() -> None:
    command: Any = typer.main.get_command(app)
    words = re.findall(r"[\w-]+", command.commands["verify"].epilog)
    assert [name for name, budget in BUDGETS.items() if (budget.pattern or name) not in words] == []
    assert [kind for kind in FAULT_KINDS if kind not in words] == []


@pytest.mark.parametrize("struct", [TrainingOptions, TextOptions, ScratchOptions, PairsSpec])
def test_every_option_of_training_is_documented(struct: Any) -> None:
    text = guide("training")
    keys = [field.encode_name for field in msgspec.structs.fields(struct)]
    assert [key for key in keys if f"`{key}`" not in text] == []


@pytest.mark.parametrize("struct", [StaticInt8Options, GptqInt4Options])
def test_every_option_of_a_calibrated_quantizer_is_documented(struct: Any) -> None:
    text = guide("quantization")
    fields = msgspec.structs.fields(struct)
    assert [field.encode_name for field in fields if f"\n| `{field.encode_name}` |" not in text] == []


def test_the_table_of_budgets_is_that_of_the_code() -> None:
    text = guide("recipes")
    assert budgets_markdown() in text, f"put this table into docs/recipes.md:\n{budgets_markdown()}"
    assert [kind for kind in FAULT_KINDS if f"`new_{kind}_max`" not in text] == []


def test_the_table_of_budgets_on_what_was_served_is_that_of_the_code() -> None:
    assert served_budgets_markdown() in guide("serving"), f"put this into docs/serving.md:\n{served_budgets_markdown()}"


def test_every_option_of_the_server_is_documented() -> None:
    fields = msgspec.structs.fields(HttpOptions)
    documented = guide("serving")
    assert [
        field.encode_name
        for field in fields
        if f"`{field.encode_name}`" not in documented and f"--{field.encode_name}" not in documented
    ] == []


def test_plugin_of_the_guide_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lingolite_exact"
    package.mkdir()
    for block in blocks(guide("plugins"), "python"):
        header = re.match(r"# lingolite_exact/(\S+?\.py)", block)
        if header:
            (package / header[1]).write_text(block, encoding="utf-8")
    (project,) = (block for block in blocks(guide("plugins"), "toml") if "lingolite-exact" in block)
    entry_point = re.search(r'^exact = "(.*)"$', project, flags=re.MULTILINE)
    assert entry_point is not None
    installed = tmp_path / "lingolite_exact-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: lingolite-exact\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text(f"[lingolite]\nexact = {entry_point[1]}\n")
    monkeypatch.syspath_prepend(tmp_path)

    loaded = load_registry().resolve("metric", "exact")

    assert (loaded.origin.distribution, loaded.origin.version) == ("lingolite-exact", "1.0")
    score = loaded.create().score(["a", "b", "c", "d"], [["a", "x", "c", "x"], ["y", "b", "y", "x"]])
    assert score.value == 75.0


def test_python_of_the_guide_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in blocks(guide("python"), "python") if "from lingolite_cli import" in block)
    names: dict[str, Any] = {
        "src_input_ids": torch.tensor([[6, 4, 540, 270, 350, 2, 7, 5]]),
        "tgt_input_ids": torch.tensor([[1]]),
        "src_attention_mask": torch.ones(1, 8, dtype=torch.bool),
    }
    exec(compile(block, "docs/python.md", "exec"), names)

    assert capsys.readouterr().out.startswith("Åbn filen\n")
    assert names["logits"].shape == (1, 1, 8000)
    assert names["scores"]["num_samples"] == 32
    assert names["tokens"][0, 0] == 1
    assert (tmp_path / "exported" / "decoder.onnx").is_file()


def test_static_quantization_of_the_guide_makes_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Artifact
) -> None:
    (tmp_path / "model").symlink_to(tiny.path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in blocks(guide("quantization"), "python") if "apply_static_quantization" in block)
    exec(compile(block, "docs/quantization.md", "exec"), {})
    assert Artifact.open("model-static").manifest.format == "bundle-static-int8"


def test_training_loop_of_the_guide_makes_an_int8_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Artifact
) -> None:
    (tmp_path / "model").symlink_to(tiny.path, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    (block,) = (block for block in blocks(guide("quantization"), "python") if "convert_qat_model" in block)
    source, target = torch.tensor([[6, 4, 31, 2, 7, 5]]), torch.tensor([[1, 40, 9, 2]])
    names: dict[str, Any] = {"batches": [(source, target)] * 3}
    exec(compile(block, "docs/quantization.md", "exec"), names)

    manifest = Artifact.open("model-int8").manifest
    assert manifest.format == "bundle-int8"
    assert manifest.quantization == Quantization("qat-int8")
