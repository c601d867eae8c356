"""The operations of the network in Core ML's intermediate language (MIL): what both functions share.

Owns norms, products, activations and the scores of attention. How a matrix is stored is in
`lingolite_coreml.constants`; what differs between encoder and decoder in `lingolite_coreml.functions`. Hidden states
are [1, T, d_model]: a function reads one sentence. T tokens, N keys, H heads, K key/value heads, D head_dim.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb

from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, FeedForward, Layer, parts_of
from lingolite_cli.architecture.recording import HIDDEN, ROTATED_KEY, ROTATED_QUERY, SUM, positions_name
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.arrays import Array
from lingolite_cli.weights.positions import position_table
from lingolite_coreml.constants import Constants
from lingolite_coreml.interface import Layout, identifier

MASKED = -3e4
"""Added to scores of what is hidden. Larger numbers are infinite in float16."""


class CoreMLEmitter:
    """Operations of one function; see `lingolite_cli.architecture.operations.Operations`.

    Args:
        constants: the model's weights as constants of the function.
        layout: shapes and types of the function's values.
    """

    def __init__(self, constants: Constants, layout: Layout) -> None:
        self.constants = constants
        self.parts = parts_of(constants.weights.config)
        self.architecture = constants.weights.config
        self.layout = layout
        self.num_positions = layout.positions

    def enter(self, layer: str | None) -> None:
        """Values are named after operations, which say where they lie."""

    def mask(self, mask: Any) -> Any:
        """[1, P] to add to scores, from 1 for real tokens and 0 for padding."""
        padding = mb.sub(x=self.constants.scalar(1.0), y=mask)
        return mb.mul(x=padding, y=self.constants.scalar(MASKED))

    def norm(self, x: Any, norm: Layer) -> Any:
        """RMSNorm or LayerNorm of x [1, T, d_model]."""
        if self.constants.compute == "float32":
            normed = self._normed(x, np.float32(self.architecture.norm_epsilon))
        else:
            normed = self._normed_in_range(x)
        gains = self.constants.floats(norm.name, self.constants.weights.floats(norm.name))
        if self.architecture.norm == "rms":
            return mb.mul(x=normed, y=gains, name=identifier(norm.name))
        bias = self.constants.floats(norm.bias, self.constants.weights.bias(norm.name))
        return mb.add(x=mb.mul(x=normed, y=gains), y=bias, name=identifier(norm.name))

    def _normed_in_range(self, x: Any) -> Any:
        """The norm of x over its largest magnitude, which is that of x: no square is above 1, whatever x is.

        float16 ends at 65,504, and squares of hidden states pass that in ordinary models. The epsilon is divided by
        the same square; where a row is smaller than its root, the row is divided by the root.
        """
        root = math.sqrt(self.architecture.norm_epsilon)
        largest = mb.reduce_max(x=mb.abs(x=x), axes=[-1], keep_dims=True)
        size = mb.maximum(x=largest, y=self.constants.scalar(root))
        share = mb.real_div(x=self.constants.scalar(root), y=size)
        return self._normed(mb.real_div(x=x, y=size), mb.mul(x=share, y=share))

    def _normed(self, x: Any, epsilon: Any) -> Any:
        if self.architecture.norm == "layer":
            x = mb.sub(x=x, y=mb.reduce_mean(x=x, axes=[-1], keep_dims=True))
        mean_square = mb.reduce_mean(x=mb.mul(x=x, y=x), axes=[-1], keep_dims=True)
        return mb.real_div(x=x, y=mb.sqrt(x=mb.add(x=mean_square, y=epsilon)))

    def linear(self, x: Any, *layers: Layer) -> tuple[Any, ...]:
        """The products of x [1, T, in] with several matrices, [1, T, out] each."""
        return tuple(self._product(x, layer, name=identifier(layer.name)) for layer in layers)

    def _product(self, x: Any, layer: Layer, *, name: str | None) -> Any:
        given = {"x": x, "weight": self.constants.matrix(layer.name)}
        if layer.has_bias:
            given["bias"] = self.constants.floats(layer.bias, self.constants.weights.bias(layer.name))
        return mb.linear(**given, **_named(name))

    def linear_plus(self, x: Any, layer: Layer, residual: Any) -> Any:
        """The product of x with one matrix, and the residual sum."""
        (product,) = self.linear(x, layer)
        assert layer.block is not None
        return self.add(residual, product, layer.block)

    def add(self, residual: Any, change: Any, block: str) -> Any:
        """The residual sum after a block."""
        return mb.add(x=residual, y=change, name=identifier(block + SUM))

    def scale(self, x: Any, factor: float, name: str) -> Any:
        """x times a factor."""
        return mb.mul(x=x, y=self.constants.scalar(factor), name=identifier(name))

    def embed(self, table: Layer, ids: Any, scale: float) -> Any:
        """[1, T, d_model] from ids [1, T]."""
        rows = self.constants.matrix(table.name)
        if scale == 1.0:
            return mb.gather(x=rows, indices=ids, axis=0, name=identifier(table.name))
        return self.scale(mb.gather(x=rows, indices=ids, axis=0), scale, table.name)

    def rotation_at(self, positions: Any) -> tuple[Any, Any]:
        """The rotary tables of `positions` [T]: cosines [T, D], and sines whose first half is negative."""
        cosines, sines = rotary_tables(self.architecture.head_dim, self.num_positions)
        tables = (
            ("rotary_cosines", np.concatenate([cosines, cosines], axis=1)),
            ("rotary_sines", np.concatenate([-sines, sines], axis=1)),
        )
        first, second = (
            mb.gather(x=self.constants.floats(name, table), indices=positions, axis=0) for name, table in tables
        )
        return first, second

    def position_rows(self, stack: Encoder | Decoder, positions: Any) -> Any:
        """[T, d_model], the vectors of `positions` [T] that are added to embeddings."""
        table = self.constants.floats(
            f"{positions_name(stack)}.table",
            position_table(self.constants.weights, stack, num_positions=self.num_positions),
        )
        return mb.gather(x=table, indices=positions, axis=0)

    def bias_by_distance(self, stack: Encoder | Decoder, buckets: Array) -> Any:
        """[H, distances], from the bucket of each distance."""
        assert stack.relative_bias is not None
        table = self.constants.weights.floats(stack.relative_bias.name)
        return self.constants.floats(stack.relative_bias.name, np.ascontiguousarray(table[buckets].T))

    def by_head(self, x: Any, attention: Attention, heads: int, *, name: str | None = None) -> Any:
        """[1, heads, T, D] from [1, T, heads · D]."""
        split = mb.reshape(x=x, shape=[1, -1, heads, attention.head_dim])
        return mb.transpose(x=split, perm=[0, 2, 1, 3], **_named(name))

    def rotated_heads(self, attention: Attention, parts: tuple[Any, ...], rotation: Any) -> tuple[Any, Any, Any]:
        """Queries, keys and values by head, the first two at their positions."""
        query, key, value = (
            self.by_head(part, attention, heads)
            for part, heads in zip(parts, (attention.n_heads, *(attention.n_kv_heads,) * 2), strict=True)
        )
        if rotation is None:
            return query, key, value
        return (
            self._rotate(query, rotation, attention.name + ROTATED_QUERY),
            self._rotate(key, rotation, attention.name + ROTATED_KEY),
            value,
        )

    def _rotate(self, x: Any, rotation: tuple[Any, Any], name: str) -> Any:
        """x [1, heads, T, D] at its positions; the head is split in halves, not interleaved."""
        cosines, sines = rotation
        first, second = mb.split(x=x, num_splits=2, axis=-1)
        swapped = mb.concat(values=[second, first], axis=-1)
        turned = mb.mul(x=swapped, y=sines)
        return mb.add(x=mb.mul(x=x, y=cosines), y=turned, name=identifier(name))

    def attend(self, attention: Attention, query: Any, key: Any, value: Any, mask: Any, bias: Any) -> Any:
        """[1, T, H · D] from queries [1, H, T, D], keys and values [1, K, N, D].

        The queries of a group lie together, so no key or value is repeated: scores are [1, K, H / K · T, N].
        """
        width = attention.head_dim
        if attention.scale != 1.0:
            query = mb.mul(x=query, y=self.constants.scalar(attention.scale))
        if attention.group > 1:
            query = mb.reshape(x=query, shape=[1, attention.n_kv_heads, -1, width])
        scores = mb.matmul(x=query, y=key, transpose_y=True)
        for added in (bias, mask):
            if added is not None:
                scores = mb.add(x=scores, y=added)
        attended = mb.matmul(x=mb.softmax(x=scores, axis=-1), y=value)
        if attention.group > 1:
            attended = mb.reshape(x=attended, shape=[1, attention.n_heads, -1, width])
        rows = mb.transpose(x=attended, perm=[0, 2, 1, 3])
        return mb.reshape(x=rows, shape=[1, -1, attention.width], name=identifier(attention.name))

    def activate(self, block: FeedForward, up: Any) -> Any:
        """The activation of up [1, T, d_ff]."""
        return self._activation(up, identifier(block.name + HIDDEN))

    def gate(self, block: FeedForward, gate: Any, up: Any) -> Any:
        """The activation of `gate`, times `up`."""
        return mb.mul(x=self._activation(gate, None), y=up, name=identifier(block.name + HIDDEN))

    def _activation(self, x: Any, name: str | None) -> Any:
        match self.architecture.activation:
            case "relu":
                return mb.relu(x=x, **_named(name))
            case "silu":
                return mb.silu(x=x, **_named(name))
            case "gelu":
                return mb.gelu(x=x, mode="EXACT", **_named(name))
            case "gelu_tanh":
                return mb.gelu(x=x, mode="TANH_APPROXIMATION", **_named(name))


def _named(name: str | None) -> dict[str, str]:
    """The name as an argument of the builder, which takes no None: left out, it chooses a name itself."""
    return {} if name is None else {"name": name}
