"""The int8 arithmetic, against integer sums in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import apply_dynamic_quantization, int8
from lingolite_cli.model.int8 import Int8Embedding, Int8Linear


def _linear(weight: np.ndarray, scale: np.ndarray) -> Int8Linear:
    layer = Int8Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": torch.from_numpy(weight), "weight_scale": torch.from_numpy(scale)})
    return layer


def _product(x: np.ndarray, weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The fixed arithmetic, with sums in int64."""
    x_scale = np.maximum(np.abs(x).max(axis=1, keepdims=True), np.float32(1e-30)) / np.float32(127)
    integers = np.rint(x / x_scale).astype(np.int64)
    sums = integers @ weight.astype(np.int64).T
    return (sums.astype(np.float32) * x_scale) * scale.T


@pytest.mark.parametrize(("num_rows", "columns", "outputs"), [(1, 32, 5), (3, 7, 33), (17, 1100, 6), (40, 64, 97)])
def test_a_linear_layer_is_exact(num_rows, columns, outputs):
    generator = np.random.default_rng(num_rows)
    x = generator.standard_normal((num_rows, columns), dtype=np.float32)
    x[0] = 0.0
    weight = generator.integers(-127, 128, (outputs, columns), dtype=np.int8)
    scale = generator.random((outputs, 1), dtype=np.float32)
    found = _linear(weight, scale)(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(found, _product(x, weight, scale))


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_values_do_not_saturate(sign):
    integers = np.full((3, 2047), sign * 127, np.int8)
    weight = np.full((9, 2047), 127, np.int8)
    for product in (int8.integer_product, int8.float_product):
        sums = product(torch.from_numpy(integers), torch.from_numpy(weight))
        np.testing.assert_array_equal(sums.numpy(), np.full((3, 9), sign * 127 * 127 * 2047))


def test_sums_in_float32_are_exact_where_int8_kernels_are_not(monkeypatch):
    generator = np.random.default_rng(2)
    integers = generator.integers(-127, 128, (3, 2500), dtype=np.int8)
    weight = generator.integers(-127, 128, (4, 2500), dtype=np.int8)
    want = integers.astype(np.int64) @ weight.astype(np.int64).T
    monkeypatch.setattr(int8, "is_int_mm_exact", lambda: False)
    found = int8.integer_product(torch.from_numpy(integers), torch.from_numpy(weight))
    assert found.dtype == torch.int32
    np.testing.assert_array_equal(found.numpy(), want)


def test_a_saturating_kernel_is_found_out(monkeypatch):
    def saturating(integers: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Adds pairs of products in 16 bits, as x86 without VNNI does after shifting integers to 0…255."""
        shifted = integers.int() + 128
        products = shifted[:, :, None] * columns.int()[None]
        pairs = products.unflatten(1, (-1, 2)).sum(dim=2).clamp(-(2**15), 2**15 - 1)
        return pairs.sum(dim=1, dtype=torch.int32) - 128 * columns.int().sum(dim=0, dtype=torch.int32)

    monkeypatch.setattr(torch, "_int_mm", saturating)
    assert not int8.is_int_mm_exact.__wrapped__()


def test_activations_are_rounded_half_to_even():
    rows = torch.tensor([[127.0, 0.5, 1.5, 2.5, -0.5, -1.5]])
    integers, scale = int8.quantize_activations(rows)
    assert scale.item() == 1.0
    assert integers.tolist() == [[127, 0, 2, 2, 0, -2]]


def test_a_row_of_activations_does_not_depend_on_the_others():
    generator = np.random.default_rng(4)
    weight = generator.integers(-127, 128, (6, 16), dtype=np.int8)
    layer = _linear(weight, np.ones((6, 1), np.float32))
    x = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    louder = x.clone()
    louder[1:] *= 100
    assert torch.equal(layer(x)[0], layer(louder)[0])


def test_an_embedding_gives_the_rows_that_were_stored():
    embedding = Int8Embedding(3, 2)
    embedding.weight.copy_(torch.tensor([[1, -2], [3, 4], [127, -127]]))
    embedding.weight_scale.copy_(torch.tensor([[0.5], [2.0], [0.25]]))
    found = embedding(torch.tensor([[2, 0]]))
    assert found.tolist() == [[[31.75, -31.75], [0.5, -1.0]]]


def test_a_quantized_model_follows_the_float_one_and_leaves_it_alone(small_model, batch):
    before = {name: value.clone() for name, value in small_model.state_dict().items()}
    quantized = apply_dynamic_quantization(small_model)
    target = torch.randint(4, 97, (3, 5), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want, found = small_model(batch[0], target), quantized(batch[0], target)
    assert (want - found).norm() < 0.1 * want.norm()
    assert not torch.equal(want, found)
    assert all(torch.equal(value, before[name]) for name, value in small_model.state_dict().items())


def test_every_matrix_of_a_quantized_model_is_int8_and_the_embedding_is_shared(small_model):
    quantized = apply_dynamic_quantization(small_model)
    assert not any(isinstance(m, torch.nn.Linear | torch.nn.Embedding) for m in quantized.modules())
    assert sum(isinstance(m, Int8Linear) for m in quantized.modules()) == 2 * 7 + 3 * 11 + 1
    shared = quantized.encoder.embedding.weight.data_ptr()
    assert quantized.decoder.embedding.weight.data_ptr() == shared
    assert quantized.decoder.lm_head.weight.data_ptr() == shared


def test_a_quantized_model_is_not_quantized_again(small_model):
    with pytest.raises(LingoLiteError, match="already quantized"):
        apply_dynamic_quantization(apply_dynamic_quantization(small_model))
