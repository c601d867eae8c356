"""Products of int8 matrices with many rows of activations: rounded in the graph, multiplied by `MatMulIntegerToFloat`.

Owns the rounding, and where its scales are put back. K columns of the matrix.

ONNX Runtime has no product that takes a scale for each row of activations. So each product is followed by a
multiplication, and the order of operators here is chosen to make few passes over wide arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import msgspec
import numpy as np

from lingolite_cli.architecture.architecture import Activation
from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import MIDDLE
from lingolite_cli.weights.bundle import Matrix, concatenate
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_cli.weights.rows import INT8_MAX
from lingolite_onnx.graph import RUNTIME_DOMAIN, GraphBuilder
from lingolite_onnx.naming import INTEGERS, joined_name
from lingolite_onnx.ort.blocks import blocks, parts_of_row
from lingolite_onnx.ort.products import FewRows, Gated, Products, hidden_name

_MOST_PARTS = 2
"""Scales that a row of activations may have. With more, the products of its parts and their sum cost more than
`MatMulNBits` does."""


class Rounded(msgspec.Struct, frozen=True):
    """Activations as uint8 integers and float32 scales, part by part along their columns."""

    integers: tuple[str, ...]
    scales: tuple[str, ...]


def add_row_scales(graph: GraphBuilder, x: str, *, is_negative: bool = True) -> tuple[str, str]:
    """The scales of the rows of x [..., columns], as [rows] and as [..., 1]; `is_negative`: some of x may be."""
    largest = graph.op("ReduceMax", graph.op("Abs", x) if is_negative else x, graph.integers(-1), keepdims=1)
    # No SMALLEST_MAXIMUM here: the scale of a row of zeros is 0, and so is whatever it multiplies.
    scale = graph.op("Div", largest, graph.scalar(INT8_MAX))
    return graph.op("Reshape", scale, graph.integers(-1)), scale


def add_zero_points(graph: GraphBuilder, scales: str) -> str:
    """A zero point for each of `scales` [rows]: QuantizeLinear takes a scale for each row only with one for each."""
    return graph.op("Expand", graph.constant(np.uint8(MIDDLE)), graph.op("Shape", scales))


class ManyRows(Products):
    """For many rows: activations as uint8 with zero point 128, weights as int8 [K, out]."""

    def __init__(self, graph: GraphBuilder, activation: Activation = "silu") -> None:
        super().__init__(graph, activation)
        self._zero_points: dict[int, str] = {}

    def columns(self, matrices: Sequence[Matrix], names: Sequence[str]) -> list[str]:
        """Matrices over the same activations, each as int8 [K, out]."""
        return [
            self.graph.constant(np.ascontiguousarray(matrix.values.T), name)
            for matrix, name in zip(matrices, names, strict=True)
        ]

    def rounded_together(self, columns: int) -> int:
        """How many neighbours of a row of activations share a scale."""
        return columns

    def gated(self, x: str, parts: Gated, *, names: tuple[str, str, str], plus: str) -> str:
        """As in any graph, but gate and up are two products: to split one product would copy its widest array.

        Where a row of activations has one scale, the product with `up` is left without it. The rounding before `down`
        divides every row by its own maximum, so a factor of the row passes through, and the scale is put back after
        `down`, on d_model columns instead of d_ff.
        """
        gate, up = parts.gate, parts.up
        if not (_is_int8(gate) and _is_int8(up) and self._has_columns(gate)):
            return super().gated(x, parts, names=names, plus=plus)
        rounded = self._round(x, gate.values.shape[1], joined_name(names[:2]))
        gate_columns, up_columns = self.columns((gate, up), names[:2])
        gated = self.graph.expose(self._sum(rounded, gate_columns, gate, name=names[0]), names[0])
        if len(rounded.scales) > 1:
            scaled = self.graph.expose(self._sum(rounded, up_columns, up, name=names[1]), names[1])
            hidden = self.graph.expose(self.gate(gated, scaled), hidden_name(names))
            return self.product(hidden, parts.down, name=names[2], plus=plus)
        (scale,) = rounded.scales
        scaled = self._multiply(rounded.integers[0], up_columns, up, names[1])
        hidden = self.gate(gated, self.graph.expose(scaled, names[1], factor=scale))
        down = self.product(self.graph.expose(hidden, hidden_name(names), factor=scale), parts.down, name=names[2])
        return self._scaled(self.graph.expose(down, names[2], factor=scale), scale, plus=plus)

    def _has_columns(self, matrix: Matrix) -> bool:
        """Whether a matrix is multiplied by `MatMulIntegerToFloat`, which reads columns."""
        return True

    def _int8(self, x: str, matrix: Matrix, scale: Array, *, name: str, output: str | None, plus: str | None) -> str:
        rounded = self._round(x, matrix.values.shape[1], name)
        (stored,) = self.columns((matrix,), (name,))
        return self._sum(rounded, stored, matrix, name=name, output=output, plus=plus)

    def _sum(
        self,
        rounded: Rounded,
        columns: str,
        matrix: Matrix,
        *,
        name: str,
        output: str | None = None,
        plus: str | None = None,
    ) -> str:
        """The sum of the products of all parts, and of `plus`, in one pass over the results for each part."""
        graph, size = self.graph, matrix.values.shape[1] // len(rounded.integers)
        total, last = plus, len(rounded.integers) - 1
        for index, (integers, row_scale) in enumerate(zip(rounded.integers, rounded.scales, strict=True)):
            part = columns
            if last > 0:
                bounds = graph.integers(index * size), graph.integers((index + 1) * size)
                part = graph.op("Slice", columns, *bounds, graph.integers(0))
            product = self._multiply(integers, part, matrix, name)
            if plus is not None and last == 0:
                self.graph.expose(product, name, factor=row_scale)
            total = self._scaled(product, row_scale, plus=total, output=output if index == last else None)
        assert total is not None
        return total

    def _scaled(self, x: str, row_scale: str, *, plus: str | None, output: str | None = None) -> str:
        """x [..., columns] times row_scale [..., 1], and `plus` added in the same pass."""
        if plus is None:
            return self.graph.op("Mul", x, row_scale, name=output)
        # GatedAdd is made for gated residuals (plus + x * gate); a gate of [..., 1] is a scale for each row.
        return self.graph.op("GatedAdd", plus, x, row_scale, name=output, domain=RUNTIME_DOMAIN)

    def _multiply(self, integers: str, columns: str, matrix: Matrix, name: str) -> str:
        """[..., out] float32: all of a product but the scale of the row of activations."""
        assert matrix.scale is not None
        graph = self.graph
        return graph.op(
            "MatMulIntegerToFloat",
            integers,
            columns,
            graph.scalar(1.0),
            graph.constant(matrix.scale, f"{name}.scale"),
            graph.constant(np.uint8(MIDDLE)),
            domain=RUNTIME_DOMAIN,
        )

    def _round(self, x: str, columns: int, name: str) -> Rounded:
        """x [..., columns] as integers, for the matrices `name`."""
        graph, size = self.graph, self.rounded_together(columns)
        count, is_negative = columns // size, x not in self._not_negative
        if count > 1:
            x = graph.op("Reshape", x, graph.integers(-1, size))
        flat, scale = add_row_scales(graph, x, is_negative=is_negative)
        if count not in self._zero_points:
            self._zero_points[count] = add_zero_points(graph, flat)
        integers = graph.op("QuantizeLinear", x, flat, self._zero_points[count], name=f"{name}{INTEGERS}", axis=0)
        if count == 1:
            return Rounded((integers,), (scale,))
        return Rounded(tuple(self._split(integers, count, columns)), tuple(self._split(scale, count, count)))

    def _split(self, x: str, count: int, width: int) -> list[str]:
        by_row = self.graph.op("Reshape", x, self.graph.integers(-1, 1, width))
        return self.graph.ops("Split", by_row, names=[None] * count, axis=-1, num_outputs=count)


class ManyRowsOfBlocks(ManyRows):
    """The same over the bytes that `FewRows` stores, so that two decoders share one file of weights.

    ONNX Runtime folds the constant nodes that transpose them when it loads the graph. That costs several times the
    memory that the decoder has afterwards, which is why `lingolite_onnx.ort.runner` opens decoders in a certain order.
    They are made int8 on the way, because products with uint8 weights take twice as long.
    """

    def __init__(self, graph: GraphBuilder, activation: Activation = "silu") -> None:
        super().__init__(graph, activation)
        self._by_blocks = FewRows(graph, activation)

    def columns(self, matrices: Sequence[Matrix], names: Sequence[str]) -> list[str]:
        """Matrices as int8 [K, out], from the blocks of all of them together."""
        graph = self.graph
        matrix = concatenate(tuple(matrices))
        assert isinstance(matrix, Matrix)
        stored, _ = blocks(matrix)
        flat = graph.constant(stored.reshape(len(stored), -1).view(np.int8), f"{joined_name(names)}.blocks")
        signed = graph.op("BitwiseXor", flat, graph.constant(np.int8(-MIDDLE)))  # -128 is the highest bit alone
        if stored[0].size > matrix.values.shape[1]:
            signed = graph.op(
                "Slice", signed, graph.integers(0), graph.integers(matrix.values.shape[1]), graph.integers(1)
            )
        turned = graph.op("Transpose", signed, perm=[1, 0])
        if len(matrices) == 1:
            return [turned]
        sizes = graph.integers(*(len(matrix.values) for matrix in matrices))
        return graph.ops("Split", turned, sizes, names=[None] * len(matrices), axis=1)

    def rounded_together(self, columns: int) -> int:
        """As `MatMulNBits` does, so that a sentence alone and in a batch is rounded alike.

        With whole rows rounded together here, 86 % of the starter's sentences had the same tokens both ways; with one
        rounding it is 99 %.
        """
        return columns // parts_of_row(columns)

    def _has_columns(self, matrix: Matrix) -> bool:
        columns: int = matrix.values.shape[1]
        return columns <= _MOST_PARTS * self.rounded_together(columns)

    def _int8(self, x: str, matrix: Matrix, scale: Array, *, name: str, output: str | None, plus: str | None) -> str:
        if not self._has_columns(matrix):
            return self._by_blocks.product(x, matrix, name=name, output=output, plus=plus)
        return super()._int8(x, matrix, scale, name=name, output=output, plus=plus)


def _is_int8(matrix: Matrix | GroupedMatrix) -> TypeGuard[Matrix]:
    """Whether products with a matrix are integer products by row."""
    return isinstance(matrix, Matrix) and matrix.is_int8
