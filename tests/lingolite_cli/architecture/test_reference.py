"""The reference in numpy: against values of the code that LingoLite checkpoints come from, and against PyTorch."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.model import MobileTranslationModel, apply_dynamic_quantization, read_checkpoint
from lingolite_cli.model.parameters import stored_tensors
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.groups import quantize_groups

# Distinct sizes, and keys and values that three heads share.
_TIED = Architecture(
    vocab_size=61,
    d_model=24,
    n_encoder_layers=3,
    n_decoder_layers=2,
    n_heads=6,
    n_kv_heads=2,
    d_ff=32,
    max_seq_len=16,
    dropout=0.0,
)


def _model(config: Architecture) -> MobileTranslationModel:
    torch.manual_seed(8)
    model = MobileTranslationModel.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7).add_(0.01)  # gains of norms that are not 1 show where one is left out
    return model


def _batch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources [2, 5] with padding, their mask, and targets [2, 3]."""
    random = np.random.default_rng(1)
    mask = np.array([[True] * 5, [True, True, True, False, False]])
    return np.where(mask, random.integers(4, 61, (2, 5)), 0), mask, random.integers(4, 61, (2, 3))


def _weights(model: MobileTranslationModel) -> Weights:
    return Weights(model.config, {name: tensor.numpy() for name, tensor in stored_tensors(model).items()})


def _logits(model: MobileTranslationModel) -> np.ndarray:
    source, mask, target = (torch.from_numpy(array) for array in _batch())
    with torch.inference_mode():
        logits: np.ndarray = model(source, target, mask).numpy()
    return logits


def _reference_logits(weights: Weights) -> np.ndarray:
    source, mask, target = _batch()
    reference = Reference(weights)
    return reference.decode(target, reference.encode(source, mask), mask)


def test_it_computes_what_the_code_of_existing_checkpoints_computed(
    existing_checkpoint: Path, expected: dict[str, np.ndarray]
) -> None:
    read = read_checkpoint(existing_checkpoint)
    tensors = {name: tensor.numpy() for name, tensor in read.tensors.items()}
    reference, mask = Reference(Weights(read.config, tensors)), expected["source_mask"] == 1
    encoded = reference.encode(expected["source_ids"], mask)
    np.testing.assert_allclose(encoded[mask], expected["encoder_output"][mask], atol=1e-4, rtol=0)
    logits = reference.decode(expected["target_ids"], encoded, mask)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_float_logits_are_those_of_pytorch(tie_embeddings: bool) -> None:
    model = _model(msgspec.structs.replace(_TIED, tie_embeddings=tie_embeddings))
    expected = _logits(model)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(_reference_logits(_weights(model)), expected, rtol=1e-4, atol=1e-4)


def test_int8_logits_are_those_of_pytorch() -> None:
    """Float sums round differently, so an activation near a tie may become the next integer: few logits, and little."""
    model = _model(_TIED)
    quantized = apply_dynamic_quantization(model)
    found, expected = _reference_logits(_weights(quantized)), _logits(quantized)
    rounding = np.abs(expected - _logits(model)).mean()
    assert np.abs(found - expected).mean() < 0.05 * rounding


def test_grouped_matrices_are_the_float32_that_they_stand_for() -> None:
    model = _model(msgspec.structs.replace(_TIED, d_model=48, d_ff=64))
    tensors = {name: tensor.numpy() for name, tensor in stored_tensors(model).items()}
    grouped, plain = dict(tensors), dict(tensors)
    for name, tensor in tensors.items():
        if tensor.ndim == 2:
            matrix = quantize_groups(tensor, bits=4, group_size=16, is_symmetric=False)
            grouped |= matrix.tensors(name)
            plain[name] = matrix.dequantized()
    found, expected = (_reference_logits(Weights(model.config, stored)) for stored in (grouped, plain))
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found - _logits(model)).max() > 1e-3


def test_rounding_is_asked_of_the_caller_by_the_name_of_the_matrix() -> None:
    quantized = _weights(apply_dynamic_quantization(_model(_TIED)))
    asked: list[str] = []

    def down(name: str, quotients: np.ndarray) -> np.ndarray:
        asked.append(name)
        return np.floor(quotients)

    source, mask, target = _batch()
    reference = Reference(quantized, down)
    logits = reference.decode(target, reference.encode(source, mask), mask)
    assert asked[0] == "encoder.layers.0.self_attn.q_proj"
    assert asked[-1] == "output_projection"
    assert len(asked) == 3 * 7 + 2 * 11 + 1
    assert not np.allclose(logits, _reference_logits(quantized))
