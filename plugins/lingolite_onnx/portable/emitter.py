"""The operations of the network as standard ONNX operators: what both graphs share.

Owns norms, activations, products side by side and the scores of attention; how a weight matrix is multiplied is in
`lingolite_onnx.portable.products`, and what differs between encoder and decoder in `lingolite_onnx.portable.graphs`.
Hidden states are [N, d_model] throughout, where N counts tokens: B·S in the encoder, B in the decoder, which reads one
token a call. B batch, S source, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.architecture import Activation, Architecture
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, FeedForward, Layer, parts_of, tied_layers
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
from lingolite_onnx.biases import joint_bias
from lingolite_onnx.graph import GraphBuilder
from lingolite_onnx.interface import LOGITS, MASKED
from lingolite_onnx.naming import joined_name
from lingolite_onnx.portable.products import PortableProducts


class PortableEmitter:
    """Operations of one graph; see `lingolite_cli.architecture.operations.Operations`.

    Args:
        graph: where the nodes go.
        weights: the model's weights.
        num_positions: rows of the tables of positions.
        is_exact: compute what lies between integer products in float64. Its last bits depend on the order of sums and
            on the library, and one of them can move an activation to the next integer; rounded from float64 they
            are the same everywhere.
    """

    def __init__(self, graph: GraphBuilder, weights: Weights, *, num_positions: int, is_exact: bool) -> None:
        self.graph = graph
        self.weights = weights
        self.parts = parts_of(weights.config)
        self.num_positions = num_positions
        # Only rounding to integers turns a last bit into a different token, so float graphs stay in float32.
        self._is_exact = is_exact and weights.has_int8
        self._products = PortableProducts(graph)
        self._joint: dict[tuple[str, ...], str] = {}
        self._signed_sines = ""

    @property
    def architecture(self) -> Architecture:
        """What the network is made of."""
        return self.weights.config

    def enter(self, layer: str | None) -> None:
        """Nodes of a layer have its name without that of the stack."""
        self.graph.enter(layer and layer.partition(".")[2])

    def mask(self, mask: str) -> str:
        """[B, 1, 1, S] to add to scores."""
        graph = self.graph
        additive = graph.op("Where", mask, self.scalar(0.0), self.scalar(MASKED))
        return graph.op("Unsqueeze", additive, graph.integers(1, 2))

    def causal(self) -> None:
        """The decoder reads one token a call."""

    def norm(self, x: str, norm: Layer) -> str:
        """RMSNorm or LayerNorm of x [N, d_model]."""
        graph = self.graph
        gains = graph.constant(self.weights.floats(norm.name), norm.name)
        if self.architecture.norm == "layer":
            return graph.expose(self._layer_norm(x, gains, norm), norm.name)
        if self._is_exact:
            return graph.expose(self.rounded(self._exactly_scaled(self.exact(x), gains)), norm.name)
        root = self._root_mean(graph.op("Pow", x, graph.scalar(2.0)))
        return graph.expose(graph.op("Mul", graph.op("Div", x, root), gains), norm.name)

    def _layer_norm(self, x: str, gains: str, norm: Layer) -> str:
        graph = self.graph
        bias = graph.constant(self.weights.bias(norm.name), norm.bias)
        if not self._is_exact:
            epsilon = self.architecture.norm_epsilon
            return graph.op("LayerNormalization", x, gains, bias, axis=-1, epsilon=epsilon)
        wide = self.exact(x)
        centered = graph.op("Sub", wide, graph.op("ReduceMean", wide, graph.integers(-1), keepdims=1))
        return self.rounded(graph.op("Add", self._exactly_scaled(centered, gains), self.exact(bias)))

    def _exactly_scaled(self, x: str, gains: str) -> str:
        """x [N, d_model] float64 over its root mean square, times `gains`."""
        # Written so that no fusion knows it: ONNX Runtime 1.24 puts a float32 norm in the place of a float64 one.
        graph = self.graph
        inverse = graph.op("Div", self.exact(gains), self._root_mean(graph.op("Mul", x, x)))
        return graph.op("Mul", x, inverse)

    def _root_mean(self, square: str) -> str:
        graph = self.graph
        mean = graph.op("ReduceMean", square, graph.integers(-1), keepdims=1)
        return graph.op("Sqrt", graph.op("Add", mean, self.scalar(self.architecture.norm_epsilon)))

    def linear(self, x: str, *layers: Layer) -> tuple[str, ...]:
        """The products of x [N, in] with several matrices side by side, [N, sum of out].

        What is returned for several of them are names of parts, which `joint` knows. Matrices stored alike become one
        matrix, because one large product is faster than several small ones.
        """
        fused = self.graph.expose(
            self._product(x, layers),
            *(layer.name for layer in layers),
            widths=tuple(layer.rows for layer in layers),
        )
        if len(layers) == 1:
            return (fused,)
        parts = tuple(f"{fused}[{place}]" for place in range(len(layers)))
        self._joint[parts] = fused
        return parts

    def _product(self, x: str, layers: Sequence[Layer]) -> str:
        graph, name = self.graph, joined_name(layer.name for layer in layers)
        matrices = tuple(self.weights.matrix(layer.name) for layer in layers)
        if can_join(matrices):
            product = self._products.product(x, concatenate(matrices), name=name)
        else:
            parts = [
                self._products.product(x, matrix, name=layer.name)
                for matrix, layer in zip(matrices, layers, strict=True)
            ]
            product = graph.op("Concat", *parts, axis=-1)
        bias = joint_bias(self.weights, layers)
        return product if bias is None else self._products.biased(product, bias, matrices, name=name)

    def joint(self, parts: tuple[str, ...]) -> str:
        """What `linear` computed for several layers, side by side."""
        return self._joint[parts]

    def linear_plus(self, x: str, layer: Layer, residual: str) -> str:
        """The product of x with one matrix, and the residual sum."""
        (product,) = self.linear(x, layer)
        assert layer.block is not None
        return self.add(residual, product, layer.block)

    def add(self, residual: str, change: str, block: str) -> str:
        """The residual sum after a block."""
        return self.graph.expose(self.graph.op("Add", residual, change), block + SUM)

    def project(self, x: str, projection: Layer) -> str:
        """[N, V] float32, the output `logits` of the graph, from x [N, d_model]."""
        stored_as = "embedding" if projection.name in tied_layers(self.architecture) else OUTPUT_PROJECTION
        bias = self.weights.bias(projection.name) if projection.has_bias else None
        self._products.projection(x, self.weights.matrix(projection.name), stored_as=stored_as, bias=bias)
        return self.graph.expose(LOGITS, OUTPUT_PROJECTION)

    def scale(self, x: str, factor: float, name: str) -> str:
        """x times a factor."""
        return self.graph.expose(self.graph.op("Mul", x, self.graph.scalar(factor)), name)

    def embed(self, table: Layer, ids: str, scale: float) -> str:
        """[N, d_model] float32 from ids [N]."""
        rows = self._products.rows(ids, self.weights.matrix(table.name), name="embedding")
        if scale != 1.0:
            rows = self.graph.op("Mul", rows, self.graph.scalar(scale))
        return self.graph.expose(rows, table.name)

    def rotation_at(self, positions: str) -> str:
        """The rotary tables of `positions` [T], float32 and broadcast over heads: cosines, and beside them sines whose
        first half is negative."""
        graph = self.graph
        tables = rotary_tables(self.architecture.head_dim, self.num_positions)
        axis = graph.integers(1)
        cosines, sines = (
            graph.op("Unsqueeze", graph.op("Gather", graph.constant(table, name), positions, axis=0), axis)
            for table, name in zip(tables, ("rotary_cosines", "rotary_sines"), strict=True)
        )
        self._signed_sines = graph.op("Concat", graph.op("Neg", sines), sines, axis=-1)
        return graph.op("Concat", cosines, cosines, axis=-1)

    def position_rows(self, stack: Encoder | Decoder, positions: str) -> str:
        """[T, d_model], the vectors of `positions` [T] that are added to embeddings."""
        table = self.graph.constant(
            position_table(self.weights, stack, num_positions=self.num_positions), positions_name(stack)
        )
        return self.graph.op("Gather", table, positions, axis=0)

    def expose_positions(self, x: str, stack: Encoder | Decoder) -> str:
        """x, noted as the embeddings with their positions."""
        return self.graph.expose(x, positions_name(stack))

    def split_heads(
        self, attention: Attention, by_head: str, rotation: str | None, *, axis: int
    ) -> tuple[str, str, str]:
        """Queries, keys and values from all heads side by side along `axis`."""
        graph, heads, kv_heads = self.graph, attention.n_heads, attention.n_kv_heads
        if rotation is None:
            query, key, value = self.split(by_head, (heads, kv_heads, kv_heads), axis=axis)
            return query, key, value
        turning, value = self.split(by_head, (heads + kv_heads, kv_heads), axis=axis)
        query, key = self.split(self._rotate(turning, rotation), (heads, kv_heads), axis=axis)
        graph.expose(query, attention.name + ROTATED_QUERY)
        graph.expose(key, attention.name + ROTATED_KEY)
        return query, key, value

    def _rotate(self, x: str, cosines: str) -> str:
        """x [..., heads, D] at its positions; the head is split in halves, not interleaved."""
        graph = self.graph
        first, second = graph.ops("Split", x, names=[None, None], axis=-1, num_outputs=2)
        swapped = graph.op("Concat", second, first, axis=-1)
        turned = graph.op("Mul", swapped, self._signed_sines)
        return graph.op("Add", graph.op("Mul", x, cosines), turned)

    def split(self, x: str, sizes: Sequence[int], *, axis: int) -> list[str]:
        """Parts of x along an axis."""
        return self.graph.ops("Split", x, self.graph.integers(*sizes), names=[None] * len(sizes), axis=axis)

    def scores_and_values(
        self, attention: Attention, query: str, transposed_key: str, value: str, *added: str | None
    ) -> str:
        """softmax(query keyᵀ · scale + what is added) value (Vaswani et al. 2017, eq. 1).

        Args:
            attention: whose heads they are.
            query: [B, K, G·T, D]; the queries of a group lie together, so no key or value is repeated.
            transposed_key: [B, K, D, S].
            value: [B, K, S, D].
            *added: to the scores, broadcast to [B, K, G·T, S]; None is nothing.

        Returns:
            [B, K, G·T, D].
        """
        graph, scaled = self.graph, self.exact(query)
        if attention.scale != 1.0:
            scaled = graph.op("Mul", scaled, self.scalar(attention.scale))
        scores = graph.op("MatMul", scaled, self.exact(transposed_key))
        for one in added:
            if one is not None:
                scores = graph.op("Add", scores, one)
        shares = graph.op("Softmax", scores, axis=-1)
        return self.rounded(graph.op("MatMul", shares, self.exact(value)))

    def bias_table(self, stack: Encoder | Decoder, buckets: Array) -> str:
        """[H, distances] in the dtype of scores, from the bucket of each distance."""
        assert stack.relative_bias is not None
        table = self.weights.floats(stack.relative_bias.name)
        by_distance = np.ascontiguousarray(table[buckets].T)
        return self.graph.constant(
            by_distance.astype(np.float64) if self._is_exact else by_distance, stack.relative_bias.name
        )

    def activate(self, block: FeedForward, up: str) -> str:
        """The activation of up [N, d_ff]."""
        return self.graph.expose(self.rounded(self._activation(self.exact(up))), block.name + HIDDEN)

    def gate(self, block: FeedForward, gate: str, up: str) -> str:
        """SwiGLU and its kin (Shazeer 2020, arXiv:2002.05202, eq. 6)."""
        graph = self.graph
        gate, up = graph.ops("Split", self.joint((gate, up)), names=[None, None], axis=-1, num_outputs=2)
        activated = self._activation(self.exact(gate))
        gated = self.rounded(graph.op("Mul", activated, self.exact(up)))
        return graph.expose(gated, block.name + HIDDEN)

    def _activation(self, x: str) -> str:
        kinds: dict[Activation, Callable[[str], str]] = {
            "relu": self._relu,
            "silu": self._silu,
            "gelu": self._gelu,
            "gelu_tanh": self._gelu_tanh,
        }
        return kinds[self.architecture.activation](x)

    def _relu(self, x: str) -> str:
        return self.graph.op("Relu", x)

    def _silu(self, x: str) -> str:
        graph = self.graph
        if not self._is_exact:
            return graph.op("Mul", x, graph.op("Sigmoid", x))
        # sigmoid(x) = (1 + tanh(x / 2)) / 2: in float64 ONNX Runtime's Tanh takes a third of its Sigmoid's time.
        half = graph.op("Mul", x, self.scalar(0.5))
        return graph.op("Add", half, graph.op("Mul", half, graph.op("Tanh", half)))

    def sigmoid(self, x: str) -> str:
        """In the dtype of x, as `exact` gave it."""
        graph = self.graph
        if not self._is_exact:
            return graph.op("Sigmoid", x)
        half = self.scalar(0.5)
        return graph.op("Add", half, graph.op("Mul", half, graph.op("Tanh", graph.op("Mul", x, half))))

    def _gelu(self, x: str) -> str:
        graph = self.graph
        inner = graph.op("Mul", x, self.scalar(math.sqrt(0.5)))
        # ONNX Runtime has no Erf of float64.
        error = self.exact(graph.op("Erf", self.rounded(inner)))
        half = graph.op("Mul", x, self.scalar(0.5))
        return graph.op("Add", half, graph.op("Mul", half, error))

    def _gelu_tanh(self, x: str) -> str:
        graph = self.graph
        cube = graph.op("Mul", graph.op("Mul", x, x), graph.op("Mul", x, self.scalar(0.044715)))
        inner = graph.op("Mul", graph.op("Add", x, cube), self.scalar(math.sqrt(2 / math.pi)))
        half = graph.op("Mul", x, self.scalar(0.5))
        return graph.op("Add", half, graph.op("Mul", half, graph.op("Tanh", inner)))

    def exact(self, x: str) -> str:
        """x as the dtype of computations whose last bits would not be the same everywhere."""
        return self.graph.op("Cast", x, to=TensorProto.DOUBLE) if self._is_exact else x

    def rounded(self, x: str) -> str:
        """The outcome of such a computation, float32 again."""
        return self.graph.op("Cast", x, to=TensorProto.FLOAT) if self._is_exact else x

    def rounded_sum(self, one: str, other: str, name: str) -> str:
        """The sum of two values of such a computation, float32 again, under a name."""
        if self._is_exact:
            return self.graph.op("Cast", self.graph.op("Add", one, other), to=TensorProto.FLOAT, name=name)
        return self.graph.op("Add", one, other, name=name)

    def scalar(self, value: float) -> str:
        """A constant in such a computation."""
        return self.graph.constant(np.float64(value)) if self._is_exact else self.graph.scalar(value)
