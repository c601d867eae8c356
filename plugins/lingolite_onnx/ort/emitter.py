"""The operations of the network in ONNX Runtime's own operators: what all graphs of the ORT profile share.

Owns embedding, norms, linear maps and attention over buffers; how a weight matrix is multiplied is in
`lingolite_onnx.ort.products`, and what differs between encoder and decoders in `lingolite_onnx.ort.graphs`.
B batch, S source, H heads, K key/value heads, G = H / K, D head_dim, L positions.
"""

from __future__ import annotations

import msgspec
import numpy as np

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.parts import Attention, Decoder, Encoder, FeedForward, Layer, parts_of, tied_layers
from lingolite_cli.architecture.recording import HIDDEN, OUTPUT_PROJECTION, SUM, positions_name
from lingolite_cli.architecture.rotary import rotary_tables
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import Matrix, Weights, can_join, concatenate
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_cli.weights.positions import position_table
from lingolite_onnx.biases import joint_bias
from lingolite_onnx.graph import RUNTIME_DOMAIN, GraphBuilder
from lingolite_onnx.naming import joined_name
from lingolite_onnx.ort.blocks import blocks
from lingolite_onnx.ort.products import Gated, Products


class Lengths(msgspec.Struct, frozen=True):
    """How long sequences are: int32 `last_positions` [B], each row's length less 1, and `longest` []."""

    last_positions: str
    longest: str


