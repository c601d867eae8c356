"""Products with a weight matrix in ONNX Runtime's own operators: what all graphs share, and those for a few rows.

Owns how float and grouped matrices are multiplied, SwiGLU, and `MatMulNBits` for int8. N rows, K columns of the matrix.

There are two kinds of int8 product, because no kernel is good at both ends (docs/performance.md): `MatMulNBits` reads
each weight once and is bound by memory, which is best for up to 5 rows or so; `MatMulIntegerToFloat` is bound by
arithmetic, which is best for more. Both round activations and sum integers exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import msgspec
import numpy as np
from onnx import TensorProto

from lingolite_cli.architecture.architecture import Activation
from lingolite_cli.architecture.recording import HIDDEN
from lingolite_cli.arrays import Array
from lingolite_cli.weights.bundle import Matrix, can_join, concatenate
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_onnx.graph import RUNTIME_DOMAIN, GraphBuilder
from lingolite_onnx.naming import PRODUCT, joined_name
from lingolite_onnx.ort.blocks import blocks

ROUNDED_BY_BLOCK = 4
"""`accuracy_level` of MatMulNBits: activations are rounded to int8, one scale a block."""


class Gated(msgspec.Struct, frozen=True):
    """The matrices of a feed-forward layer."""

    gate: Matrix | GroupedMatrix
    up: Matrix | GroupedMatrix
    down: Matrix | GroupedMatrix


def hidden_name(names: tuple[str, str, str]) -> str:
    """The operation between gate, up and down."""
    return names[0].rpartition(".")[0] + HIDDEN


class Products(ABC):
    """Products of one graph; the base class knows float and grouped matrices.

    Args:
        graph: where the nodes go.
        activation: of the feed-forward networks.
    """

    def __init__(self, graph: GraphBuilder, activation: Activation = "silu") -> None:
        self.graph = graph
        self._activation: Activation = activation
        self._not_negative: set[str] = set()

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
        """[..., out] float32 from x [..., in] float32 and a matrix [out, in].

        Args:
            x: activations.
            matrix: the weights.
            name: what the matrix is called.
            output: name of the outcome; not together with `plus`.
            plus: [..., out], added.
            bias: [out], added.
        """
        own = output if bias is None else None
        if isinstance(matrix, GroupedMatrix):
            product = self._added(self._grouped(x, matrix, name=name, output=own), plus, name=name)
        elif matrix.scale is not None:
            product = self._int8(x, matrix, matrix.scale, name=name, output=own, plus=plus)
        else:
            stored = self.graph.constant(np.ascontiguousarray(matrix.values.T), name)
            multiplied = self.graph.op("MatMul", x, self.as_float32(stored, matrix), name=own)
            product = self._added(multiplied, plus, name=name)
        return self.plus_bias(product, bias, name=name, output=output)

    def plus_bias(self, product: str, bias: Array | None, *, name: str, output: str | None = None) -> str:
        """A product with the bias of its layers, if they have one."""
        if bias is None:
            return product
        self.graph.conceal(name)  # without its bias it is not yet the operation
        return self.graph.op("Add", product, self.graph.constant(bias, f"{name}.bias"), name=output)

    def by_rows(self, x: str, matrix: Matrix, *, name: str, output: str | None = None) -> str:
        """The same with a float matrix that stays [out, in], because its rows are looked up as well."""
        stored = self.as_float32(self.graph.constant(matrix.values, name), matrix)
        return self.graph.op("FusedMatMul", x, stored, name=output, domain=RUNTIME_DOMAIN, transB=1)

    def gated(self, x: str, parts: Gated, *, names: tuple[str, str, str], plus: str) -> str:
        """SwiGLU (Shazeer 2020, arXiv:2002.05202, eq. 6) of x [..., in], added to `plus`; `names` of gate, up and
        down."""
        graph, (gate, up) = self.graph, names[:2]
        if can_join((parts.gate, parts.up)):
            both = self.product(x, concatenate((parts.gate, parts.up)), name=joined_name(names[:2]))
            graph.expose(both, gate, up, widths=(parts.gate.rows, parts.up.rows))
            gated, scaled = graph.ops("Split", both, names=[None, None], axis=-1, num_outputs=2)
        else:
            gated = graph.expose(self.product(x, parts.gate, name=gate), gate)
            scaled = graph.expose(self.product(x, parts.up, name=up), up)
        hidden = graph.expose(self.gate(gated, scaled), hidden_name(names))
        return self.product(hidden, parts.down, name=names[2], plus=plus)

    def gate(self, gate: str, up: str) -> str:
        """The activation of `gate` times `up`."""
        return self.graph.op("Mul", self.activate(gate), up)

    def activate(self, x: str) -> str:
        """The activation of x, in one pass."""
        graph = self.graph
        if self._activation == "relu":
            activated = graph.op("Relu", x)
            self._not_negative.add(activated)
            return activated
        if self._activation == "silu":
            # QuickGelu with alpha = 1 is x * sigmoid(x), SiLU.
            return graph.op("QuickGelu", x, domain=RUNTIME_DOMAIN, alpha=1.0)
        return graph.op("Gelu" if self._activation == "gelu" else "FastGelu", x, domain=RUNTIME_DOMAIN)

    def activate_for(self, x: str, matrix: Matrix | GroupedMatrix, *, name: str) -> str:
        """The activation of x, as input of the product with `matrix`; `name` of the operation."""
        return self.graph.expose(self.activate(x), name)

    def as_float32(self, stored: str, matrix: Matrix) -> str:
        """`stored`, cast where the matrix has 16 bits."""
        if matrix.values.dtype != np.float32:
            return self.graph.op("Cast", stored, to=TensorProto.FLOAT)
        return stored

    def _added(self, product: str, plus: str | None, *, name: str) -> str:
        return product if plus is None else self.graph.op("Add", plus, self.graph.expose(product, name))

    @abstractmethod
    def _int8(self, x: str, matrix: Matrix, scale: Array, *, name: str, output: str | None, plus: str | None) -> str:
        """As `product`, from int8 weights."""

    def _grouped(self, x: str, matrix: GroupedMatrix, *, name: str, output: str | None) -> str:
        graph = self.graph
        parts = [
            graph.constant(matrix.packed.reshape(*matrix.scale.shape, -1), f"{name}.blocks"),
            graph.constant(matrix.scale, f"{name}.scale"),
        ]
        if matrix.zero_point is not None:
            parts.append(graph.constant(matrix.zero_point, f"{name}.zero_point"))
        return graph.op(
            "MatMulNBits",
            x,
            *parts,
            name=output or f"{name}{PRODUCT}",
            domain=RUNTIME_DOMAIN,
            K=matrix.columns,
            N=len(matrix.packed),
            bits=matrix.bits,
            block_size=matrix.group_size,
            accuracy_level=ROUNDED_BY_BLOCK,
        )


class FewRows(Products):
    """For a handful of rows, where the time of a product is that of reading its weights: one byte each, once, as they
    lie on disk."""

    def _int8(self, x: str, matrix: Matrix, scale: Array, *, name: str, output: str | None, plus: str | None) -> str:
        graph = self.graph
        stored, scales = blocks(matrix)
        product = graph.op(
            "MatMulNBits",
            x,
            graph.constant(stored, f"{name}.blocks"),
            graph.constant(scales, f"{name}.scale"),
            name=output or f"{name}{PRODUCT}",
            domain=RUNTIME_DOMAIN,
            K=matrix.values.shape[1],
            N=stored.shape[0],
            bits=8,
            block_size=stored.shape[2],
            accuracy_level=ROUNDED_BY_BLOCK,
        )
        return self._added(product, plus, name=name)
