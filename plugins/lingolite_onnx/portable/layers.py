"""The parts of the model as ONNX operators: norms, rotary positions, attention, SwiGLU, embedding and projection.

Owns what a layer computes; how a weight matrix is multiplied is in `lingolite_onnx.portable.products`. Hidden states
are [N, d_model] throughout, where N counts tokens: B·S in the encoder, B in the decoder, which reads one token a call.
B batch, S source, P past, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.architecture import NORM_EPSILON, Architecture
from lingolite_cli.architecture.tensors import HIDDEN, OUTPUT_PROJECTION, SUM, FeedForwardNames, LayerNames, layer_names
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import Weights, can_join, concatenate
from lingolite_onnx.graph import GraphBuilder
from lingolite_onnx.interface import LOGITS, MASKED
from lingolite_onnx.naming import joined_name
from lingolite_onnx.portable.products import PortableProducts


class Rotation(msgspec.Struct, frozen=True):
    """Rotary tables of the positions at hand, float32 and broadcast over heads: cosines, and sines whose first
    half is negative."""

    cosines: str
    signed_sines: str


class PortableLayers:
    """Layers of one graph.

    Args:
        graph: where the nodes go.
        weights: the model's weights.
        is_exact: compute what lies between integer products in float64. Its last bits depend on the order of sums and
            on the library, and one of them can move an activation to the next integer; rounded from float64 they
            are the same everywhere.
    """

    def __init__(self, graph: GraphBuilder, weights: Weights, *, is_exact: bool) -> None:
        self.graph = graph
        self.weights = weights
        self.names: LayerNames = layer_names(weights.config)
        # Only rounding to integers turns a last bit into a different token, so float graphs stay in float32.
        self._is_exact = is_exact and weights.has_int8
        self._products = PortableProducts(graph)

    @property
    def config(self) -> Architecture:
        """The shape of the model."""
        return self.weights.config

    def linear(self, x: str, *names: str) -> str:
        """[N, sum of out]: the products of x [N, in] with several matrices side by side.

        Matrices stored alike become one matrix, because one large product is faster than several small ones.
        """
        matrices = tuple(self.weights.matrix(name) for name in names)
        widths = tuple(matrix.rows for matrix in matrices)
        if can_join(matrices):
            product = self._products.product(x, concatenate(matrices), name=joined_name(names))
            return self.graph.expose(product, *names, widths=widths)
        parts = [self._products.product(x, matrix, name=name) for matrix, name in zip(matrices, names, strict=True)]
        return self.graph.expose(self.graph.op("Concat", *parts, axis=-1), *names, widths=widths)

    def add(self, x: str, change: str, block: str) -> str:
        """The residual sum after a block."""
        return self.graph.expose(self.graph.op("Add", x, change), block + SUM)

    def projection(self, x: str) -> None:
        """[N, V] float32, the output `logits` of the graph, from x [N, d_model]."""
        stored_as = "embedding" if self.config.tie_embeddings else OUTPUT_PROJECTION
        self._products.projection(x, self.weights.matrix(self.names.decoder.projection), stored_as=stored_as)
        self.graph.expose(LOGITS, OUTPUT_PROJECTION)

    def embedding(self, ids: str, name: str) -> str:
        """[N, d_model] float32 from ids [N] by the embedding `name`, times sqrt(d_model)."""
        rows = self._products.rows(ids, self.weights.matrix(name), name="embedding")
        return self.graph.expose(self.graph.op("Mul", rows, self.graph.scalar(np.sqrt(self.config.d_model))), name)

    def norm(self, x: str, name: str) -> str:
        """RMSNorm of x [N, d_model]."""
        graph = self.graph
        gains = graph.constant(self.weights.norm(name), name)
        if self._is_exact:
            # Written so that no fusion knows it: ONNX Runtime 1.24 puts a float32 norm in the place of a float64 one.
            x = self._exact(x)
            inverse = graph.op("Div", self._exact(gains), self._root_mean(graph.op("Mul", x, x)))
            return graph.expose(self._rounded(graph.op("Mul", x, inverse)), name)
        root = self._root_mean(graph.op("Pow", x, graph.scalar(2.0)))
        return graph.expose(graph.op("Mul", graph.op("Div", x, root), gains), name)

    def _root_mean(self, square: str) -> str:
        graph = self.graph
        mean = graph.op("ReduceMean", square, graph.integers(-1), keepdims=1)
        return graph.op("Sqrt", graph.op("Add", mean, self._scalar(NORM_EPSILON)))

    def rotation(self, tables: tuple[Array, Array], positions: str, *, head_axis: int) -> Rotation:
        """The rows of `tables` [max_seq_len, D/2] at `positions`, with an axis for heads put in."""
        graph = self.graph
        axis = graph.integers(head_axis)
        cosines, sines = (
            graph.op("Unsqueeze", graph.op("Gather", graph.constant(table, name), positions, axis=0), axis)
            for table, name in zip(tables, ("rotary_cosines", "rotary_sines"), strict=True)
        )
        signed = graph.op("Concat", graph.op("Neg", sines), sines, axis=-1)
        return Rotation(graph.op("Concat", cosines, cosines, axis=-1), signed)

    def rotate(self, x: str, rotation: Rotation) -> str:
        """x [..., heads, D] at its positions; the head is split in halves, not interleaved."""
        graph = self.graph
        first, second = graph.ops("Split", x, names=[None, None], axis=-1, num_outputs=2)
        swapped = graph.op("Concat", second, first, axis=-1)
        turned = graph.op("Mul", swapped, rotation.signed_sines)
        return graph.op("Add", graph.op("Mul", x, rotation.cosines), turned)

    def attend(self, query: str, transposed_key: str, value: str, mask: str | None) -> str:
        """Attention (Vaswani et al. 2017, arXiv:1706.03762, eq. 1) of grouped queries.

        Args:
            query: [B, K, G·T, D]: the queries of a group lie together, so no key or value is repeated.
            transposed_key: [B, K, D, S].
            value: [B, K, S, D].
            mask: added to the scores, [B, 1, 1, S]; None where every key may be seen.

        Returns:
            [B, K, G·T, D].
        """
        graph = self.graph
        scaled = graph.op("Mul", self._exact(query), self._scalar(self.config.head_dim**-0.5))
        scores = graph.op("MatMul", scaled, self._exact(transposed_key))
        if mask is not None:
            scores = graph.op("Add", scores, mask)
        shares = graph.op("Softmax", scores, axis=-1)
        return self._rounded(graph.op("MatMul", shares, self._exact(value)))

    def mask(self, source_mask: str) -> str:
        """[B, 1, 1, S] to add to scores, from a mask [B, S] that is True on real tokens."""
        graph = self.graph
        additive = graph.op("Where", source_mask, self._scalar(0.0), self._scalar(MASKED))
        return graph.op("Unsqueeze", additive, graph.integers(1, 2))

    def feed_forward(self, x: str, names: FeedForwardNames) -> str:
        """SwiGLU (Shazeer 2020, arXiv:2002.05202, eq. 6) of x [N, d_model]."""
        graph = self.graph
        both = self.linear(x, names.gate, names.up)
        gate, up = graph.ops("Split", both, names=[None, None], axis=-1, num_outputs=2)
        activated = self._silu(self._exact(gate))
        gated = self._rounded(graph.op("Mul", activated, self._exact(up)))
        return self.linear(graph.expose(gated, names.name + HIDDEN), names.down)

    def _silu(self, x: str) -> str:
        graph = self.graph
        if not self._is_exact:
            return graph.op("Mul", x, graph.op("Sigmoid", x))
        # sigmoid(x) = (1 + tanh(x / 2)) / 2: in float64 ONNX Runtime's Tanh takes a third of its Sigmoid's time.
        half = graph.op("Mul", x, self._scalar(0.5))
        return graph.op("Add", half, graph.op("Mul", half, graph.op("Tanh", half)))

    def split_heads(self, x: str, sizes: Sequence[int], *, axis: int) -> list[str]:
        """Parts of x along its axis of heads."""
        return self.graph.ops("Split", x, self.graph.integers(*sizes), names=[None] * len(sizes), axis=axis)

    def _exact(self, x: str) -> str:
        """x as the dtype of computations whose last bits would not be the same everywhere."""
        return self.graph.op("Cast", x, to=TensorProto.DOUBLE) if self._is_exact else x

    def _rounded(self, x: str) -> str:
        """The outcome of such a computation, float32 again."""
        return self.graph.op("Cast", x, to=TensorProto.FLOAT) if self._is_exact else x

    def _scalar(self, value: float) -> str:
        """A constant in such a computation."""
        return self.graph.constant(np.float64(value)) if self._is_exact else self.graph.scalar(value)
