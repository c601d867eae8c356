"""Text to train on, and models small enough for it."""

from __future__ import annotations

import pytest
import torch
from pairs_in_memory import pairs_of

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.model import MobileTranslationModel
from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.training.examples import Examples

SMALL = Architecture(
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
    pairs = pairs_of(sources, targets, short=[index % 3 == 0 for index in range(31)])
    return Examples([pairs], ids=LINGOLITE.ids, short_shares=[0.5], members=[0])
