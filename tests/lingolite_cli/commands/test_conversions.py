"""`quantize`, `export`, `import` and `init`: commands that write a directory, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents

from lingolite_cli.artifact import Artifact

Command = Callable[..., Outcome]


def test_quantize_makes_an_artifact_and_says_how_small_it_is(lingolite: Command, project: Path) -> None:
    outcome = lingolite("quantize", "--method", "fp16", "--out", "made/half")
    assert outcome.code == 0
    artifact = Artifact.open(project / "made" / "half")
    source = Artifact.open(project / "model")
    assert artifact.manifest.format == "bundle-fp16"
    assert artifact.manifest.made_by.inputs == {"source": source.digest}
    ratio = artifact.size_bytes / source.size_bytes
    assert outcome.out == (
        f"made/half: bundle-fp16, {artifact.size_bytes / 1e6:.2f} MB, "
        f"{ratio:.3f} of the source's {source.size_bytes / 1e6:.2f} MB\n"
    )


def test_the_same_work_gives_the_same_bytes(lingolite: Command, project: Path) -> None:
    for name in ("first", "second"):
        assert lingolite("quantize", "--out", name).code == 0
    assert contents(project / "first") == contents(project / "second")


def test_what_exists_is_kept_unless_it_may_be_replaced(lingolite: Command, project: Path) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "notes").write_text("precious")
    before = contents(project)
    outcome = lingolite("quantize", "--out", "mine")
    assert outcome == Outcome(2, "", "error: mine exists\n\nhint: choose another place, or pass --overwrite\n")
    assert contents(project) == before
    for _ in range(2):
        assert lingolite("quantize", "--out", "made", "--overwrite").code == 0
    assert Artifact.open(project / "made").manifest.format == "bundle-int8"


@pytest.mark.parametrize(
    "command", [("quantize",), ("import", "none.pt", "--tokenizer", "model")], ids=["quantize", "import"]
)
def test_what_is_no_artifact_is_never_replaced(lingolite: Command, project: Path, command: tuple[str, ...]) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "notes").write_text("precious")
    before = contents(project)
    for out in ("mine", "test.tsv"):
        outcome = lingolite(*command, "--out", out, "--overwrite")
        assert outcome.code == 2
        assert f"error: {out} is not an artifact, so it is not replaced: it has no lingolite.json" in outcome.err
    assert contents(project) == before


def test_an_empty_directory_may_be_replaced(lingolite: Command, project: Path) -> None:
    (project / "empty").mkdir()
    assert lingolite("quantize", "--out", "empty", "--overwrite").code == 0
    assert Artifact.open(project / "empty").manifest.format == "bundle-int8"


def test_export_makes_graphs_and_shows_their_checks(lingolite: Command, project: Path) -> None:
    outcome = lingolite("export", "--out", "graphs", "--option", "test=false")
    assert outcome.code == 0, outcome.err
    artifact = Artifact.open(project / "graphs")
    assert artifact.manifest.format == "onnx"
    assert {Path(name).suffix for name in artifact.manifest.files} >= {".onnx", ".model"}
    details = dict(line.strip().split(": ", 1) for line in outcome.out.splitlines()[1:])
    assert details["graphs"] == "encoder.onnx, decoder.onnx"
    assert details["exact"] == "false", "the graphs are float"
    assert details["checks"] == "graph portable, checked_by onnx.checker+onnxruntime"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("quantize", "--method", "int9", "--out", "x"), 2, "there is no quantizer called `int9`"),
        (("quantize", "--option", "bits=4", "--out", "x"), 2, "unknown key `bits` = 4"),
        (("export", "--format", "onxx", "--out", "x"), 2, "there is no exporter called `onxx`"),
        (("quantize", "--model", "recipes", "--out", "x"), 2, "is not an artifact: it has no lingolite.json"),
        (("quantize", "--out", "lingolite.toml/x"), 2, "cannot write to lingolite.toml"),
        (("import", "none.pt", "--tokenizer", "model", "--out", "x"), 2, "none.pt"),
        (("import", "test.tsv", "--tokenizer", "model", "--out", "x"), 2, "test.tsv"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_leaves_nothing(
    lingolite: Command, project: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    before = contents(project)
    outcome = lingolite(*arguments)
    assert outcome.code == code, outcome.err
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not (project / "x").exists()
    after = {name: data for name, data in contents(project).items() if not name.startswith(".lingolite/")}
    assert after == before


def test_import_makes_a_bundle_of_a_checkpoint(
    lingolite: Command, project: Path, existing_checkpoint: Path, small_tokenizer: Path
) -> None:
    outcome = lingolite("import", existing_checkpoint, "--tokenizer", small_tokenizer, "--out", "imported", "--json")
    assert outcome.code == 0, outcome.err
    artifact = Artifact.open(project / "imported")
    assert outcome.json["digest"] == artifact.digest
    assert artifact.manifest.languages == ("en", "da")
    translated = lingolite("translate", "the cat", "--model", "imported", "--backend", "cached", "--max-length", "3")
    assert translated.code == 0
    assert len(translated.out.splitlines()) == 1


def test_init_makes_a_project_whose_recipe_is_valid(lingolite: Command, project: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    outcome = lingolite("init", ".", "--model", "../project/model", "--test", "../project/test.tsv", cwd=new)
    assert outcome.code == 0
    assert outcome.out == "wrote lingolite.toml\nwrote recipes/mobile.toml\n"
    assert "next: lingolite run recipes/mobile.toml" in outcome.err
    checked = lingolite("recipes", "check", "recipes/mobile.toml", cwd=new)
    assert checked.code == 0, checked.err
    odd = new / 'a "model"'
    odd.symlink_to(project / "model", target_is_directory=True)
    (new / "odd").mkdir()
    (new / "odd" / "test.tsv").write_bytes((project / "test.tsv").read_bytes())
    assert lingolite("init", "odd", "--model", odd.name, cwd=new).code == 0
    before = contents(new)
    again = lingolite("init", "--model", "../project/model", "--test", "../project/test.tsv", cwd=new)
    assert again.code == 2
    assert again.err == "error: lingolite.toml exists\n\nhint: nothing was written; choose another directory\n"
    assert contents(new) == before
