"""Products of int8 matrices whose activations have calibrated ranges: one operator rounds, one multiplies.

Owns these for every number of rows. A range is a constant of the graph: no row is searched for its maximum, and neither
scale nor bias takes a pass of its own. No row depends on another, so few rows and many have the same product.
K columns of the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from lingolite_cli.architecture.architecture import Activation
from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.bundle import Matrix, can_join
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_onnx.graph import RUNTIME_DOMAIN, GraphBuilder
from lingolite_onnx.naming import INTEGERS, PRODUCT, joined_name
from lingolite_onnx.ort.many_rows import ManyRows, ManyRowsOfBlocks
from lingolite_onnx.ort.products import Gated, Products, hidden_name


class CalibratedProducts(ManyRows):
    """Activations as uint8 of a calibrated range, weights as int8 [K, out]."""

    def __init__(self, graph: GraphBuilder, activation: Activation = "silu") -> None:
        super().__init__(graph, activation)
        self._from_blocks = ManyRowsOfBlocks(graph, activation)
        self._rectified: set[str] = set()

    def columns(self, matrices: Sequence[Matrix], names: Sequence[str]) -> list[str]:
        """Matrices as int8 [K, out]; the output projection from the bytes whose rows are looked up."""
        if list(names) == [OUTPUT_PROJECTION]:
            return self._from_blocks.columns(matrices, names)
        return super().columns(matrices, names)

    def product(
        self,
        x: str,
        matrix: Matrix | GroupedMatrix,
        *,
        name: str,
        output: str | None = None,
        plus: str | None = None,
        bias: Array | None = None,
    ) -> str:
        """As of any graph, with the bias inside the product."""
        if not _is_calibrated(matrix):
            return super().product(x, matrix, name=name, output=output, plus=plus, bias=bias)
        integers = self._rounded_as_input(x, matrix, name)
        (columns,) = self.columns((matrix,), (name,))
        product = self._calibrated(integers, columns, matrix, name=name, bias=bias, output=output)
        return self._added(product, plus, name=name)

    def gated(self, x: str, parts: Gated, *, names: tuple[str, str, str], plus: str) -> str:
        """As of any graph, but gate and up are two products of the same integers: to split one product would copy its
        widest array."""
        gate, up = parts.gate, parts.up
        if not (_is_calibrated(gate) and _is_calibrated(up) and can_join((gate, up))):
            return Products.gated(self, x, parts, names=names, plus=plus)
        integers = self._rounded_as_input(x, gate, joined_name(names[:2]))
        gate_columns, up_columns = self.columns((gate, up), names[:2])
        gated = self.graph.expose(self._calibrated(integers, gate_columns, gate, name=names[0]), names[0])
        lifted = self.graph.expose(self._calibrated(integers, up_columns, up, name=names[1]), names[1])
        hidden = self.graph.expose(self.gate(gated, lifted), hidden_name(names))
        return self.product(hidden, parts.down, name=names[2], plus=plus)

    def activate_for(self, x: str, matrix: Matrix | GroupedMatrix, *, name: str) -> str:
        """As of any graph; ReLU waits until x is rounded, because integers are a quarter of the bytes."""
        if self._activation != "relu" or not _is_calibrated(matrix):
            return super().activate_for(x, matrix, name=name)
        self._rectified.add(x)
        return x

    def _rounded_as_input(self, x: str, matrix: Matrix, name: str) -> str:
        """The uint8 integers of x that the matrices `name` meet."""
        graph, (scale, zero_point), output = self.graph, self._levels(matrix), f"{name}{INTEGERS}"
        is_clipped = matrix.input_range is not None and matrix.input_range.zero_point == 0  # by the smallest uint8
        if is_clipped or x not in self._rectified:
            return graph.op("QuantizeLinear", x, scale, zero_point, name=output)
        return graph.op("Clip", graph.op("QuantizeLinear", x, scale, zero_point), zero_point, name=output)

    def _calibrated(
        self,
        integers: str,
        columns: str,
        matrix: Matrix,
        *,
        name: str,
        bias: Array | None = None,
        output: str | None = None,
    ) -> str:
        """[..., out] float32: float32(sums) · (s_x · s_w), and the bias."""
        assert matrix.scale is not None
        graph = self.graph
        scale, zero_point = self._levels(matrix)
        biases = [] if bias is None else ["", graph.constant(bias, f"{name}.bias")]
        return graph.op(
            "MatMulIntegerToFloat",
            integers,
            columns,
            scale,
            graph.constant(matrix.scale, f"{name}.scale"),
            zero_point,
            *biases,
            name=output or f"{name}{PRODUCT}",
            domain=RUNTIME_DOMAIN,
        )

    def _levels(self, matrix: Matrix) -> tuple[str, str]:
        assert matrix.input_range is not None
        return levels(self.graph, matrix.input_range)


def levels(graph: GraphBuilder, input_range: InputRange) -> tuple[str, str]:
    """Scale and zero point of a range, as QuantizeLinear takes them."""
    return graph.scalar(input_range.scale), graph.constant(np.uint8(input_range.zero_point))


def _is_calibrated(matrix: Matrix | GroupedMatrix) -> TypeGuard[Matrix]:
    return isinstance(matrix, Matrix) and matrix.input_range is not None
