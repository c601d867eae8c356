"""The weights of a bundle as constants of a function: which of Core ML's forms each matrix is stored in.

Owns the storage. Integers are the bundle's; they stand for floats of the type that the function computes in, and no
activation is rounded to integers: quantization is weight-only. Constants have an id, under which the functions of a
program share one copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from coremltools.converters.mil.mil import Builder as mb
from coremltools.converters.mil.mil import types

from lingolite_cli.architecture.parts import tied_layers
from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.bundle import Matrix, Weights
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_cli.weights.rows import INT8_MAX
from lingolite_coreml.interface import Layout, identifier


class Constants:
    """Constants of one function, each of which is made once.

    Args:
        weights: the model's.
        layout: type of activations, which is that of what matrices stand for, and the oldest system, which decides
            what forms there are.
    """

    def __init__(self, weights: Weights, layout: Layout) -> None:
        self.weights = weights
        self.compute = layout.compute
        self._target = layout.target
        self._dtype = np.dtype(layout.compute)
        self._tied = tied_layers(weights.config)
        self._made: dict[str, Any] = {}

    def scalar(self, value: float) -> Any:
        """A number in the type of activations."""
        return self._dtype.type(value)

    def floats(self, name: str, values: Array) -> Any:
        """An array that is never quantized, in the type of activations."""
        if name not in self._made:
            self._made[name] = self._const(name, self._in_range(name, values))
        return self._made[name]

    def integers(self, name: str, values: Array) -> Any:
        """An array of positions, int32."""
        if name not in self._made:
            self._made[name] = self._const(name, values.astype(np.int32))
        return self._made[name]

    def matrix(self, layer: str) -> Any:
        """The matrix [out, in] of a layer. A tied one is that of the layer whose matrix it uses."""
        name = self._tied.get(layer, layer)
        if name not in self._made:
            self._made[name] = self._stored(name, self.weights.matrix(name))
        return self._made[name]

    def _stored(self, name: str, matrix: Matrix | GroupedMatrix) -> Any:
        if isinstance(matrix, GroupedMatrix):
            return self._by_groups(name, matrix)
        if matrix.scale is not None:
            return self._by_rows(name, matrix.values, matrix.scale)
        values = matrix.values
        if values.dtype == np.float16 and self.compute == "float32":
            # Not `cast`: a product takes a stored constant, and the result of `cast` is constant to the builder alone.
            return mb.constexpr_cast(
                source_val=self._const(f"{name}.values", values), output_dtype="fp32", name=_variable(name)
            )
        return self._const(name, self._in_range(name, values))

    def _in_range(self, name: str, values: Array) -> Array:
        """An array in the type of activations.

        Raises:
            LingoLiteError: numbers of it are beyond that type.
        """
        with np.errstate(over="ignore"):
            found = values.astype(self._dtype)
        if np.isinf(found).any() and np.isfinite(values.astype(np.float32)).all():
            raise LingoLiteError(
                f"{name} has numbers beyond {np.finfo(np.float16).max:,.0f}, where float16 ends",
                hint="pass --option compute=float32, whose numbers have no such end",
            )
        return found

    def _by_rows(self, name: str, values: Array, scale: Array) -> Any:
        """[out, in] int8 with one scale per row."""
        self._in_range(name, scale * INT8_MAX)
        scale = scale.astype(self._dtype)
        if self._target == "ios16":
            return mb.constexpr_affine_dequantize(
                quantized_data=self._const(f"{name}.integers", values),
                zero_point=np.int8(0),
                scale=self._const(f"{name}.scale", scale),
                axis=np.int32(0),
                name=_variable(name),
            )
        return self._shift_scale(name, values, scale[:, None], None)

    def _by_groups(self, name: str, matrix: GroupedMatrix) -> Any:
        """4 or 8 bits with a scale, and perhaps a zero point, for each group of neighbours in a row.

        Without zero points the integers are signed, which needs none in Core ML either.
        """
        self._in_range(name, matrix.scale * (1 << matrix.bits))
        bits, scale = matrix.bits, matrix.scale.astype(self._dtype)
        unsigned, signed = (types.np_uint4_dtype, types.np_int4_dtype) if bits == 4 else (np.uint8, np.int8)
        if matrix.zero_point is None:
            shifted = (matrix.integers().astype(np.int16) - (1 << (bits - 1))).astype(signed)
            return self._shift_scale(name, shifted, scale, None)
        offset = matrix.zero_points().astype(unsigned)
        return self._shift_scale(name, matrix.integers().astype(unsigned), scale, offset)

    def _shift_scale(self, name: str, data: Array, scale: Array, offset: Array | None) -> Any:
        given = {} if offset is None else {"offset": self._const(f"{name}.offset", offset)}
        return mb.constexpr_blockwise_shift_scale(
            data=self._const(f"{name}.integers", data),
            scale=self._const(f"{name}.scale", scale),
            **given,
            name=_variable(name),
        )

    def _const(self, name: str, values: Array) -> Any:
        made = mb.const(val=np.ascontiguousarray(values), name=_variable(name))
        made.op.weight_id = name
        return made


def _variable(name: str) -> str:
    """What a constant is called: an operation has the name without the ending."""
    return f"{identifier(name)}_weight"
