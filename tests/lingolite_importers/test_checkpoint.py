"""LingoLite checkpoints are imported by an importer like any other, and found by looking."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from command_line import Outcome

from lingolite_cli.model import load_bundle
from lingolite_cli.testing import ImporterContract

Command = Callable[..., Outcome]
STARTER = Path(__file__).parents[2] / "recipes" / "starter-en-da" / "model"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter as a state dict."""
    path = tmp_path_factory.mktemp("checkpoint") / "starter.pt"
    torch.save(load_bundle(STARTER).state_dict(), path)
    return path


class TestCheckpoints(ImporterContract):
    plugin = "lingolite"
    options: ClassVar[dict[str, object]] = {"tokenizer": str(STARTER), "n_heads": 4, "licence": "GPL-3.0-or-later"}

    @pytest.fixture
    def model(self, checkpoint: Path, tmp_path: Path) -> Path:
        (tmp_path / "model").mkdir()
        return Path(shutil.copy(checkpoint, tmp_path / "model" / "starter.pt"))

    def test_the_weights_are_those_of_the_model(self, model: Path, tmp_path: Path) -> None:
        made = self.write(model, tmp_path / "bundle")
        assert made.weights_path.read_bytes() == (STARTER / "model.safetensors").read_bytes()
        assert made.manifest.licence == "GPL-3.0-or-later"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone",), "no such file or directory: gone"),
        (("test.tsv",), "no importer recognizes test.tsv"),
        (("test.tsv", "--from", "lingolight"), "there is no importer called `lingolight`"),
        (("test.tsv", "--from", "lingolite"), "`tokenizer`"),
        (("model", "--tokenizer", "model"), "model is a directory, not a checkpoint"),
    ],
)
def test_what_no_importer_reads_is_refused(
    lingolite: Command, project: Path, arguments: tuple[str, ...], message: str
) -> None:
    outcome = lingolite("import", *arguments, "--out", "made")
    assert outcome.code == 2, outcome.err
    assert message in outcome.err
    assert not (project / "made").exists()


def test_a_tokenizer_is_not_written_over(lingolite: Command, project: Path, checkpoint: Path) -> None:
    arguments = ("import", checkpoint, "--tokenizer", "model/tokenizer.model", "--n-heads", "4")
    outcome = lingolite(*arguments, "--out", "model", "--overwrite")
    assert outcome.code == 2
    assert (project / "model" / "tokenizer.model").is_file()
