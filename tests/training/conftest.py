"""Text to train on, and models small enough for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lingolite_cli.architecture import ModelConfig
from lingolite_cli.model import MobileTranslationModel
from lingolite_cli.training.examples import Examples

SMALL = ModelConfig(
    vocab_size=41, d_model=16, n_encoder_layers=2, n_decoder_layers=1, n_heads=4, n_kv_heads=2, d_ff=24, max_seq_len=24
)


@pytest.fixture
def model() -> MobileTranslationModel:
    """Random weights, the same for each test, with dropout."""
    torch.manual_seed(5)
    return MobileTranslationModel.from_config(SMALL)


@pytest.fixture(scope="session")
def examples() -> Examples:
    """31 pairs of different lengths; every third is in half of the epochs only."""
    random = torch.Generator().manual_seed(7)

    def draw(length: int) -> list[int]:
        return torch.randint(8, SMALL.vocab_size, (length,), generator=random).tolist()

    sources = [draw(3 + index % 9) for index in range(31)]
    targets = [[*draw(2 + index % 7), 2] for index in range(31)]
    return Examples(sources, targets, shares=[0.5 if index % 3 == 0 else 1.0 for index in range(31)], members=range(31))


WORDS = "the cat sat on a mat dog ran in fog red house blue boat".split()


@pytest.fixture(scope="session")
def parallel_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 pairs whose target is the source's words reversed, as TSV."""
    lines = []
    for index in range(30):
        words = [WORDS[(index * step + shift) % len(WORDS)] for step, shift in ((1, 0), (3, 5), (5, 2), (11, 9))]
        lines.append(f"{' '.join(words)}\t{' '.join(reversed(words))}\n")
    path = tmp_path_factory.mktemp("text") / "train.tsv"
    path.write_text("".join(lines), encoding="utf-8")
    return path
