"""Networks of every family: PyTorch against the reference, and what a recording says of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.recording import record
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.architecture.tensors import matrix_keys, shared_inputs, tensor_shapes
from lingolite_cli.arrays import Array
from lingolite_cli.model import MobileTranslationModel
from lingolite_cli.model.parameters import model_from_tensors
from lingolite_cli.testing.tiny import random_weights
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.rows import quantize_tensors
from tests.families import FAMILIES

_ALL = pytest.mark.parametrize("architecture", FAMILIES.values(), ids=FAMILIES)


def _batch(architecture: Architecture) -> tuple[Array, Array, Array]:
    """Sources [3, 7] with padding, their mask, and targets [3, 5]."""
    random = np.random.default_rng(1)
    mask = np.arange(7) < np.array([[7], [4], [1]])
    source = np.where(mask, random.integers(4, architecture.num_source_tokens, (3, 7)), architecture.pad_token_id)
    return source, mask, random.integers(4, architecture.vocab_size, (3, 5))


def _reference(architecture: Architecture, tensors: dict[str, Array]) -> Array:
    source, mask, target = _batch(architecture)
    reference = Reference(Weights(architecture, tensors))
    return reference.decode(target, reference.encode(source, mask), mask)


def _model(architecture: Architecture, tensors: dict[str, Array]) -> MobileTranslationModel:
    return model_from_tensors(
        architecture, {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}, where="random weights"
    )


@_ALL
def test_pytorch_computes_the_reference_at_once_and_step_by_step(architecture: Architecture) -> None:
    tensors = random_weights(architecture, seed=5)
    expected = _reference(architecture, tensors)
    model = _model(architecture, tensors)
    source, mask, target = (torch.from_numpy(array) for array in _batch(architecture))
    largest = np.abs(expected).max()
    with torch.inference_mode():
        whole = model(source, target, mask).numpy()
        np.testing.assert_allclose(whole, expected, rtol=0, atol=1e-4 * largest)
        cache, steps = None, []
        for chunk in target.split([2, 1, 2], dim=1):
            logits, cache = model(source, chunk, mask, past_key_values=cache, use_cache=True)
            steps.append(logits)
        np.testing.assert_allclose(torch.cat(steps, dim=1).numpy(), expected, rtol=0, atol=1e-4 * largest)


@_ALL
def test_int8_in_pytorch_is_the_int8_of_the_reference(architecture: Architecture) -> None:
    floats = random_weights(architecture, seed=5)
    quantized = quantize_tensors(floats, matrix_keys(architecture))
    expected, plain = _reference(architecture, quantized), _reference(architecture, floats)
    source, mask, target = (torch.from_numpy(array) for array in _batch(architecture))
    with torch.inference_mode():
        found = _model(architecture, quantized)(source, target, mask).numpy()
    # Float sums round differently, so an activation near a tie may become the next integer: few logits, and little.
    assert np.abs(found - expected).mean() < 0.05 * np.abs(expected - plain).mean()


@_ALL
def test_the_state_dict_of_a_network_is_what_its_description_says(architecture: Architecture) -> None:
    parameters = {
        name: tuple(tensor.shape)
        for name, tensor in MobileTranslationModel.from_config(architecture).named_parameters()
    }
    assert parameters == tensor_shapes(architecture)
    assert list(parameters) == list(tensor_shapes(architecture))


@_ALL
def test_the_reference_shows_the_operations_that_a_recording_names_in_its_order(architecture: Architecture) -> None:
    seen: dict[str, tuple[int, ...]] = {}

    def observe(name: str, values: Array) -> Array:
        seen[name] = values.shape[:2]
        return values

    source, mask, target = _batch(architecture)
    reference = Reference(Weights(architecture, random_weights(architecture, seed=5)), observer=observe)
    reference.decode(target, reference.encode(source, mask), mask)
    operations = record(architecture).operations
    assert seen.keys() == operations.keys()
    assert {name: shape for name, shape in seen.items()} == {
        name: source.shape if operation.reads_source else target.shape for name, operation in operations.items()
    }
    for stack in ("encoder.", "decoder."):
        # Keys and values of the source are computed once in a decoder, and layer by layer in the reference.
        of_stack = [name for name in operations if name.startswith(stack) and ".cross_attn" not in name]
        assert of_stack == [name for name in seen if name in of_stack]


@_ALL
def test_every_matrix_that_is_multiplied_reads_one_input(architecture: Architecture) -> None:
    linears = [name for group in shared_inputs(architecture) for name in group]
    assert len(linears) == len(set(linears))
    looked_up = {"encoder.embedding.weight", "decoder.embedding.weight"}
    assert {f"{name}.weight" for name in linears} | looked_up >= set(matrix_keys(architecture))


@_ALL
def test_one_token_again_and_again_gives_equal_logits_where_an_architecture_says_so(architecture: Architecture) -> None:
    source, mask, _ = _batch(architecture)
    reference = Reference(Weights(architecture, random_weights(architecture, seed=5)))
    logits = reference.decode(np.full((3, 6), 9), reference.encode(source, mask), mask)
    assert np.allclose(logits, logits[:, :1], rtol=0, atol=1e-4) == architecture.repeats_are_equal
