"""`lingolite import` shows what a model makes of a few sentences, and says so where that is implausible."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command_line import Outcome

from lingolite_cli.artifact import Artifact
from lingolite_cli.corpora.sample_sentences import sample_sentences
from lingolite_cli.model import load_bundle

Command = Callable[..., Outcome]
STARTER = Path(__file__).parents[3] / "recipes" / "starter-en-da" / "model"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter as a state dict that does not tell its four heads."""
    path = tmp_path_factory.mktemp("bare") / "bare.pt"
    torch.save(load_bundle(STARTER).state_dict(), path)
    return path


def test_a_good_model_shows_its_translations_and_no_warning(lingolite: Command, project: Path, bare: Path) -> None:
    outcome = lingolite("import", bare, "--tokenizer", STARTER, "--n-heads", "4", "--out", "good")
    assert outcome.code == 0, outcome.err
    for sentence in sample_sentences("en"):
        assert f"  en: {sentence}\n  da: " in outcome.out
    assert "Hvor er stationen?" in outcome.out
    assert "warning" not in outcome.err


@pytest.mark.parametrize("n_heads", [2, 16])
def test_a_wrong_number_of_heads_is_warned_of_and_the_right_one_named(
    lingolite: Command, project: Path, bare: Path, n_heads: int
) -> None:
    outcome = lingolite("import", bare, "--tokenizer", STARTER, "--n-heads", n_heads, "--out", "wrong", "--json")
    assert outcome.code == 0, outcome.err
    assert any("the sample translations are implausible" in warning for warning in outcome.json["warnings"])
    assert any("pass --n-heads 4" in warning for warning in outcome.json["warnings"])
    assert "warning: the sample translations are implausible" in outcome.err


def test_an_untrained_model_is_warned_of(
    lingolite: Command, project: Path, existing_checkpoint: Path, small_tokenizer: Path
) -> None:
    outcome = lingolite("import", existing_checkpoint, "--tokenizer", small_tokenizer, "--out", "untrained")
    assert outcome.code == 0
    assert "warning: the sample translations are implausible" in outcome.err


def test_a_padded_vocabulary_is_cut_and_translates_as_before(lingolite: Command, project: Path, tmp_path: Path) -> None:
    shutil.copytree(STARTER, project / "starter")
    state = load_bundle(STARTER).state_dict()
    for name in ("encoder.embedding.weight", "decoder.embedding.weight", "decoder.lm_head.weight"):
        state[name] = torch.cat((state[name], torch.full((192, 256), 0.3)))
    torch.save(state, tmp_path / "padded.pt")
    outcome = lingolite("import", tmp_path / "padded.pt", "--tokenizer", STARTER, "--n-heads", "4", "--out", "cut")
    assert outcome.code == 0, outcome.err
    assert "192 rows without a piece of the tokenizer were left out of the vocabulary" in outcome.out
    assert (
        Artifact.open(project / "cut").manifest.files["model.safetensors"]
        == Artifact.open(STARTER).manifest.files["model.safetensors"]
    )
