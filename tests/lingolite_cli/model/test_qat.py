"""Quantization-aware training in memory: integers, arithmetic, gradients, and a training loop of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lingolite_cli import apply_dynamic_quantization, convert_qat_model, load_bundle, prepare_model_for_qat, save_bundle
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel, int8
from lingolite_cli.model.qat import FakeQuantizedEmbedding, FakeQuantizedLinear, WeightQuantizer
from lingolite_cli.weights.rows import quantize_rows

SOURCE = torch.tensor([[6, 4, 40, 31, 2, 7, 5], [6, 4, 22, 2, 7, 5, 0]])
TARGET = torch.tensor([[1, 17, 33, 9], [1, 25, 8, 0]])


def small(*, tie_embeddings: bool = True, seed: int = 3) -> MobileTranslationModel:
    torch.manual_seed(seed)
    return MobileTranslationModel(
        vocab_size=97,
        d_model=16,
        n_encoder_layers=2,
        n_decoder_layers=1,
        n_heads=4,
        n_kv_heads=2,
        d_ff=24,
        max_seq_len=24,
        dropout=0.0,
        tie_embeddings=tie_embeddings,
    )


def train_by_hand(model: MobileTranslationModel, *, steps: int = 5) -> list[float]:
    """The loop that a user writes."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    labels = torch.tensor([[17, 33, 9, 2], [25, 8, 2, 0]])
    model.train()
    losses = []
    for _ in range(steps):
        logits = model(SOURCE, TARGET)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def integers_of_forward(model: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """What each layer rounded its weight to during one forward."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    layers = [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if isinstance(module, FakeQuantizedLinear | FakeQuantizedEmbedding)
    ]
    (quantizer,) = {id(module.quantizer): module.quantizer for _, module in layers}.values()
    rounded: list[tuple[Tensor, tuple[Tensor, Tensor]]] = []
    handle = quantizer.register_forward_hook(lambda _, inputs, output: rounded.append((inputs[0], output)))
    with torch.no_grad():
        model(SOURCE, TARGET)
    handle.remove()
    for name, module in layers:
        mine = [output for weight, output in rounded if weight is module.weight]
        assert mine, name
        assert all(torch.equal(first, second) for output in mine for first, second in zip(output, mine[0], strict=True))
        seen[f"{name}.weight"] = mine[0]
    return seen


@pytest.mark.parametrize("qconfig", ["fbgemm", "qnnpack"])
@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_converted_integers_are_those_of_the_last_forward(qconfig, tie_embeddings: bool) -> None:
    prepared = prepare_model_for_qat(small(tie_embeddings=tie_embeddings), qconfig)
    losses = train_by_hand(prepared)
    assert losses[-1] < losses[0]
    trained_with = integers_of_forward(prepared)

    state = convert_qat_model(prepared).state_dict()

    assert len(trained_with) == 3 + 2 * 7 + 11
    for name, (integers, scale) in trained_with.items():
        assert state[name].dtype == torch.int8
        assert torch.equal(state[name], integers), name
        assert torch.equal(state[f"{name}_scale"], scale), name
    if tie_embeddings:
        assert torch.equal(state["decoder.lm_head.weight"], state["encoder.embedding.weight"])


def test_fbgemm_rounds_to_the_integers_of_bundles() -> None:
    weight = torch.randn(7, 12, generator=torch.Generator().manual_seed(1)) * torch.logspace(-6, 3, 7)[:, None]
    weight[4] = 0.0
    weight[2, :3] = torch.tensor([2.5, -2.5, 127.0]) * 1e-4  # 2.5 scales are half-way between two integers
    weight[2, 3:] = 0.0
    integers, scale = WeightQuantizer(is_per_channel=True)(weight)
    expected, expected_scale = quantize_rows(weight.numpy())
    np.testing.assert_array_equal(integers.numpy(), expected)
    np.testing.assert_array_equal(scale.numpy(), expected_scale)
    assert integers[2, :3].tolist() == [2, -2, 127]


def test_qnnpack_has_one_scale_a_matrix() -> None:
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(2))
    integers, scale = WeightQuantizer(is_per_channel=False)(weight)
    one = np.float32(np.abs(weight.numpy()).max() / np.float32(127))
    np.testing.assert_array_equal(scale.numpy(), np.full((5, 1), one))
    np.testing.assert_array_equal(integers.numpy(), np.rint(weight.numpy() / one).astype(np.int8))
    assert int(integers.abs().max()) == 127


def rounded(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers and scales of the rows of a matrix, by their definition."""
    scale = np.abs(matrix).max(axis=1, keepdims=True) / np.float32(127)
    return np.rint(matrix / scale).astype(np.int64), scale


def a_layer() -> tuple[FakeQuantizedLinear, Tensor, Tensor]:
    """A layer of 24 inputs and 5 outputs, an input [2, 3, 24], and a gradient of its output."""
    generator = torch.Generator().manual_seed(4)
    layer = FakeQuantizedLinear(24, 5, quantizer=WeightQuantizer(is_per_channel=True))
    with torch.no_grad():
        layer.weight.copy_(torch.randn(5, 24, generator=generator))
    return layer, torch.randn(2, 3, 24, generator=generator), torch.randn(2, 3, 5, generator=generator)


def test_layer_computes_with_integers_and_its_gradients_pass_straight_through() -> None:
    """Against integer sums and, for the gradients, products of the rounded matrices in float64."""
    layer, x, gradient = a_layer()
    x.requires_grad_()
    y = layer(x)
    y.backward(gradient)

    rows, incoming = x.detach().numpy().reshape(6, 24), gradient.numpy().reshape(6, 5).astype(np.float64)
    (q_x, s_x), (q_w, s_w) = rounded(rows), rounded(layer.weight.detach().numpy())
    expected = (q_x @ q_w.T).astype(np.float32) * s_x * s_w.T
    np.testing.assert_array_equal(y.detach().numpy().reshape(6, 5), expected)
    assert np.abs(expected - rows @ layer.weight.detach().numpy().T).max() > 1e-3  # it was rounded
    np.testing.assert_allclose(x.grad.numpy().reshape(6, 24), incoming @ (q_w * s_w), rtol=0, atol=1e-5)
    np.testing.assert_allclose(layer.weight.grad.numpy(), incoming.T @ (q_x * s_x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("has_kernel", [True, False])
def test_bfloat16_autocast_leaves_the_rounding_alone(monkeypatch: pytest.MonkeyPatch, has_kernel: bool) -> None:
    """The product is the same to the bit, by the float sums of GPUs too; gradients have 8 bits: 2^-7 of their size."""
    monkeypatch.setattr(int8, "is_int_mm_exact", lambda: has_kernel)
    layer, x, gradient = a_layer()
    exact = layer(x)
    exact.backward(gradient)
    expected = layer.weight.grad.clone()
    layer.weight.grad = None
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        assert layer(x.bfloat16()).dtype == torch.float32
    found.backward(gradient)
    assert torch.equal(found, exact)
    difference = (layer.weight.grad - expected).abs().max()
    assert 0 < difference < expected.abs().max() / 128
    assert layer.weight.grad.dtype == torch.float32


def test_embedding_looks_up_rounded_rows_and_learns_where_it_looked() -> None:
    generator = torch.Generator().manual_seed(5)
    layer = FakeQuantizedEmbedding(9, 6, quantizer=WeightQuantizer(is_per_channel=True))
    with torch.no_grad():
        layer.weight.copy_(torch.randn(9, 6, generator=generator))
    gradient = torch.randn(2, 2, 6, generator=generator)
    found = layer(torch.tensor([[3, 7], [7, 0]]))
    found.backward(gradient)
    integers, scale = quantize_rows(layer.weight.detach().numpy())
    np.testing.assert_array_equal(found.detach().numpy(), (integers.astype(np.float32) * scale)[[[3, 7], [7, 0]]])
    expected = torch.zeros(9, 6)
    expected[3], expected[7], expected[0] = gradient[0, 0], gradient[0, 1] + gradient[1, 0], gradient[1, 1]
    assert torch.equal(layer.weight.grad, expected)


@pytest.mark.parametrize("qconfig", ["fbgemm", "qnnpack"])
def test_prepared_model_in_eval_mode_is_the_converted_one_to_the_bit(qconfig) -> None:
    prepared = prepare_model_for_qat(small(), qconfig)
    train_by_hand(prepared)
    prepared.eval()
    converted = convert_qat_model(prepared)
    with torch.no_grad():
        assert torch.equal(prepared(SOURCE, TARGET), converted(SOURCE, TARGET))
        assert torch.equal(
            prepared.generate_with_cache(SOURCE, max_length=9), converted.generate_with_cache(SOURCE, max_length=9)
        )
        # In training mode the same but for the last bits of norms and softmax, and what they move to the next integer.
        torch.testing.assert_close(prepared.train()(SOURCE, TARGET), converted(SOURCE, TARGET), atol=0.05, rtol=0)
    assert prepared.train().encoder.final_norm.compute_dtype == torch.float32


def test_untrained_model_is_that_of_dynamic_quantization() -> None:
    model = small()
    converted, dynamic = convert_qat_model(prepare_model_for_qat(model)), apply_dynamic_quantization(model)
    assert converted.state_dict().keys() == dynamic.state_dict().keys()
    for name, tensor in dynamic.state_dict().items():
        assert torch.equal(converted.state_dict()[name], tensor), name


def test_models_passed_in_do_not_change() -> None:
    model = small()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prepared = prepare_model_for_qat(model)
    assert prepared.state_dict().keys() == before.keys()
    converted = convert_qat_model(prepared)
    made = {name: tensor.clone() for name, tensor in converted.state_dict().items()}
    train_by_hand(prepared)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())
    assert all(torch.equal(tensor, converted.state_dict()[name]) for name, tensor in made.items())
    assert prepared.decoder.lm_head.weight is prepared.encoder.embedding.weight


def test_converted_model_is_saved_as_an_int8_bundle(small_tokenizer: Path, tmp_path: Path) -> None:
    prepared = prepare_model_for_qat(small(), "qnnpack")
    train_by_hand(prepared)
    converted = convert_qat_model(prepared)
    bundle = save_bundle(converted, tmp_path / "bundle", tokenizer=small_tokenizer)
    assert bundle.manifest.format == "bundle-int8"
    assert bundle.manifest.quantization is not None
    assert bundle.manifest.quantization.scheme == "qat-int8"
    loaded = load_bundle(bundle.path)
    assert loaded.quantization == bundle.manifest.quantization
    for name, tensor in converted.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    again = save_bundle(loaded, tmp_path / "again", tokenizer=small_tokenizer)
    assert again.weights_path.read_bytes() == bundle.weights_path.read_bytes()
    assert again.manifest.quantization == bundle.manifest.quantization


def test_mistakes_are_refused() -> None:
    model = small()
    with pytest.raises(LingoLiteError, match="unknown qconfig `fbgem`"):
        prepare_model_for_qat(model, "fbgem")
    with pytest.raises(LingoLiteError, match="weights are already quantized"):
        prepare_model_for_qat(apply_dynamic_quantization(model))
    prepared = prepare_model_for_qat(model)
    with pytest.raises(LingoLiteError, match="prepared already"):
        prepare_model_for_qat(prepared)
    with pytest.raises(LingoLiteError, match="was not prepared for QAT"):
        convert_qat_model(model)
    with torch.no_grad():
        prepared.encoder.layers[1].ffn.up_proj.weight[3, 2] = float("nan")
    with pytest.raises(LingoLiteError, match=r"`encoder\.layers\.1\.ffn\.up_proj\.weight_scale` is infinite"):
        convert_qat_model(prepared)
