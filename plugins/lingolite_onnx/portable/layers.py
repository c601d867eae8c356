"""The parts of the model as ONNX operators: linear maps, norms, rotary positions, attention, SwiGLU.

Hidden states are [N, d_model] throughout, where N counts tokens: B·S in the encoder, B in the decoder, which
reads one token a call. B batch, S source, P past, H heads, K key/value heads, G = H / K, D head_dim.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.architecture import ModelConfig
from lingolite_cli.architecture.tensors import OUTPUT_PROJECTION, FeedForwardNames, LayerNames, layer_names
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import InputRange, Matrix, Weights, can_join, concatenate
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_onnx.graph import RUNTIME_DOMAIN, GraphBuilder

MASKED = -1e30
"""Added to the score of a padding key: its weight becomes 0, and a row of nothing but padding stays finite."""

SUMS = ".sums"
"""Ends the name of an integer product's output; before it stand the names of its matrices, joined by `JOINT`."""

PRODUCT = ".product"
"""Ends the name of the output of other products likewise; that of the projection is `LOGITS`."""

LOGITS = "logits"

JOINT = "+"

_EPSILON = 1e-6
_FLOAT32 = 1
"""`accuracy_level` of MatMulNBits: activations stay as they are. Above 1 they are rounded by blocks."""


class QuantizedRows(msgspec.Struct, frozen=True):
    """Activations quantized by row: uint8 `values` [N, in] with zero point 128, float32 `scale` [N, 1]."""

    values: str
    scale: str


class Rotation(msgspec.Struct, frozen=True):
    """Rotary tables of the positions at hand, float32 and broadcast over heads: cosines, and sines whose first
    half is negative."""

    cosines: str
    signed_sines: str


