"""What tests of several packages share: the existing checkpoint, a small tokenizer, and the bundle of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from lingolite_cli.artifact import Artifact

EXISTING = Path(__file__).parent / "data" / "existing-checkpoint"


@pytest.fixture(scope="session")
def existing_checkpoint() -> Path:
    """A checkpoint with random weights, written by the code that LingoLite checkpoints come from."""
    return EXISTING / "checkpoint.pt"


@pytest.fixture(scope="session")
def expected() -> dict[str, np.ndarray]:
    """What that code computes with it; see the README beside it."""
    with np.load(EXISTING / "expected.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def small_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model of 97 pieces, as many as the existing checkpoint has, for `en` and `da`."""
    directory = tmp_path_factory.mktemp("tokenizer")
    words = "the cat sat on a mat dog ran in fog red house blue boat katten sad på måtten hund løb tåge hus båd"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(
            [words, words[::-1], "<>/0123456789 abcdefghijklmnopqrstuvwxyzæøå ABCDEFGHIJKLMNOPQRSTUVWXYZ"] * 40
        ),
        model_prefix=str(directory / "small"),
        vocab_size=97,
        character_coverage=1.0,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        user_defined_symbols=["<src>", "<tgt>", "<en>", "<da>"],
        minloglevel=2,
    )
    return directory / "small.model"


@pytest.fixture(scope="session")
def existing_bundle(
    existing_checkpoint: Path, small_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Artifact:
    """The existing checkpoint as a bundle. Not to be written to."""
    from lingolite_cli.model import import_checkpoint

    return import_checkpoint(existing_checkpoint, small_tokenizer, tmp_path_factory.mktemp("b") / "bundle")
