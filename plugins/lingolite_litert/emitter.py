"""The operations of the network as LiteRT's operators: what encoder and decoder share.

Owns norms, activations, products side by side and the scores of attention; how a weight matrix is multiplied is in
`lingolite_litert.products`, and what differs between encoder and decoder in `lingolite_litert.graphs`. Hidden states
are [N, d_model], where N counts tokens: S in the encoder, which reads one sentence, B in the decoder, which reads one
token a row. Operators are those that XNNPACK runs, so that a graph is one partition of it. B batch, S source, H heads,
K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

import numpy as np

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, FeedForward, Layer, parts_of
from lingolite_cli.architecture.recording import (
    HIDDEN,
    OUTPUT_PROJECTION,
    ROTATED_KEY,
    ROTATED_QUERY,
    SUM,
    positions_name,
)
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import Weights, can_join, concatenate
from lingolite_cli.weights.positions import position_table
from lingolite_litert.graph import GraphBuilder, Layout, Value
from lingolite_litert.products import Products


class Emitter:
    """Operations of one graph; see `lingolite_cli.architecture.operations.Operations`.

    Args:
        graph: where the operators go.
        weights: the model's weights.
        num_positions: rows of the tables of positions.
        is_symmetric: activations that meet int8 matrices have two further columns; see `lingolite_litert.products`.
    """

    def __init__(self, graph: GraphBuilder, weights: Weights, *, num_positions: int, is_symmetric: bool) -> None:
        self.graph = graph
        self.weights = weights
        self.parts = parts_of(weights.config)
        self.num_positions = num_positions
        self._products = Products(graph, is_symmetric=is_symmetric)
        self._joint: dict[tuple[int, ...], Value] = {}
        self._signed_sines: Value | None = None

    @property
    def architecture(self) -> Architecture:
        """What the network is made of."""
        return self.weights.config

    def enter(self, layer: str | None) -> None:
        """Operators are numbered, whatever layer they are of."""

    def norm(self, x: Value, norm: Layer) -> Value:
        """RMSNorm or LayerNorm of x [N, d_model]."""
        graph, is_layer_norm = self.graph, self.architecture.norm == "layer"
        if is_layer_norm:
            x = graph.binary("SUB", x, self._mean(x))
        square = self._mean(graph.binary("MUL", x, x))
        shifted = graph.binary("ADD", square, graph.scalar(self.architecture.norm_epsilon))
        inverse = graph.op("RSQRT", shifted, shape=shifted.shape)
        gains = graph.constant(self.weights.floats(norm.name), norm.weight)
        normed = graph.binary("MUL", graph.binary("MUL", x, inverse), gains)
        if is_layer_norm:
            normed = graph.binary("ADD", normed, graph.constant(self.weights.bias(norm.name), norm.bias))
        return graph.expose(normed, norm.name)

    def _mean(self, x: Value) -> Value:
        return self.graph.op("MEAN", x, self.graph.integers(1), shape=(x.shape[0], 1), keepDims=True)

    def linear(self, x: Value, *layers: Layer) -> tuple[Value, ...]:
        """The products of x [N, in] with several matrices side by side, [N, sum of out].

        What is returned for several of them stands for parts, which `joint` knows. Matrices stored alike become one
        matrix, so that activations are rounded once.
        """
        fused = self.graph.expose(
            self._product(x, layers), *(layer.name for layer in layers), widths=tuple(layer.rows for layer in layers)
        )
        if len(layers) == 1:
            return (fused,)
        parts = tuple(Value(-1 - fused.index - place, ()) for place in range(len(layers)))
        self._joint[tuple(part.index for part in parts)] = fused
        return parts

    def joint(self, parts: tuple[Value, ...]) -> Value:
        """What `linear` computed for several layers, side by side."""
        return self._joint[tuple(part.index for part in parts)]

    def _product(self, x: Value, layers: tuple[Layer, ...]) -> Value:
        matrices = tuple(self.weights.matrix(layer.name) for layer in layers)
        if can_join(matrices):
            bias = _joint_bias(self.weights, layers)
            return self._products.product(
                x, concatenate(matrices), name="+".join(layer.name for layer in layers), bias=bias
            )
        products = [self._product(x, (layer,)) for layer in layers]
        shape = (x.shape[0], sum(layer.rows for layer in layers))
        return self.graph.op("CONCATENATION", *products, shape=shape, axis=1)

    def linear_plus(self, x: Value, layer: Layer, residual: Value) -> Value:
        """The product of x with one matrix, and the residual sum."""
        (product,) = self.linear(x, layer)
        assert layer.block is not None
        return self.add(residual, product, layer.block)

    def add(self, residual: Value, change: Value, block: str) -> Value:
        """The residual sum after a block."""
        return self.graph.expose(self.graph.binary("ADD", residual, change), block + SUM)

    def project(self, x: Value, projection: Layer) -> Value:
        """[N, V] float32 from x [N, d_model]."""
        bias = self.weights.bias(projection.name) if projection.has_bias else None
        matrix = self.weights.matrix(projection.name)
        logits = self._products.product(x, matrix, name=projection.name, bias=bias)
        return self.graph.expose(logits, OUTPUT_PROJECTION)

    def scale(self, x: Value, factor: float, name: str) -> Value:
        """x times a factor."""
        return self.graph.expose(self._scaled(x, factor), name)

    def _scaled(self, x: Value, factor: float) -> Value:
        return x if factor == 1.0 else self.graph.binary("MUL", x, self.graph.scalar(factor))

    def embed(self, table: Layer, ids: Value, scale: float) -> Value:
        """[N, d_model] float32 from ids [N]."""
        rows = self._products.rows(ids, self.weights.matrix(table.name), name=table.name)
        return self.graph.expose(self._scaled(rows, scale), table.name)

    def rotation_at(self, positions: Value, *shape: int) -> Value:
        """The rotary tables of `positions` [N], in a shape that broadcasts over heads: cosines, and beside them sines
        whose first half is negative."""
        halves = rotary_tables(self.architecture.head_dim, self.num_positions)
        cosines, sines = (np.concatenate(pair, axis=1) for pair in ((halves[0],) * 2, (-halves[1], halves[1])))
        self._signed_sines = self.graph.reshape(self._looked_up(positions, sines, "rotary_sines"), *shape)
        return self.graph.reshape(self._looked_up(positions, cosines, "rotary_cosines"), *shape)

    def _looked_up(self, positions: Value, table: Array, name: str) -> Value:
        stored = self.graph.constant(table, name)
        return self.graph.op("EMBEDDING_LOOKUP", positions, stored, shape=(positions.shape[0], table.shape[1]))

    def placed(self, x: Value, stack: Encoder | Decoder, positions: Value) -> Value:
        """x [N, d_model] plus the vectors of `positions` [N] or [1]."""
        rows = self._looked_up(
            positions, position_table(self.weights, stack, num_positions=self.num_positions), positions_name(stack)
        )
        return self.graph.expose(self.graph.binary("ADD", x, rows), positions_name(stack))

    def split_heads(
        self, attention: Attention, by_head: Value, rotation: Value | None, *, axis: int
    ) -> tuple[Value, Value, Value]:
        """Queries, keys and values from all heads side by side along `axis`."""
        graph, heads, kv_heads = self.graph, attention.n_heads, attention.n_kv_heads
        if rotation is None:
            query, key, value = graph.split(by_head, (heads, kv_heads, kv_heads), axis=axis)
            return query, key, value
        turning, value = graph.split(by_head, (heads + kv_heads, kv_heads), axis=axis)
        query, key = graph.split(self._rotate(turning, rotation), (heads, kv_heads), axis=axis)
        layout: Layout = "heads" if axis == 0 else "rows"
        graph.expose(query, attention.name + ROTATED_QUERY, layout=layout)
        graph.expose(key, attention.name + ROTATED_KEY, layout=layout)
        return query, key, value

    def _rotate(self, x: Value, cosines: Value) -> Value:
        """x [..., D] at its positions; the head is split in halves, not interleaved."""
        graph, half = self.graph, x.shape[-1] // 2
        axis = len(x.shape) - 1
        assert self._signed_sines is not None
        first, second = graph.ops("SPLIT", graph.integer(axis), x, shapes=[(*x.shape[:-1], half)] * 2, numSplits=2)
        swapped = graph.op("CONCATENATION", second, first, shape=x.shape, axis=axis)
        turned = graph.binary("MUL", swapped, self._signed_sines)
        return graph.binary("ADD", graph.binary("MUL", x, cosines), turned)

    def scores_and_values(
        self, attention: Attention, query: Value, key: Value, value: Value, *added: Value | None
    ) -> Value:
        """softmax(query keyᵀ · scale + what is added) value (Vaswani et al. 2017, eq. 1).

        Args:
            attention: whose heads they are.
            query: [..., K, G·T, D]; the queries of a group lie together, so no key or value is repeated.
            key: [..., K, S, D].
            value: [..., K, S, D].
            *added: to the scores, broadcast to [..., K, G·T, S]; None is nothing.

        Returns:
            [..., K, G·T, D].
        """
        graph, scaled = self.graph, self._scaled(query, attention.scale)
        shape = (*query.shape[:-1], key.shape[-2])
        scores = graph.op("BATCH_MATMUL", scaled, key, shape=shape, adjY=True)
        for one in added:
            if one is not None:
                scores = graph.binary("ADD", scores, one)
        shares = graph.op("SOFTMAX", scores, shape=shape, beta=1.0)
        return graph.op("BATCH_MATMUL", shares, value, shape=query.shape)

    def bias_table(self, stack: Encoder | Decoder, buckets: Array) -> Array:
        """[distances, H] from the bucket of each distance."""
        assert stack.relative_bias is not None
        rows: Array = self.weights.floats(stack.relative_bias.name)[buckets]
        return rows

    def activate(self, block: FeedForward, up: Value) -> Value:
        """The activation of up [N, d_ff]."""
        return self.graph.expose(self._activation(up), block.name + HIDDEN)

    def gate(self, block: FeedForward, gate: Value, up: Value) -> Value:
        """SwiGLU and its kin (Shazeer 2020, arXiv:2002.05202, eq. 6)."""
        gate, up = self.halves(self.joint((gate, up)))
        gated = self.graph.binary("MUL", self._activation(gate), up)
        return self.graph.expose(gated, block.name + HIDDEN)

    def halves(self, x: Value) -> list[Value]:
        """Both halves of x [N, 2 · width]."""
        rows, width = x.shape
        return self.graph.ops("SPLIT", self.graph.integer(1), x, shapes=[(rows, width // 2)] * 2, numSplits=2)

    def _activation(self, x: Value) -> Value:
        graph, kind = self.graph, self.architecture.activation
        if kind == "relu":
            return graph.op("RELU", x, shape=x.shape)
        if kind == "silu":
            return graph.binary("MUL", x, graph.op("LOGISTIC", x, shape=x.shape))
        return graph.op("GELU", x, shape=x.shape, approximate=kind == "gelu_tanh")


def _joint_bias(weights: Weights, layers: tuple[Layer, ...]) -> Array | None:
    """[sum of out] float32, with zeros for a layer that has none among others; None where no layer has one."""
    if not any(layer.has_bias for layer in layers):
        return None
    parts = [weights.bias(layer.name) if layer.has_bias else np.zeros(layer.rows, np.float32) for layer in layers]
    return np.concatenate(parts)