class OrtEmitter:
    """Operations of one graph; see `lingolite_cli.architecture.operations.Operations`.

    Args:
        weights: the model's weights.
        products: how its graph multiplies.
        num_positions: rows of the tables of positions.
    """

    def __init__(self, weights: Weights, products: Products, *, num_positions: int) -> None:
        self.num_positions = num_positions
        self.graph: GraphBuilder = products.graph
        self.weights = weights
        self.parts = parts_of(weights.config)
        self.products = products
        self._joint: dict[tuple[str, ...], str] = {}
        self._gated: dict[str, tuple[str, FeedForward]] = {}

    @property
    def architecture(self) -> Architecture:
        """What the network is made of."""
        return self.weights.config

    def enter(self, layer: str | None) -> None:
        """Nodes of a layer have its name without that of the stack."""
        self.graph.enter(layer and layer.partition(".")[2])

    def rotation(self, stack: Encoder | Decoder) -> str:
        """GroupQueryAttention rotates by itself."""
        return stack.name

    def linear(self, x: str, *layers: Layer) -> tuple[str, ...]:
        """The products of x [..., in] with several matrices side by side, [..., sum of out].

        What is returned for several of them are names of parts, which `joint` knows. A gate without biases waits for
        `linear_plus`, because it is one product with what follows.
        """
        if layers[0].role == "gate" and not layers[0].has_bias:
            parts = tuple(f"{layer.name} of {x}" for layer in layers)
            self._joint[parts] = x
            return parts
        fused = self.graph.expose(
            self._product(x, layers), *(layer.name for layer in layers), widths=tuple(layer.rows for layer in layers)
        )
        if len(layers) == 1:
            return (fused,)
        parts = tuple(f"{fused}[{place}]" for place in range(len(layers)))
        self._joint[parts] = fused
        return parts

    def _product(self, x: str, layers: tuple[Layer, ...]) -> str:
        names = [layer.name for layer in layers]
        matrices = tuple(self.weights.matrix(name) for name in names)
        bias = joint_bias(self.weights, layers)
        if can_join(matrices):
            return self.products.product(x, concatenate(matrices), name=joined_name(names), bias=bias)
        parts = [self.products.product(x, matrix, name=name) for matrix, name in zip(matrices, names, strict=True)]
        return self.products.plus_bias(self.graph.op("Concat", *parts, axis=-1), bias, name=joined_name(names))

    def joint(self, parts: tuple[str, ...]) -> str:
        """What `linear` computed for several layers, side by side."""
        return self._joint[parts]

    def linear_plus(self, x: str, layer: Layer, residual: str) -> str:
        """The product of x [..., in] with one matrix, added to `residual`."""
        if x in self._gated:
            total = self._gated_plus(*self._gated[x], residual)
        else:
            bias = joint_bias(self.weights, (layer,))
            matrix = self.weights.matrix(layer.name)
            total = self.products.product(x, matrix, name=layer.name, plus=residual, bias=bias)
        return self.graph.expose(total, f"{layer.block}{SUM}")

    def _gated_plus(self, x: str, block: FeedForward, residual: str) -> str:
        assert block.gate is not None
        ordered = (block.gate.name, block.up.name, block.down.name)
        parts = Gated(*(self.weights.matrix(name) for name in ordered))
        return self.products.gated(x, parts, names=ordered, plus=residual)

    def add(self, residual: str, change: str, block: str) -> str:
        """The residual sum after a block."""
        return self.graph.expose(self.graph.op("Add", residual, change), block + SUM)

    def gate(self, block: FeedForward, gate: str, up: str) -> str:
        """The activation of `gate` times `up`; with a gate that waits for `linear_plus`, a name that it knows."""
        name = block.name + HIDDEN
        if block.up.has_bias:
            gate, up = self.graph.ops("Split", self.joint((gate, up)), names=[None, None], axis=-1, num_outputs=2)
            return self.graph.expose(self.graph.op("Mul", self.products.activate(gate), up), name)
        self._gated[name] = (self.joint((gate, up)), block)
        return name

    def activate(self, block: FeedForward, up: str) -> str:
        """The activation of up [..., d_ff]."""
        return self.products.activate_for(up, self.weights.matrix(block.down.name), name=block.name + HIDDEN)

    def scale(self, x: str, factor: float, name: str) -> str:
        """x times a factor."""
        return self.graph.expose(self.graph.op("Mul", x, self.graph.scalar(factor)), name)

    def logits(self, x: str, projection: Layer, *, output: str) -> str:
        """[..., V] logits; a tied matrix is the very bytes of the embedding.

        int8 and grouped matrices need no special way: their blocks are [out, in] already, as an embedding is.
        """
        matrix, bias = self.weights.matrix(projection.name), joint_bias(self.weights, (projection,))
        if isinstance(matrix, Matrix) and matrix.scale is None:
            name = self.projection_name
            product = self.products.by_rows(x, matrix, name=name, output=output if bias is None else None)
            return self.products.plus_bias(product, bias, name=OUTPUT_PROJECTION, output=output)
        return self.products.product(x, matrix, name=OUTPUT_PROJECTION, output=output, bias=bias)

    def embed(self, table: Layer, ids: str, scale: float) -> str:
        """[..., d_model] float32 from ids [...]."""
        rows = self._rows(ids, self.weights.matrix(table.name), "embedding")
        if scale != 1.0:
            rows = self.graph.op("Mul", rows, self.graph.scalar(scale))
        return self.graph.expose(rows, table.name)

    def projection_rows(self, ids: str) -> str:
        """[..., d_model] float32: the rows of the output projection for ids [...]."""
        return self._rows(ids, self.weights.matrix(self.parts.decoder.projection.name), self.projection_name)

    @property
    def projection_name(self) -> str:
        """What the constants of the output projection are called: a tied matrix is the very bytes of the embedding."""
        is_tied = self.parts.decoder.projection.name in tied_layers(self.architecture)
        return "embedding" if is_tied else OUTPUT_PROJECTION

    def _rows(self, ids: str, matrix: Matrix | GroupedMatrix, name: str) -> str:
        if isinstance(matrix, Matrix) and matrix.scale is None:
            rows = self.graph.op("Gather", self.graph.constant(matrix.values, name), ids, axis=0)
            return self.products.as_float32(rows, matrix)
        return self._quantized_rows(ids, matrix, name)

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
        width = self.architecture.d_model
        if data.shape[1] * 8 // bits == width:
            return rows
        # The rows of a block-wise int8 matrix are padded to whole blocks.
        return graph.op("Slice", rows, graph.integers(0), graph.integers(width), graph.integers(-1))

    def norm(self, x: str, norm: Layer) -> str:
        """RMSNorm or LayerNorm of x.

        Not fused with the sum before it: SkipSimplifiedLayerNormalization takes twice as long for many rows as a sum
        and this (278 against 106 µs for 500 rows of 512), and as long for one.
        """
        graph, epsilon = self.graph, self.architecture.norm_epsilon
        gains = graph.constant(self.weights.floats(norm.name), norm.name)
        if self.architecture.norm == "layer":
            bias = graph.constant(self.weights.bias(norm.name), norm.bias)
            normed = graph.op("LayerNormalization", x, gains, bias, axis=-1, epsilon=epsilon)
        else:
            normed = graph.op("SimplifiedLayerNormalization", x, gains, axis=-1, epsilon=epsilon, stash_type=1)
        return graph.expose(normed, norm.name)

    def position_rows(self, stack: Encoder | Decoder, positions: str) -> str:
        """The vectors of `positions` that are added to embeddings."""
        table = self.graph.constant(
            position_table(self.weights, stack, num_positions=self.num_positions), positions_name(stack)
        )
        return self.graph.op("Gather", table, positions, axis=0)

    def bias_table(self, stack: Encoder | Decoder, buckets: Array) -> str:
        """[H, distances] float32, from the bucket of each distance."""
        assert stack.relative_bias is not None
        table = self.weights.floats(stack.relative_bias.name)
        return self.graph.constant(np.ascontiguousarray(table[buckets].T), stack.relative_bias.name)

    def heads(self, attention: Attention, parts: tuple[str, ...], rotation: str | None) -> tuple[str, ...]:
        """GroupQueryAttention splits by itself."""
        return parts

    def grouped_query_attention(
        self,
        attention: Attention,
        fused: str,
        lengths: Lengths,
        *,
        past: tuple[str, str],
        present: tuple[str | None, str | None],
        is_causal: bool,
        bias: str | None,
    ) -> str:
        """[B, T, H·D] from queries, keys and values side by side, [B, T, (H + 2K)·D].

        Args:
            attention: whose they are.
            fused: of T new tokens.
            lengths: of each row with its new tokens, and of the longest.
            past: keys and values so far, [B, K, capacity, D]; empty names where there are none.
            present: names for the same with the new ones, or None; bound to the memory of `past`, they are written in
                place.
            is_causal: a token sees none that follow it.
            bias: [1, H, T, longest], added to the scores.
        """
        tables = self._rotary_tables() if self.parts.is_rotary else ("", "")
        attributes: dict[str, int | float] = {} if is_causal else {"causal": 0}
        if self.architecture.attention_scale is not None:
            attributes["scale"] = attention.scale
        inputs = [fused, "", "", *past, lengths.last_positions, lengths.longest, *tables]
        if bias is not None:
            inputs += ["", bias]
        attended, *_ = self.graph.ops(
            "GroupQueryAttention",
            *inputs,
            names=[None, *present],
            domain=RUNTIME_DOMAIN,
            num_heads=attention.n_heads,
            kv_num_heads=attention.n_kv_heads,
            do_rotary=int(self.parts.is_rotary),
            **attributes,
        )
        return attended

    def _rotary_tables(self) -> tuple[str, str]:
        cosines, sines = rotary_tables(self.architecture.head_dim, self.num_positions)
        return self.graph.constant(cosines, "rotary_cosines"), self.graph.constant(sines, "rotary_sines")
