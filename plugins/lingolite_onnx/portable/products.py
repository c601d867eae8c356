"""Products with a weight matrix in standard ONNX operators, and rows looked up in one.

Owns how each kind of matrix is stored in a portable graph, and the rounding of activations. What a layer is made of is
in `lingolite_onnx.portable.emitter`. N rows of activations.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import MIDDLE, SMALLEST_MAXIMUM, InputRange
from lingolite_cli.weights.bundle import Matrix
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_cli.weights.rows import INT8_MAX
from lingolite_onnx.graph import RUNTIME_DOMAIN, GraphBuilder
from lingolite_onnx.interface import LOGITS
from lingolite_onnx.naming import PRODUCT, SUMS

_FLOAT32 = 1
"""`accuracy_level` of MatMulNBits: activations stay as they are. Above 1 they are rounded by blocks."""


class QuantizedRows(msgspec.Struct, frozen=True):
    """Activations quantized by row: uint8 `values` [N, in] with zero point 128, float32 `scale` [N, 1]."""

    values: str
    scale: str


class PortableProducts:
    """Products of one graph.

    Args:
        graph: where the nodes go.
    """

    def __init__(self, graph: GraphBuilder) -> None:
        self._graph = graph
        self._quantized: dict[str, QuantizedRows] = {}

    def product(self, x: str, matrix: Matrix | GroupedMatrix, *, name: str) -> str:
        """[N, out] from x [N, in]; a matrix that is not grouped is stored [in, out]."""
        if isinstance(matrix, GroupedMatrix):
            return self._grouped_product(x, matrix, name=name)
        stored = self._graph.constant(np.ascontiguousarray(matrix.values.T), name)
        if matrix.scale is not None:
            return self._integer_product(x, stored, matrix, name=name)
        return self._graph.op("MatMul", x, self._as_float32(stored, matrix))

    def projection(self, x: str, matrix: Matrix | GroupedMatrix, *, stored_as: str, bias: Array | None) -> None:
        """[N, V] float32, the output `logits` of the graph, by a matrix that stays [V, d_model].

        A tied projection reads the very bytes of the embedding. Its int8 transpose is constant, so runtimes make it
        once, when they load the graph; measured, that is faster than to store [d_model, V] and look rows up by column.

        Args:
            stored_as: name of the constant; that of the embedding where both are one matrix.
            bias: [V], added to the product.
        """
        product = self._projected(x, matrix, stored_as=stored_as, output=LOGITS if bias is None else None)
        if bias is not None:
            self.biased(product, bias, [matrix], name=OUTPUT_PROJECTION, output=LOGITS)

    def biased(
        self,
        product: str,
        bias: Array,
        matrices: Sequence[Matrix | GroupedMatrix],
        *,
        name: str,
        output: str | None = None,
    ) -> str:
        """[N, out], the bias [out] added to the product with `matrices`.

        After a calibrated product its negative is subtracted, which gives the same bits: of a MatMul and an Add, ONNX
        Runtime makes a `Gemm` of floats before it looks for integers.
        """
        if any(isinstance(matrix, Matrix) and matrix.input_range is not None for matrix in matrices):
            return self._graph.op("Sub", product, self._graph.constant(-bias, f"{name}.negative_bias"), name=output)
        return self._graph.op("Add", product, self._graph.constant(bias, f"{name}.bias"), name=output)

    def _projected(self, x: str, matrix: Matrix | GroupedMatrix, *, stored_as: str, output: str | None) -> str:
        graph = self._graph
        if isinstance(matrix, GroupedMatrix):
            return self._grouped_product(x, matrix, name=OUTPUT_PROJECTION, output=output)
        stored = graph.constant(matrix.values, stored_as)
        if matrix.scale is not None:
            transposed = graph.op("Transpose", stored, perm=[1, 0])
            return self._integer_product(x, transposed, matrix, name=OUTPUT_PROJECTION, output=output)
        return graph.op("Gemm", x, self._as_float32(stored, matrix), transB=1, name=output)

    def rows(self, ids: str, matrix: Matrix | GroupedMatrix, *, name: str) -> str:
        """[N, in] float32, the rows of a matrix for ids [N]."""
        if isinstance(matrix, GroupedMatrix):
            return self._grouped_rows(ids, matrix, name=name)
        graph = self._graph
        rows = graph.op("Gather", graph.constant(matrix.values, name), ids, axis=0)
        if matrix.values.dtype != np.float32:
            rows = graph.op("Cast", rows, to=TensorProto.FLOAT)
        if matrix.scale is not None:
            scales = graph.op("Gather", graph.constant(matrix.scale, f"{name}.scale"), ids, axis=0)
            rows = graph.op("Mul", rows, graph.op("Unsqueeze", scales, graph.integers(1)))
        return rows

    def _grouped_rows(self, ids: str, matrix: GroupedMatrix, *, name: str) -> str:
        """[N, in] float32, rows of a grouped matrix by ONNX Runtime's own operator."""
        return self._graph.op(
            "GatherBlockQuantized",
            self._graph.constant(matrix.packed, name),
            ids,
            *self._groups(matrix, name),
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
        return self._graph.op(
            "MatMulNBits",
            x,
            self._graph.constant(blocks, f"{name}.blocks"),
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
        graph = self._graph
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
        """Scales, and zero points if the matrix has some. Without them ONNX Runtime takes the middle, as we do."""
        parts = [self._graph.constant(matrix.scale, f"{name}.scale")]
        if matrix.zero_point is not None:
            parts.append(self._graph.constant(matrix.zero_point, f"{name}.zero_point"))
        return parts

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
        graph = self._graph
        levels = (graph.scalar(input_range.scale), graph.constant(np.uint8(input_range.zero_point)))
        rows = graph.op("DequantizeLinear", graph.op("QuantizeLinear", x, *levels), *levels)
        weight = graph.op("DequantizeLinear", stored, graph.constant(scale, f"{name}.scale"), axis=1)
        return graph.op("MatMul", rows, weight, name=output or f"{name}{PRODUCT}")

    def _dynamic_product(self, x: str, stored: str, scale: Array, *, name: str, output: str | None) -> str:
        """(float32(sums) · s_x) · s_w with an s_x for each row, computed from the row (dynamic quantization)."""
        graph, rows = self._graph, self._quantized_rows(x)
        zero_point = graph.constant(np.uint8(MIDDLE))
        sums = graph.op("MatMulInteger", rows.values, stored, zero_point, name=f"{name}{SUMS}")
        product = graph.op("Mul", graph.op("Cast", sums, to=TensorProto.FLOAT), rows.scale)
        return graph.op("Mul", product, graph.constant(scale, f"{name}.scale"), name=output)

    def _quantized_rows(self, x: str) -> QuantizedRows:
        """x [N, in] quantized by row; products with the same x share it."""
        if x not in self._quantized:
            self._quantized[x] = self._quantize(x)
        return self._quantized[x]

    def _quantize(self, x: str) -> QuantizedRows:
        graph = self._graph
        largest = graph.op("ReduceMax", graph.op("Abs", x), graph.integers(-1), keepdims=1)
        scale = graph.op("Div", graph.op("Max", largest, graph.scalar(SMALLEST_MAXIMUM)), graph.scalar(INT8_MAX))
        rounded = graph.op("Round", graph.op("Div", x, scale))
        # As uint8 although they are symmetric: ONNX Runtime has a fast kernel for uint8 x int8 only. int8 x int8, the
        # same arithmetic, took 10 to 35 times as long for 1 to 480 rows.
        shifted = graph.op("Add", rounded, graph.scalar(MIDDLE))
        return QuantizedRows(graph.op("Cast", shifted, to=TensorProto.UINT8), scale)

    def _as_float32(self, stored: str, matrix: Matrix) -> str:
        if matrix.values.dtype != np.float32:
            return self._graph.op("Cast", stored, to=TensorProto.FLOAT)
        return stored
