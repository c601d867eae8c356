"""The parts of the model in ONNX Runtime's own operators: embedding, fused linear maps, norms, attention over
buffers, SwiGLU.

B batch, S source, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

import msgspec
import numpy as np

from lingolite_cli.architecture.architecture import NORM_EPSILON, Architecture
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.architecture.tensors import OUTPUT_PROJECTION, SUM, FeedForwardNames, LayerNames, layer_names
from lingolite_cli.weights.bundle import Matrix, Weights, can_join, concatenate
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_onnx.graph import RUNTIME_DOMAIN, GraphBuilder
from lingolite_onnx.naming import joined_name
from lingolite_onnx.ort.blocks import blocks
from lingolite_onnx.ort.products import Gated, Products


class Lengths(msgspec.Struct, frozen=True):
    """How long sequences are: int32 `last_positions` [B], each row's length less 1, and `longest` []."""

    last_positions: str
    longest: str


class OrtLayers:
    """Layers of one graph.

    Args:
        weights: the model's weights.
        products: how its graph multiplies.
        num_positions: rows of the rotary tables.
    """

    def __init__(self, weights: Weights, products: Products, *, num_positions: int) -> None:
        self._num_positions = num_positions
        self.graph: GraphBuilder = products.graph
        self.weights = weights
        self.names: LayerNames = layer_names(weights.config)
        self._products = products

    @property
    def config(self) -> Architecture:
        """The shape of the model."""
        return self.weights.config

    def linear(self, x: str, *names: str) -> str:
        """[..., sum of out]: the products of x [..., in] with several matrices side by side."""
        matrices = tuple(self.weights.matrix(name) for name in names)
        widths = tuple(matrix.rows for matrix in matrices)
        if can_join(matrices):
            product = self._products.product(x, concatenate(matrices), name=joined_name(names))
            return self.graph.expose(product, *names, widths=widths)
        parts = [self._products.product(x, matrix, name=name) for matrix, name in zip(matrices, names, strict=True)]
        return self.graph.expose(self.graph.op("Concat", *parts, axis=-1), *names, widths=widths)

    def linear_plus(self, x: str, name: str, residual: str) -> str:
        """[..., out]: the product of x [..., in] with one matrix, added to `residual`."""
        return self._products.product(x, self.weights.matrix(name), name=name, plus=residual)

    def projection(self, x: str, *, output: str) -> str:
        """[..., V] logits; a tied matrix is the very bytes of the embedding.

        int8 and grouped matrices need no special way: their blocks are [out, in] already, as an embedding is.
        """
        matrix = self.weights.matrix(self.names.decoder.projection)
        if isinstance(matrix, Matrix) and matrix.scale is None:
            name = "embedding" if self.config.tie_embeddings else OUTPUT_PROJECTION
            return self._products.by_rows(x, matrix, name=name, output=output)
        return self._products.product(x, matrix, name=OUTPUT_PROJECTION, output=output)

    def embedding(self, ids: str, name: str) -> str:
        """[..., d_model] float32 from ids [...] by the embedding `name`, times sqrt(d_model)."""
        rows = self._rows(ids, self.weights.matrix(name), "embedding")
        return self.graph.expose(self.graph.op("Mul", rows, self.graph.scalar(np.sqrt(self.config.d_model))), name)

    def projection_rows(self, ids: str, *, output: str) -> str:
        """[N, d_model] float32: the rows of the output projection for ids [N]."""
        matrix = self.weights.matrix(self.names.decoder.projection)
        rows = self._rows(ids, matrix, "embedding" if self.config.tie_embeddings else OUTPUT_PROJECTION)
        return self.graph.op("Identity", rows, name=output)

    def _rows(self, ids: str, matrix: Matrix | GroupedMatrix, name: str) -> str:
        return (
            self._float_rows(ids, matrix, name) if self._is_float(matrix) else self._quantized_rows(ids, matrix, name)
        )

    def _is_float(self, matrix: Matrix | GroupedMatrix) -> bool:
        return isinstance(matrix, Matrix) and matrix.scale is None

    def _float_rows(self, ids: str, matrix: Matrix | GroupedMatrix, name: str) -> str:
        assert isinstance(matrix, Matrix)
        rows = self.graph.op("Gather", self.graph.constant(matrix.values, name), ids, axis=0)
        return self._products.as_float32(rows, matrix)

    def _quantized_rows(self, ids: str, matrix: Matrix | GroupedMatrix, name: str) -> str:
        graph = self.graph
        if isinstance(matrix, GroupedMatrix):
            data, scale, bits, block_size = matrix.packed, matrix.scale, matrix.bits, matrix.group_size
            zero_point = matrix.zero_point
        else:
            stored, scale = blocks(matrix)
            data, bits, zero_point, block_size = stored.reshape(len(stored), -1), 8, None, stored.shape[2]
        parts = [graph.constant(scale, f"{name}.scale")]
        if zero_point is not None:
            parts.append(graph.constant(zero_point, f"{name}.zero_point"))
        rows = graph.op(
            "GatherBlockQuantized",
            graph.constant(data, name),
            ids,
            *parts,
            domain=RUNTIME_DOMAIN,
            gather_axis=0,
            quantize_axis=1,
            block_size=block_size,
            bits=bits,
        )
        if data.shape[1] * 8 // bits == self.config.d_model:
            return rows
        # The rows of a block-wise int8 matrix are padded to whole blocks.
        return graph.op("Slice", rows, graph.integers(0), graph.integers(self.config.d_model), graph.integers(-1))

    def norm(self, x: str, name: str) -> str:
        """RMSNorm of x.

        Not fused with the sum before it: SkipSimplifiedLayerNormalization takes twice as long for many rows as a sum
        and this (278 against 106 µs for 500 rows of 512), and as long for one.
        """
        gains = self.graph.constant(self.weights.norm(name), name)
        normed = self.graph.op("SimplifiedLayerNormalization", x, gains, axis=-1, epsilon=NORM_EPSILON, stash_type=1)
        return self.graph.expose(normed, name)

    def self_attention(
        self,
        fused: str,
        lengths: Lengths,
        *,
        past: tuple[str, str],
        present: tuple[str | None, str | None],
        is_causal: bool,
    ) -> str:
        """[B, T, H·D] from queries, keys and values side by side, [B, T, (H + 2K)·D], at rotary positions.

        Args:
            fused: of T new tokens.
            lengths: of each row with its new tokens, and of the longest.
            past: keys and values so far, [B, K, capacity, D]; empty names where there are none.
            present: names for the same with the new ones, or None; bound to the memory of `past`, they are written in
                place.
            is_causal: a token sees none that follow it.
        """
        config = self.config
        tables = rotary_tables(config.head_dim, self._num_positions)
        cosines, sines = (
            self.graph.constant(table, name)
            for table, name in zip(tables, ("rotary_cosines", "rotary_sines"), strict=True)
        )
        attributes = {} if is_causal else {"causal": 0}
        attended, *_ = self.graph.ops(
            "GroupQueryAttention",
            *(fused, "", "", *past, lengths.last_positions, lengths.longest, cosines, sines),
            names=[None, *present],
            domain=RUNTIME_DOMAIN,
            num_heads=config.n_heads,
            kv_num_heads=config.n_kv_heads,
            do_rotary=1,
            **attributes,
        )
        return attended

    def cross_attention(self, query: str, transposed_key: str, value: str, bias: str) -> str:
        """Attention of one query a row, [B, 1, H·D], to a source; `bias` [B, 1, 1, S] hides padding.

        The queries of a group lie together as [B, K, G, D], so no key or value is repeated. GroupQueryAttention over
        keys and values as a cache that is already full would be about as fast.
        """
        graph, config = self.graph, self.config
        group = config.n_heads // config.n_kv_heads
        grouped = graph.op("Reshape", query, graph.integers(-1, config.n_kv_heads, group, config.head_dim))
        scores = graph.op(
            "FusedMatMul", grouped, transposed_key, domain=RUNTIME_DOMAIN, alpha=float(config.head_dim**-0.5)
        )
        shares = graph.op("Softmax", graph.op("Add", scores, bias), axis=-1)
        attended = graph.op("MatMul", shares, value)
        return graph.op("Reshape", attended, graph.integers(-1, 1, config.d_model))

    def feed_forward_plus(self, x: str, names: FeedForwardNames, residual: str) -> str:
        """SwiGLU of x [..., d_model], added to `residual`."""
        ordered = (names.gate, names.up, names.down)
        parts = Gated(*(self.weights.matrix(name) for name in ordered))
        total = self._products.gated(x, parts, names=ordered, plus=residual)
        return self.graph.expose(total, names.name + SUM)
