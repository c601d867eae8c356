"""Small models with random weights."""

from __future__ import annotations

import pytest
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.model import MobileTranslationModel

SMALL = Architecture(
    vocab_size=97,
    d_model=24,
    n_encoder_layers=2,
    n_decoder_layers=3,
    n_heads=6,
    n_kv_heads=2,
    d_ff=40,
    max_seq_len=32,
)


@pytest.fixture
def small_model() -> MobileTranslationModel:
    """Random weights that are large enough for attention to matter."""
    torch.manual_seed(3)
    model = MobileTranslationModel.from_config(SMALL).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7)
    return model


@pytest.fixture(scope="session")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Sources of 7, 4 and 5 tokens, padded on the right, and their mask."""
    ids = torch.randint(4, 97, (3, 7), generator=torch.Generator().manual_seed(5))
    mask = torch.arange(7) < torch.tensor([[7], [4], [5]])
    return ids.masked_fill(~mask, 0), mask
