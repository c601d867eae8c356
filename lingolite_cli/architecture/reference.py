"""The network in plain numpy, float32: what exported graphs are compared with.

Owns a forward pass that is independent of the description of the network, of the network in PyTorch and of all
exporters, written for clarity: a full causal mask in the place of a cache, keys and values repeated for their groups,
parameter names spelled out. Shared are the weights, the tables of positions and the rounding of activations, which are
data or decided once. An observer sees the values of every operation by its name
(`lingolite_cli.architecture.recording`), and may replace them.
B batch, S source, T target, H heads, K key/value heads, D head_dim, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from lingolite_cli.architecture.architecture import Learned, Relative, Rotary, Sinusoidal
from lingolite_cli.architecture.arithmetic import Arithmetic
from lingolite_cli.architecture.positions import decoder_buckets, encoder_buckets, sinusoidal_table
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.architecture.rounding import RoundedProducts, Rounding, round_as_specified
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import Matrix, Weights
from lingolite_cli.weights.groups import GroupedMatrix

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
        is_exact: compute norms, attention and activations in float64, and round the outcome to float32. Its last bits
            then do not depend on the order of sums, as in an engine that does the same.
        has_zero_points: each row of activations that meets an int8 matrix has a zero point as well as a scale.
        reads_floats: by name of an operation, whether it reads its matrix as the floats that it stands for, and rounds
            no activations.
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
        has_zero_points: bool = False,
        reads_floats: Callable[[str], bool] = lambda name: False,
        observer: Observer = observe_nothing,
    ) -> None:
        self._between: Any = np.float64 if is_exact else np.float32
        self._weights = weights
        self._observe = observer
        self._products = RoundedProducts(rounding, blocks, reads_floats, has_zero_points=has_zero_points)
        self._config = weights.config

    @classmethod
    def of(
        cls,
        weights: Weights,
        arithmetic: Arithmetic,
        *,
        rounding: Rounding = round_as_specified,
        unrounded: Collection[str] = (),
        observer: Observer = observe_nothing,
    ) -> Reference:
        """A reference that computes as an engine says that it does.

        Args:
            weights: the bundle's.
            arithmetic: the engine's.
            rounding: of activations.
            unrounded: operations over activations that are not rounded, where others are.
            observer: see the class.
        """
        return cls(
            weights,
            rounding,
            blocks=arithmetic.blocks,
            is_exact=arithmetic.is_exact,
            has_zero_points=arithmetic.has_zero_points,
            reads_floats=lambda name: arithmetic.is_weight_only or name in unrounded,
            observer=observer,
        )

    def encode(self, source_ids: Array, source_mask: Array) -> Array:
        """[B, S, d_model] float32 from ids [B, S] and a mask [B, S] that is True on real tokens."""
        allowed = source_mask[:, None, None, :]
        bias = self._relative_bias("encoder", source_ids.shape[1])
        x = self._embed("encoder", source_ids)
        for layer in range(self._config.n_encoder_layers):
            name = f"encoder.layers.{layer}"
            # Names are spelled out on purpose: taken from `parts_of`, a mistake there would be repeated here.
            x = self._block(x, f"{name}.self_attn", f"{name}.norm1", self._self_attend, allowed, bias)
            x = self._block(x, f"{name}.ffn", f"{name}.norm2", self._feed_forward)
        return self._norm(x, "encoder.final_norm") if self._config.final_norm else x

    def decode(self, target_ids: Array, encoded: Array, source_mask: Array) -> Array:
        """[B, T, V] float32 logits of the token after each of `target_ids` [B, T]."""
        length = target_ids.shape[1]
        causal = np.tril(np.ones((length, length), dtype=np.bool_))[None, None]
        allowed = source_mask[:, None, None, :]
        bias = self._relative_bias("decoder", length)
        x = self._embed("decoder", target_ids)
        for layer in range(self._config.n_decoder_layers):
            name = f"decoder.layers.{layer}"
            if self._config.decoder_recurrence == "ssru":
                x = self._block(x, f"{name}.ssru", f"{name}.norm1", self._ssru)
            else:
                x = self._block(x, f"{name}.self_attn", f"{name}.norm1", self._self_attend, causal, bias)
            x = self._block(x, f"{name}.cross_attn", f"{name}.norm2", self._attend, encoded, allowed, None)
            x = self._block(x, f"{name}.ffn", f"{name}.norm3", self._feed_forward)
        return self._logits(self._norm(x, "decoder.final_norm") if self._config.final_norm else x)

    def embed(self, source_ids: Array, target_ids: Array) -> None:
        """The embeddings alone, for an observer."""
        self._look_up("encoder.embedding", source_ids)
        self._look_up("decoder.embedding", target_ids)

    def _logits(self, x: Array) -> Array:
        if self._config.output_scale != 1.0:
            x = self._observe("decoder.scaled", x * np.float32(self._config.output_scale))
        logits = self._products.product(x, "output_projection", self._weights.matrix("decoder.lm_head"))
        if self._config.logits_bias:
            logits += self._weights.bias("decoder.lm_head")
        return self._observe("output_projection", logits)

    def _embed(self, stack: str, ids: Array) -> Array:
        rows, positions, length = self._look_up(f"{stack}.embedding", ids), self._config.positions, ids.shape[1]
        if isinstance(positions, Sinusoidal):
            table = sinusoidal_table(positions, length, self._config.d_model)
        elif isinstance(positions, Learned):
            table = self._weights.floats(f"{stack}.positions")[positions.offset : positions.offset + length]
        else:
            return rows
        return self._observe(f"{stack}.positions", rows + table)

    def _look_up(self, name: str, ids: Array) -> Array:
        embedding = _ungrouped(self._weights.matrix(name))
        rows = embedding.values[ids].astype(np.float32)
        if embedding.scale is not None:
            rows = rows * embedding.scale[ids][..., None]
        scale = self._config.embedding_scale
        return self._observe(name, rows * np.float32(np.sqrt(self._config.d_model) if scale is None else scale))

    def _relative_bias(self, stack: str, length: int) -> Array | None:
        """[1, H, length, length] float32, added to scores; row for queries, column for keys."""
        positions = self._config.positions
        if not isinstance(positions, Relative):
            return None
        table = self._weights.floats(f"{stack}.relative_bias")
        distance = np.arange(length)[None, :] - np.arange(length)[:, None]
        if stack == "encoder":
            buckets = encoder_buckets(positions, length)[distance + length - 1]
        else:
            buckets = decoder_buckets(positions, length)[np.maximum(-distance, 0)]
        bias: Array = table[buckets].transpose(2, 0, 1)[None]
        return bias

    def _block(self, x: Array, block: str, norm: str, compute: Callable[..., Array], *arguments: Array | None) -> Array:
        """A block with its residual sum; its norm comes first, or last."""
        if self._config.norm_place == "pre":
            return self._observe(f"{block}.sum", x + compute(block, self._norm(x, norm), *arguments))
        return self._norm(self._observe(f"{block}.sum", x + compute(block, x, *arguments)), norm)

    def _norm(self, x: Array, name: str) -> Array:
        """RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4), or LayerNorm (Ba et al. 2016,
        arXiv:1607.06450)."""
        wide, epsilon = x.astype(self._between), self._between(self._config.norm_epsilon)
        if self._config.norm == "layer":
            wide = wide - np.mean(wide, axis=-1, keepdims=True)
        mean_square = np.mean(wide * wide, axis=-1, keepdims=True)
        normed = wide / np.sqrt(mean_square + epsilon) * self._weights.floats(name)
        if self._config.norm == "layer":
            normed = normed + self._weights.bias(name)
        return self._observe(name, normed.astype(np.float32))

    def _self_attend(self, name: str, x: Array, allowed: Array, bias: Array | None) -> Array:
        return self._attend(name, x, x, allowed, bias)

    def _attend(self, name: str, x: Array, memory: Array, allowed: Array, bias: Array | None) -> Array:
        config = self._config
        query = self._heads(name, "q", x, config.n_heads)
        key = self._heads(name, "k", memory, config.n_kv_heads)
        value = self._heads(name, "v", memory, config.n_kv_heads)
        if isinstance(config.positions, Rotary) and not name.endswith(".cross_attn"):
            query = self._observed_heads(name + ".rotated_query", self._rotate(query))
            key = self._observed_heads(name + ".rotated_key", self._rotate(key))
        # Here a cache only keeps what it is given; in a step-by-step decoder it may not.
        key, value = self._observed_heads(name + ".key_cache", key), self._observed_heads(name + ".value_cache", value)
        group = config.n_heads // config.n_kv_heads
        key, value = np.repeat(key, group, axis=1), np.repeat(value, group, axis=1)
        query, key, value = (part.astype(self._between) for part in (query, key, value))
        scale = np.sqrt(config.head_dim) if config.attention_scale is None else 1 / config.attention_scale
        scores = query @ key.swapaxes(-1, -2) / self._between(scale)
        if bias is not None:
            scores = scores + bias
        # Finite, not -inf: a row of padding alone would be NaN, and NaN spreads through its whole batch.
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
        cosines, sines = rotary_tables(self._config.head_dim, x.shape[2])
        return np.concatenate([first * cosines - second * sines, second * cosines + first * sines], axis=-1)

    def _ssru(self, name: str, x: Array) -> Array:
        """The simpler simple recurrent unit (Kim et al. 2019, https://aclanthology.org/D19-5632, eq. 3 to 5)."""
        candidate = self._linear(x, f"{name}.candidate_proj").astype(self._between)
        gates = self._linear(x, f"{name}.forget_proj", has_bias=True).astype(self._between)
        forget = 1 / (1 + np.exp(-gates))
        cells, cell = [], np.zeros_like(candidate[:, 0])
        for position in range(x.shape[1]):
            cell = forget[:, position] * cell + (1 - forget[:, position]) * candidate[:, position]
            # Rounded, because a state is float32 wherever it is kept.
            cell = cell.astype(np.float32).astype(self._between)
            cells.append(cell)
        states = self._observe(f"{name}.cell", np.stack(cells, axis=1).astype(np.float32))
        return self._observe(name, np.maximum(states, np.float32(0)))

    def _feed_forward(self, name: str, x: Array) -> Array:
        """Gated (Shazeer 2020, arXiv:2002.05202, eq. 6) or plain."""
        activate = _ACTIVATIONS[self._config.activation]
        if self._config.gated:
            gate = self._linear(x, f"{name}.gate_proj").astype(self._between)
            up = self._linear(x, f"{name}.up_proj").astype(self._between)
            hidden = (activate(gate) * up).astype(np.float32)
        else:
            hidden = activate(self._linear(x, f"{name}.up_proj").astype(self._between)).astype(np.float32)
        return self._linear(self._observe(f"{name}.hidden", hidden), f"{name}.down_proj")

    def _linear(self, x: Array, name: str, *, has_bias: bool = False) -> Array:
        product = self._products.product(x, name, self._weights.matrix(name))
        # The candidates of a recurrent unit have no bias in any implementation.
        if has_bias or (self._config.biases and not name.endswith(".ssru.candidate_proj")):
            product = product + self._weights.bias(name)
        return self._observe(name, product)


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


def _erf(x: Array) -> Array:
    """The error function, which numpy lacks."""
    found: Array = np.vectorize(math.erf, otypes=[np.float64])(x).astype(x.dtype)
    return found


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _silu(x: Array) -> Array:
    activated: Array = x / (1 + np.exp(-x))
    return activated


def _gelu(x: Array) -> Array:
    activated: Array = 0.5 * x * (1 + _erf(x / math.sqrt(2)))
    return activated


def _gelu_tanh(x: Array) -> Array:
    """Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2."""
    activated: Array = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return activated


_ACTIVATIONS = {"relu": _relu, "silu": _silu, "gelu": _gelu, "gelu_tanh": _gelu_tanh}
