"""Loss, gradients, learning rates and weight decay against independent computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel, read_checkpoint
from lingolite_cli.model.device import find_device
from lingolite_cli.model.parameters import model_from_tensors
from lingolite_cli.training.optimization import cross_entropy, learning_rate, make_optimizer
from lingolite_cli.training.options import TrainingOptions


def test_label_smoothing_is_that_of_the_paper() -> None:
    logits = np.random.default_rng(1).normal(size=(2, 3, 7))
    labels = np.array([[4, 6, 0], [5, 0, 0]])
    epsilon = 0.15
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = 0.0
    for row, column in ((0, 0), (0, 1), (1, 0)):
        wanted = np.full(7, epsilon / 7)
        wanted[labels[row, column]] += 1 - epsilon
        expected -= (wanted * log_probs[row, column]).sum()
    found = cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels), pad_id=0, label_smoothing=epsilon)
    assert found.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", {1: 0.01, 5: 0.05, 10: 0.1, 40: 0.1, 110: 0.1}),
        ("inverse-sqrt", {1: 0.01, 5: 0.05, 10: 0.1, 40: 0.05, 90: 0.1 / 3}),
        ("cosine", {1: 0.01, 10: 0.1, 35: 0.05 * (1 + math.sqrt(0.5)), 60: 0.05, 110: 0.0}),
    ],
)
def test_learning_rate(schedule, expected) -> None:
    options = TrainingOptions(learning_rate=0.1, warmup_steps=10, schedule=schedule, max_steps=110)
    assert {step: learning_rate(step, options) for step in expected} == pytest.approx(expected)


def test_cosine_needs_its_end() -> None:
    with pytest.raises(ValueError, match="needs max_steps"):
        TrainingOptions(schedule="cosine")


def test_matrices_decay_and_norms_and_embeddings_do_not(model: MobileTranslationModel) -> None:
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, TrainingOptions(learning_rate=0.5, weight_decay=0.1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.95 if "_proj" in name else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_unknown_device_is_refused() -> None:
    with pytest.raises(LingoLiteError, match="unknown device `gpu`"):
        find_device("gpu", hint="choose another")


# The network once more, in float64 and from the papers alone, to hold loss and gradients to.


def _norm(x, weight):
    return weight * x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)


def _rotate(x):
    """[T, D]: each pair (i, i + D/2) turned by its position times 10000^(-2i/D)."""
    half = x.shape[-1] // 2
    angles = torch.arange(x.shape[0], dtype=torch.float64)[:, None] * 10000.0 ** (
        -torch.arange(half, dtype=torch.float64) / half
    )
    first, second = x[:, :half], x[:, half:]
    return torch.cat((first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()), -1)


def _attend(weights, prefix, config, query, other, *, is_causal, is_rotary):
    """One sentence, [T, d_model] and [P, d_model], head by head."""
    q, k, v = (
        source @ weights[f"{prefix}.{name}_proj.weight"].T
        for name, source in (("q", query), ("k", other), ("v", other))
    )
    heads = []
    for head in range(config.n_heads):
        shared = head // (config.n_heads // config.n_kv_heads)
        size = config.head_dim
        own = q[:, head * size : (head + 1) * size]
        key, value = (part[:, shared * size : (shared + 1) * size] for part in (k, v))
        if is_rotary:
            own, key = _rotate(own), _rotate(key)
        scores = own @ key.T / math.sqrt(size)
        if is_causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
        heads.append(scores.softmax(-1) @ value)
    return torch.cat(heads, -1) @ weights[f"{prefix}.o_proj.weight"].T


def _feed_forward(weights, prefix, x):
    gate, up = (x @ weights[f"{prefix}.{name}_proj.weight"].T for name in ("gate", "up"))
    return (gate * torch.sigmoid(gate) * up) @ weights[f"{prefix}.down_proj.weight"].T


def _logits(weights, config: Architecture, source, target):
    """[T, V] of one sentence without padding."""
    embedding = weights["encoder.embedding.weight"]
    x = embedding[source] * math.sqrt(config.d_model)
    for layer in range(config.n_encoder_layers):
        name = f"encoder.layers.{layer}"
        normed = _norm(x, weights[f"{name}.norm1.weight"])
        x = x + _attend(weights, f"{name}.self_attn", config, normed, normed, is_causal=False, is_rotary=True)
        x = x + _feed_forward(weights, f"{name}.ffn", _norm(x, weights[f"{name}.norm2.weight"]))
    encoded = _norm(x, weights["encoder.final_norm.weight"])
    x = embedding[target] * math.sqrt(config.d_model)
    for layer in range(config.n_decoder_layers):
        name = f"decoder.layers.{layer}"
        normed = _norm(x, weights[f"{name}.norm1.weight"])
        x = x + _attend(weights, f"{name}.self_attn", config, normed, normed, is_causal=True, is_rotary=True)
        normed = _norm(x, weights[f"{name}.norm2.weight"])
        x = x + _attend(weights, f"{name}.cross_attn", config, normed, encoded, is_causal=False, is_rotary=False)
        x = x + _feed_forward(weights, f"{name}.ffn", _norm(x, weights[f"{name}.norm3.weight"]))
    return _norm(x, weights["decoder.final_norm.weight"]) @ embedding.T


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradients_of_an_existing_checkpoint(existing_checkpoint, expected, smoothing) -> None:
    """Sum over the real labels, against the definition in float64; each tensor to 1e-4 of its largest gradient."""
    checkpoint = read_checkpoint(existing_checkpoint)
    config = checkpoint.config
    assert config.tie_embeddings
    source, mask, target = (torch.from_numpy(expected[name]) for name in ("source_ids", "source_mask", "target_ids"))
    source = source.masked_fill(mask == 0, 0)
    decoder_ids, labels = target[:, :-1], target[:, 1:]

    model = model_from_tensors(config, checkpoint.tensors, where="the checkpoint")
    loss = cross_entropy(model(source, decoder_ids), labels, pad_id=0, label_smoothing=smoothing)
    loss.backward()

    weights = {name: tensor.double().requires_grad_() for name, tensor in checkpoint.tensors.items()}
    reference = torch.zeros((), dtype=torch.float64)
    for row in range(len(source)):
        log_probs = _logits(weights, config, source[row][mask[row] == 1], decoder_ids[row]).log_softmax(-1)
        is_real = labels[row] != 0
        picked = log_probs.gather(1, labels[row][:, None])[:, 0]
        mixed = (1 - smoothing) * picked + smoothing * log_probs.mean(-1)
        reference = reference - mixed[is_real].sum()
    reference.backward()

    assert loss.item() == pytest.approx(reference.item(), rel=1e-5)
    parameters = dict(model.named_parameters())
    assert set(parameters) == set(weights)
    for name, weight in weights.items():
        largest = weight.grad.abs().max().item()
        assert largest > 1e-3, name
        np.testing.assert_allclose(
            parameters[name].grad.numpy(), weight.grad.numpy(), atol=1e-4 * largest, rtol=0, err_msg=name
        )
