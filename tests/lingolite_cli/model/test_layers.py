"""Norm, rotary positions, feed-forward network and attention against their formulas in float64 numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import GroupedQueryAttention
from lingolite_cli.model.attention import GroupedQueryCrossAttention, causal_mask, padding_mask
from lingolite_cli.model.layers import FeedForward, RMSNorm, RotaryPositions

BATCH, TARGET, SOURCE, HEADS, KV_HEADS, HEAD_DIM = 2, 3, 5, 6, 2, 4
D_MODEL = HEADS * HEAD_DIM


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(11)


def _float64(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float64)


def _rotate(x: np.ndarray, offset: int) -> np.ndarray:
    """Rotary positions as products of complex numbers; x [B, T, H, D]."""
    half = x.shape[-1] // 2
    position = np.arange(offset, offset + x.shape[1])[:, None]
    turn = np.exp(1j * position * 10000.0 ** (-np.arange(half) / half))[:, None, :]
    turned = (x[..., :half] + 1j * x[..., half:]) * turn
    return np.concatenate((turned.real, turned.imag), axis=-1)


def _attend(attention, query, key_value, mask, *, rotated: bool) -> np.ndarray:
    """Attention one head at a time, keys and values looked up by head."""
    q, k, v = (
        (_float64(x) @ _float64(projection.weight).T).reshape(*x.shape[:2], -1, HEAD_DIM)
        for x, projection in (
            (query, attention.q_proj),
            (key_value, attention.k_proj),
            (key_value, attention.v_proj),
        )
    )
    if rotated:
        q, k = _rotate(q, 0), _rotate(k, 0)
    heads = []
    for head in range(HEADS):
        shared = head // (HEADS // KV_HEADS)
        scores = q[:, :, head] @ k[:, :, shared].transpose(0, 2, 1) / np.sqrt(HEAD_DIM)
        scores = np.where(mask, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        heads.append(weights / weights.sum(axis=-1, keepdims=True) @ v[:, :, shared])
    return np.concatenate(heads, axis=-1) @ _float64(attention.o_proj.weight).T


def test_rms_norm():
    norm = RMSNorm(7)
    torch.nn.init.uniform_(norm.weight)
    x = torch.randn(2, 3, 7) * 1e-3  # small, so that eps shows
    rows = _float64(x)
    want = _float64(norm.weight) * rows / np.sqrt((rows**2).mean(axis=-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(norm(x).detach().numpy(), want, atol=1e-6)


def test_rotary_positions_are_half_split_with_base_10000():
    x = torch.randn(BATCH, TARGET, HEADS, HEAD_DIM)
    rotated = RotaryPositions(HEAD_DIM, 40)(x, 17)
    np.testing.assert_allclose(rotated.numpy(), _rotate(_float64(x), 17), atol=1e-5)


def test_positions_beyond_the_model_are_refused():
    with pytest.raises(LingoLiteError, match=r"position 8 .* max_seq_len 8"):
        RotaryPositions(HEAD_DIM, 8)(torch.zeros(1, 3, 1, HEAD_DIM), 6)


def test_feed_forward_is_swiglu():
    ffn = FeedForward(6, 10)
    x = torch.randn(2, 6)
    rows, gate, up, down = (_float64(w) for w in (x, ffn.gate_proj.weight, ffn.up_proj.weight, ffn.down_proj.weight))
    gated = rows @ gate.T
    want = (gated / (1 + np.exp(-gated)) * (rows @ up.T)) @ down.T
    np.testing.assert_allclose(ffn(x).detach().numpy(), want, atol=1e-6)


def test_causal_self_attention():
    rotary = RotaryPositions(HEAD_DIM, 16)
    attention = GroupedQueryAttention(D_MODEL, HEADS, n_kv_heads=KV_HEADS, rotary=rotary)
    x = torch.randn(BATCH, SOURCE, D_MODEL)
    output, cache = attention(x, mask=causal_mask(SOURCE, SOURCE, device=x.device))
    want = _attend(attention, x, x, np.tri(SOURCE, dtype=bool), rotated=True)
    np.testing.assert_allclose(output.detach().numpy(), want, atol=1e-6)
    assert cache is None


def test_cross_attention_ignores_padding_and_has_no_positions():
    attention = GroupedQueryCrossAttention(D_MODEL, HEADS, n_kv_heads=KV_HEADS)
    query, source = torch.randn(BATCH, TARGET, D_MODEL), torch.randn(BATCH, SOURCE, D_MODEL)
    real = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    output, _ = attention(query, source, mask=padding_mask(real))
    want = _attend(attention, query, source, real.numpy()[:, None, :] == 1, rotated=False)
    np.testing.assert_allclose(output.detach().numpy(), want, atol=1e-6)


def test_a_row_with_nothing_to_attend_to_is_finite():
    attention = GroupedQueryCrossAttention(D_MODEL, HEADS, n_kv_heads=KV_HEADS)
    source = torch.randn(BATCH, SOURCE, D_MODEL, requires_grad=True)
    mask = padding_mask(torch.zeros(BATCH, SOURCE, dtype=torch.bool))
    output, _ = attention(torch.randn(BATCH, TARGET, D_MODEL), source, mask=mask)
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert torch.isfinite(source.grad).all()


def test_the_causal_mask_lets_the_last_queries_see_the_past():
    visible = causal_mask(2, 5, device=torch.device("cpu")) == 0
    np.testing.assert_array_equal(visible.numpy(), [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])


def test_head_counts_that_do_not_fit_are_refused():
    with pytest.raises(LingoLiteError, match="d_model 24, n_heads 6 and n_kv_heads 4"):
        GroupedQueryAttention(24, 6, n_kv_heads=4)
