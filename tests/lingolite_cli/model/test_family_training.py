"""Training of every family whose decoder has self-attention, with fake quantization and without; copies of models."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import (
    MobileTranslationModel,
    apply_dynamic_quantization,
    convert_qat_model,
    prepare_model_for_qat,
)
from lingolite_cli.model.parameters import model_from_tensors
from lingolite_cli.testing.tiny import random_weights
from tests.families import FAMILIES

_ATTENTION = {name: one for name, one in FAMILIES.items() if one.decoder_recurrence == "attention"}


def _model(architecture: Architecture) -> MobileTranslationModel:
    tensors = {name: torch.from_numpy(tensor) for name, tensor in random_weights(architecture, seed=5).items()}
    return model_from_tensors(architecture, tensors, where="random weights")


def _batch(architecture: Architecture) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources [2, 6] with padding, and targets [2, 5]."""
    random = np.random.default_rng(4)
    source = random.integers(4, architecture.num_source_tokens, (2, 6))
    source[1, 4:] = architecture.pad_token_id
    return torch.from_numpy(source), torch.from_numpy(random.integers(4, architecture.vocab_size, (2, 5)))


@pytest.mark.parametrize("architecture", _ATTENTION.values(), ids=_ATTENTION)
def test_every_parameter_gets_a_gradient(architecture: Architecture) -> None:
    model = _model(architecture).train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    model.compute_loss(*_batch(architecture), label_smoothing=0.1).backward()
    missing = [name for name, one in model.named_parameters() if one.grad is None or not bool(one.grad.abs().sum() > 0)]
    # Softmax takes no notice of what is added to all scores of a query, which the bias of keys is.
    assert [name for name in missing if not name.endswith("k_proj.bias")] == []


@pytest.mark.parametrize("architecture", _ATTENTION.values(), ids=_ATTENTION)
def test_a_model_in_quantization_aware_training_gives_the_bits_of_its_int8_model(architecture: Architecture) -> None:
    prepared = prepare_model_for_qat(_model(architecture))
    source, target = _batch(architecture)
    prepared.compute_loss(source, target).backward()
    with torch.inference_mode():
        expected = convert_qat_model(prepared)(source, target)
        assert torch.equal(prepared.eval()(source, target), expected)
        assert torch.equal(apply_dynamic_quantization(_model(architecture))(source, target), expected)


def test_recurrent_decoders_are_refused_by_name() -> None:
    with pytest.raises(LingoLiteError, match=r"quantization-aware training .* lacks decoder_recurrence ssru"):
        prepare_model_for_qat(_model(FAMILIES["firefox"]))


@pytest.mark.parametrize("name", ["lingolite", "firefox"])
def test_a_copy_of_a_model_computes_with_its_own_weights(name: str) -> None:
    model, batch = _model(FAMILIES[name]), _batch(FAMILIES[name])
    with torch.inference_mode():
        before = model(*batch)
        copied = deepcopy(model)
        for parameter in copied.parameters():
            parameter.data.mul_(0.5)
        assert torch.equal(model(*batch), before)
        assert not torch.equal(copied(*batch), before)
