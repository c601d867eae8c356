"""The network in plain numpy, float32: what exported graphs are compared with.

Owns a forward pass that is independent of the network in PyTorch and of all exporters, written for clarity: a full
causal mask in the place of a cache, keys and values repeated for their groups, parameter names spelled out. Shared are
the weights, the rotary tables and the rounding of activations, which are data or decided once. An observer sees the
values of every operation by its name (`lingolite_cli.architecture.operations`), and may replace them.
B batch, S source, T target, H heads, K key/value heads, D head_dim, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from lingolite_cli.architecture.architecture import NORM_EPSILON
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.architecture.tensors import (
    CROSS_ATTENTION,
    HIDDEN,
    KEY_CACHE,
    OUTPUT_PROJECTION,
    ROTATED_KEY,
    ROTATED_QUERY,
    SUM,
    VALUE_CACHE,
)
from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import UINT8_MAX, InputRange, half_to_even, row_scale
from lingolite_cli.weights.bundle import Matrix, Weights
from lingolite_cli.weights.groups import GroupedMatrix

Rounding: TypeAlias = Callable[[str, Array], Array]
"""From the name of a matrix and x / s_x [..., in] float32 to integers of that shape."""


def round_as_specified(name: str, quotients: Array) -> Array:
    """The rule of `lingolite_cli.weights.activations`, whatever the matrix."""
    return half_to_even(quotients)


Observer: TypeAlias = Callable[[str, Array], Array]
"""From the name of an operation and its values, [B, S, width] or [B, T, width] float32, to those to go on with."""


def observe_nothing(name: str, values: Array) -> Array:
    """Goes on with what was computed."""
    return values


class Reference:
    """Encoder and teacher-forced decoder over the weights of a bundle.

    Args:
        weights: the bundle's.
        rounding: of activations that meet an int8 matrix.
        blocks: by matrix, how many neighbours in a row of activations share a scale. Elsewhere the whole row does, or
            activations are not rounded, where the matrix is stored by groups.
        is_exact: compute norms, attention and SwiGLU in float64, and round the outcome to float32. Its last bits then
            do not depend on the order of sums, as in an engine that does the same.
        observer: called once an operation, in the order of computation. What it returns is what later operations
            read, so that each can be checked by itself.
    """

    def __init__(
        self,
        weights: Weights,
        rounding: Rounding = round_as_specified,
        blocks: Mapping[str, int] = MappingProxyType({}),
        *,
        is_exact: bool = False,
        observer: Observer = observe_nothing,
    ) -> None:
        self._between: Any = np.float64 if is_exact else np.float32
        self._weights = weights
        self._observe = observer
        self._rounding = rounding
        self._blocks = blocks
        self._config = weights.config
        self._cosines, self._sines = rotary_tables(self._config.head_dim, self._config.max_seq_len)

    def encode(self, source_ids: Array, source_mask: Array) -> Array:
        """[B, S, d_model] float32 from ids [B, S] and a mask [B, S] that is True on real tokens."""
        allowed = source_mask[:, None, None, :]
        x = self._embed("encoder.embedding", source_ids)
        for layer in range(self._config.n_encoder_layers):
            name = f"encoder.layers.{layer}"
            normed = self._norm(x, f"{name}.norm1")
            # Names are spelled out on purpose: taken from `layer_names`, a mistake there would be repeated here.
            x = self._add(x, self._attend(f"{name}.self_attn", normed, normed, allowed), f"{name}.self_attn")
            x = self._add(x, self._feed_forward(f"{name}.ffn", self._norm(x, f"{name}.norm2")), f"{name}.ffn")
        return self._norm(x, "encoder.final_norm")

    def decode(self, target_ids: Array, encoded: Array, source_mask: Array) -> Array:
        """[B, T, V] float32 logits of the token after each of `target_ids` [B, T]."""
        length = target_ids.shape[1]
        causal = np.tril(np.ones((length, length), dtype=np.bool_))[None, None]
        allowed = source_mask[:, None, None, :]
        x = self._embed("decoder.embedding", target_ids)
        for layer in range(self._config.n_decoder_layers):
            name = f"decoder.layers.{layer}"
            normed = self._norm(x, f"{name}.norm1")
            x = self._add(x, self._attend(f"{name}.self_attn", normed, normed, causal), f"{name}.self_attn")
            normed = self._norm(x, f"{name}.norm2")
            x = self._add(x, self._attend(f"{name}.cross_attn", normed, encoded, allowed), f"{name}.cross_attn")
            x = self._add(x, self._feed_forward(f"{name}.ffn", self._norm(x, f"{name}.norm3")), f"{name}.ffn")
        projection = self._weights.matrix("decoder.lm_head")
        return self._observed_product(self._norm(x, "decoder.final_norm"), OUTPUT_PROJECTION, projection)

    def embed(self, source_ids: Array, target_ids: Array) -> None:
        """The embeddings alone, for an observer."""
        self._embed("encoder.embedding", source_ids)
        self._embed("decoder.embedding", target_ids)

    def _embed(self, name: str, ids: Array) -> Array:
        embedding = _ungrouped(self._weights.matrix(name))
        rows = embedding.values[ids].astype(np.float32)
        if embedding.scale is not None:
            rows = rows * embedding.scale[ids][..., None]
        return self._observe(name, rows * np.float32(np.sqrt(self._config.d_model)))

    def _add(self, x: Array, change: Array, block: str) -> Array:
        """The residual connection around a block."""
        return self._observe(f"{block}{SUM}", x + change)

    def _norm(self, x: Array, name: str) -> Array:
        """RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4)."""
        wide = x.astype(self._between)
        mean_square = np.mean(wide * wide, axis=-1, keepdims=True)
        normed = wide / np.sqrt(mean_square + self._between(NORM_EPSILON)) * self._weights.norm(name)
        return self._observe(name, normed.astype(np.float32))

    def _attend(self, name: str, x: Array, memory: Array, allowed: Array) -> Array:
        config = self._config
        query = self._heads(name, "q", x, config.n_heads)
        key = self._heads(name, "k", memory, config.n_kv_heads)
        value = self._heads(name, "v", memory, config.n_kv_heads)
        if not name.endswith(CROSS_ATTENTION):
            query = self._observed_heads(name + ROTATED_QUERY, self._rotate(query))
            key = self._observed_heads(name + ROTATED_KEY, self._rotate(key))
        # Here a cache only keeps what it is given; in a step-by-step decoder it may not.
        key, value = self._observed_heads(name + KEY_CACHE, key), self._observed_heads(name + VALUE_CACHE, value)
        group = config.n_heads // config.n_kv_heads
        key, value = np.repeat(key, group, axis=1), np.repeat(value, group, axis=1)
        query, key, value = (part.astype(self._between) for part in (query, key, value))
        # Finite, not -inf: a row of padding alone would be NaN, and NaN spreads through its whole batch.
        scores = query @ key.swapaxes(-1, -2) / self._between(np.sqrt(config.head_dim))
        joined = _softmax(np.where(allowed, scores, self._between(-1e30))) @ value
        attended = _side_by_side(joined).astype(np.float32)
        return self._linear(self._observe(name, attended), f"{name}.o_proj")

    def _observed_heads(self, name: str, x: Array) -> Array:
        """x [B, heads, S, D], seen as [B, S, heads · D]."""
        observed = self._observe(name, _side_by_side(x))
        return observed.reshape(*observed.shape[:2], x.shape[1], x.shape[3]).swapaxes(1, 2)

    def _heads(self, name: str, kind: str, x: Array, heads: int) -> Array:
        """[B, heads, S, D] from [B, S, d_model]."""
        projected = self._linear(x, f"{name}.{kind}_proj")
        return projected.reshape(*x.shape[:2], heads, self._config.head_dim).swapaxes(1, 2)

    def _rotate(self, x: Array) -> Array:
        """Rotary positions with the head split in halves; x is [B, heads, T, D]."""
        first, second = np.split(x, 2, axis=-1)
        cosines, sines = self._cosines[: x.shape[2]], self._sines[: x.shape[2]]
        return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)

    def _feed_forward(self, name: str, x: Array) -> Array:
        """SwiGLU (Shazeer 2020, arXiv:2002.05202, eq. 6)."""
        gate = self._linear(x, f"{name}.gate_proj")
        up = self._linear(x, f"{name}.up_proj")
        gate, up = gate.astype(self._between), up.astype(self._between)
        hidden = (gate / (1 + np.exp(-gate)) * up).astype(np.float32)
        return self._linear(self._observe(f"{name}{HIDDEN}", hidden), f"{name}.down_proj")

    def _linear(self, x: Array, name: str) -> Array:
        return self._observed_product(x, name, self._weights.matrix(name))

    def _observed_product(self, x: Array, name: str, stored: Matrix | GroupedMatrix) -> Array:
        return self._observe(name, self._product(x, name, stored))

    def _product(self, x: Array, name: str, stored: Matrix | GroupedMatrix) -> Array:
        """[..., out] float32 from x [..., in] float32; in integers when the matrix is int8.

        Sums of int8 products are taken in float64, where they are exact (below 2^53), because numpy multiplies
        integer matrices slowly.
        """
        matrix = _ungrouped(stored)
        if isinstance(stored, GroupedMatrix) and name in self._blocks:
            x = self._rounded(x, name)
        if matrix.scale is None:
            return x @ matrix.values.astype(np.float32).T
        if matrix.input_range is not None:
            sums = self._static_sums(x, name, matrix, matrix.input_range)
            return sums * (matrix.input_range.scale * matrix.scale)
        product: Array = self._scaled_sums(x, name, matrix) * matrix.scale
        return product

    def _rounded(self, x: Array, name: str) -> Array:
        """x [..., in] as the float32 that its integers and their scales stand for."""
        parts = np.split(x, range(self._blocks[name], x.shape[-1], self._blocks[name]), axis=-1)
        scales = np.concatenate([np.broadcast_to(row_scale(part), part.shape) for part in parts], axis=-1)
        rounded: Array = self._rounding(name, x / scales).astype(np.float32) * scales
        return rounded

    def _scaled_sums(self, x: Array, name: str, matrix: Matrix) -> Array:
        """[..., out] float32 sums over activations that were rounded as they came, times the activations' scales."""
        size = self._blocks.get(name, x.shape[-1])
        bounds = range(size, x.shape[-1], size)
        parts = np.split(x, bounds, axis=-1)
        scales = [row_scale(part) for part in parts]
        quotients = np.concatenate([part / scale for part, scale in zip(parts, scales, strict=True)], axis=-1)
        integers = np.split(self._rounding(name, quotients).astype(np.float64), bounds, axis=-1)
        columns = np.split(matrix.values.astype(np.float64).T, bounds)
        sums = [part @ column for part, column in zip(integers, columns, strict=True)]
        scaled: Array = np.sum(
            [part.astype(np.float32) * scale for part, scale in zip(sums, scales, strict=True)], axis=0
        )
        return scaled

    def _static_sums(self, x: Array, name: str, matrix: Matrix, input_range: InputRange) -> Array:
        """[..., out] float32 sums over the 256 levels of a calibrated range; what lies outside is clipped."""
        zero_point = input_range.zero_point
        quotients = np.clip(x / input_range.scale, -zero_point, UINT8_MAX - zero_point)
        # Clipped before it is rounded, in units of the scale: so no runtime meets an integer out of range.
        integers = self._rounding(name, quotients).astype(np.float64)
        sums: Array = integers @ matrix.values.astype(np.float64).T
        return sums.astype(np.float32)


def _ungrouped(matrix: Matrix | GroupedMatrix) -> Matrix:
    """A grouped matrix as the float32 that it stands for."""
    return Matrix(matrix.dequantized()) if isinstance(matrix, GroupedMatrix) else matrix


def _side_by_side(x: Array) -> Array:
    """[B, S, heads · D] from [B, heads, S, D]."""
    batch, heads, length, width = x.shape
    return x.swapaxes(1, 2).reshape(batch, length, heads * width)


def _softmax(scores: Array) -> Array:
    exponentials = np.exp(scores - np.max(scores, axis=-1, keepdims=True))
    shares: Array = exponentials / np.sum(exponentials, axis=-1, keepdims=True)
    return shares