class Layers:
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
        self._is_exact = is_exact and weights.has_int8
        self._quantized: dict[str, QuantizedRows] = {}

    @property
    def config(self) -> ModelConfig:
        """The shape of the model."""
        return self.weights.config

    def linear(self, x: str, *names: str) -> str:
        """[N, sum of out]: the products of x [N, in] with several matrices side by side.

        Matrices stored alike become one matrix, because one large product is faster than several small ones.
        """
        matrices = tuple(self.weights.matrix(name) for name in names)
        if can_join(matrices):
            return self.product(x, concatenate(matrices), name=JOINT.join(names))
        products = [self.product(x, matrix, name=name) for matrix, name in zip(matrices, names, strict=True)]
        return self.graph.op("Concat", *products, axis=-1)

    def product(self, x: str, matrix: Matrix | GroupedMatrix, *, name: str) -> str:
        """[N, out] from x [N, in]; a matrix that is not grouped is stored [in, out]."""
        if isinstance(matrix, GroupedMatrix):
            return self._grouped_product(x, matrix, name=name)
        stored = self.graph.constant(np.ascontiguousarray(matrix.values.T), name)
        if matrix.scale is not None:
            return self._integer_product(x, stored, matrix, name=name)
        return self.graph.op("MatMul", x, self._as_float32(stored, matrix))

    def projection(self, x: str) -> None:
        """[N, V] float32, the output `logits` of the graph.

        A tied projection reads the very bytes of the embedding, [V, d_model]. Its int8 transpose is constant, so
        runtimes make it once, when they load the graph; measured, that is faster than to store [d_model, V] and
        look words up by column.
        """
        graph, matrix = self.graph, self.weights.matrix(self.names.decoder.projection)
        if isinstance(matrix, GroupedMatrix):
            self._grouped_product(x, matrix, name=OUTPUT_PROJECTION, output=LOGITS)
            return
        stored = graph.constant(matrix.values, "embedding" if self.config.tie_embeddings else OUTPUT_PROJECTION)
        if matrix.scale is not None:
            transposed = graph.op("Transpose", stored, perm=[1, 0])
            self._integer_product(x, transposed, matrix, name=OUTPUT_PROJECTION, output=LOGITS)
        else:
            graph.op("Gemm", x, self._as_float32(stored, matrix), transB=1, name=LOGITS)

    def embedding(self, ids: str, name: str) -> str:
        """[N, d_model] float32 from ids [N] by the embedding `name`, times sqrt(d_model)."""
        matrix = self.weights.matrix(name)
        rows = self._grouped_rows(ids, matrix) if isinstance(matrix, GroupedMatrix) else self._rows_of(ids, matrix)
        return self.graph.op("Mul", rows, self.graph.scalar(np.sqrt(self.config.d_model)))

    def _rows_of(self, ids: str, matrix: Matrix) -> str:
        """[N, in] float32, rows of a matrix."""
        graph = self.graph
        rows = graph.op("Gather", graph.constant(matrix.values, "embedding"), ids, axis=0)
        if matrix.values.dtype != np.float32:
            rows = graph.op("Cast", rows, to=TensorProto.FLOAT)
        if matrix.scale is not None:
            scales = graph.op("Gather", graph.constant(matrix.scale, "embedding.scale"), ids, axis=0)
            rows = graph.op("Mul", rows, graph.op("Unsqueeze", scales, graph.integers(1)))
        return rows

    def _grouped_rows(self, ids: str, matrix: GroupedMatrix) -> str:
        """[N, in] float32, rows of a grouped matrix by ONNX Runtime's own operator."""
        return self.graph.op(
            "GatherBlockQuantized",
            self.graph.constant(matrix.packed, "embedding"),
            ids,
            *self._groups(matrix, "embedding"),
            domain=RUNTIME_DOMAIN,
            gather_axis=0,
            quantize_axis=1,
            block_size=matrix.group_size,
            bits=matrix.bits,
        )

    def _grouped_product(self, x: str, matrix: GroupedMatrix, *, name: str, output: str | None = None) -> str:
        """[N, out] in float32: of 4 bits by ONNX Runtime's own operator."""
        if matrix.bits == 8:
            return self._product_of_bytes(x, matrix, name=name, output=output)
        blocks = matrix.packed.reshape(*matrix.scale.shape, -1)
        return self.graph.op(
            "MatMulNBits",
            x,
            self.graph.constant(blocks, f"{name}.blocks"),
            *self._groups(matrix, name),
            name=output,
            domain=RUNTIME_DOMAIN,
            K=matrix.columns,
            N=len(matrix.packed),
            bits=matrix.bits,
            block_size=matrix.group_size,
            accuracy_level=_FLOAT32,
        )

    def _product_of_bytes(self, x: str, matrix: GroupedMatrix, *, name: str, output: str | None) -> str:
        """[N, out] by the float32 weights that integers of 8 bits stand for.

        Runtimes make these once, when they load the graph. ONNX Runtime's own operator has a fast kernel for 8 bits
        only where activations are rounded as well: with float32 ones, one row took ten times as long.
        """
        graph = self.graph
        scales, *zero_points = self._groups(matrix, name)
        zeros = graph.op("Unsqueeze", zero_points[0], graph.integers(2)) if zero_points else graph.scalar(128.0)
        groups = graph.op(
            "Reshape", graph.constant(matrix.packed, f"{name}.bytes"), graph.integers(*matrix.scale.shape, -1)
        )
        integers = graph.op("Cast", groups, to=TensorProto.FLOAT)
        if zero_points:
            zeros = graph.op("Cast", zeros, to=TensorProto.FLOAT)
        weights = graph.op("Mul", graph.op("Sub", integers, zeros), graph.op("Unsqueeze", scales, graph.integers(2)))
        rows = graph.op("Reshape", weights, graph.integers(len(matrix.packed), -1))
        return graph.op("Gemm", x, rows, transB=1, name=output)

    def _groups(self, matrix: GroupedMatrix, name: str) -> list[str]:
        """Scales, and zero points where there are some; without them ONNX Runtime takes the middle, too."""
        parts = [self.graph.constant(matrix.scale, f"{name}.scale")]
        if matrix.zero_point is not None:
            parts.append(self.graph.constant(matrix.zero_point, f"{name}.zero_point"))
        return parts

    def norm(self, x: str, name: str) -> str:
        """RMSNorm of x [N, d_model]."""
        graph = self.graph
        gains = graph.constant(self.weights.norm(name), name)
        if self._is_exact:
            # Written so that no fusion knows it: ONNX Runtime 1.24 puts a float32 norm in the place of a float64 one.
            x = self._exact(x)
            inverse = graph.op("Div", self._exact(gains), self._root_mean(graph.op("Mul", x, x)))
            return self._rounded(graph.op("Mul", x, inverse))
        root = self._root_mean(graph.op("Pow", x, graph.scalar(2.0)))
        return graph.op("Mul", graph.op("Div", x, root), gains)

    def _root_mean(self, square: str) -> str:
        graph = self.graph
        mean = graph.op("ReduceMean", square, graph.integers(-1), keepdims=1)
        return graph.op("Sqrt", graph.op("Add", mean, self._scalar(_EPSILON)))

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
        gated = graph.op("Mul", activated, self._exact(up))
        return self.linear(self._rounded(gated), names.down)

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

    def _integer_product(self, x: str, stored: str, matrix: Matrix, *, name: str, output: str | None = None) -> str:
        """[N, out] from x [N, in] and `matrix`, `stored` as int8 [in, out]; the sums of integers are exact."""
        assert matrix.scale is not None
        if matrix.input_range is not None:
            return self._static_product(x, stored, matrix.scale, matrix.input_range, name=name, output=output)
        return self._dynamic_product(x, stored, matrix.scale, name=name, output=output)

    def _static_product(
        self, x: str, stored: str, scale: Array, input_range: InputRange, *, name: str, output: str | None
    ) -> str:
        """float32(sums) · (s_x · s_w) with a calibrated s_x, as ONNX writes it: both factors dequantized (QDQ).

        ONNX Runtime makes one integer product of the pattern, `MatMulIntegerToFloat`.
        """
        graph = self.graph
        levels = (graph.constant(input_range.scale), graph.constant(input_range.zero_point))
        rows = graph.op("DequantizeLinear", graph.op("QuantizeLinear", x, *levels), *levels)
        weight = graph.op("DequantizeLinear", stored, graph.constant(scale, f"{name}.scale"), axis=1)
        return graph.op("MatMul", rows, weight, name=output or f"{name}{PRODUCT}")

    def _dynamic_product(self, x: str, stored: str, scale: Array, *, name: str, output: str | None) -> str:
        """(float32(sums) · s_x) · s_w with s_x of each row as it comes."""
        graph, rows = self.graph, self._rows(x)
        zero_point = graph.constant(np.uint8(128))
        sums = graph.op("MatMulInteger", rows.values, stored, zero_point, name=f"{name}{SUMS}")
        product = graph.op("Mul", graph.op("Cast", sums, to=TensorProto.FLOAT), rows.scale)
        return graph.op("Mul", product, graph.constant(scale, f"{name}.scale"), name=output)

    def _rows(self, x: str) -> QuantizedRows:
        """x [N, in] quantized by row; products with the same x share it."""
        if x not in self._quantized:
            self._quantized[x] = self._quantize(x)
        return self._quantized[x]

    def _quantize(self, x: str) -> QuantizedRows:
        graph = self.graph
        largest = graph.op("ReduceMax", graph.op("Abs", x), graph.integers(-1), keepdims=1)
        scale = graph.op("Div", graph.op("Max", largest, graph.scalar(1e-30)), graph.scalar(127.0))
        rounded = graph.op("Round", graph.op("Div", x, scale))
        shifted = graph.op("Add", rounded, graph.scalar(128.0))
        return QuantizedRows(graph.op("Cast", shifted, to=TensorProto.UINT8), scale)

    def _exact(self, x: str) -> str:
        """x as the dtype of computations whose last bits would not be the same everywhere."""
        return self.graph.op("Cast", x, to=TensorProto.DOUBLE) if self._is_exact else x

    def _rounded(self, x: str) -> str:
        """The outcome of such a computation, float32 again."""
        return self.graph.op("Cast", x, to=TensorProto.FLOAT) if self._is_exact else x

    def _scalar(self, value: float) -> str:
        """A constant in such a computation."""
        return self.graph.constant(np.float64(value)) if self._is_exact else self.graph.scalar(value)

    def _as_float32(self, stored: str, matrix: Matrix) -> str:
        if matrix.values.dtype != np.float32:
            return self.graph.op("Cast", stored, to=TensorProto.FLOAT)
        return stored
