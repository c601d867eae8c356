"""Products with a weight matrix as FULLY_CONNECTED, and rows looked up in one.

Owns how each kind of matrix is stored, and the columns that make LiteRT round activations as the bundle was quantized
for. N rows of activations.
"""

from __future__ import annotations

import numpy as np

from lingolite_cli.architecture.parts import BIAS_SUFFIX, WEIGHT_SUFFIX
from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.bundle import Matrix
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_cli.weights.rows import INT8_MAX
from lingolite_litert.graph import GraphBuilder, Value
from lingolite_litert.operators import DEQUANTIZED_FLOAT16, PER_ROW_LOOKUP, PER_ROW_PRODUCT

ADDED_COLUMNS = 2
"""Of symmetric activations, and of zeros in the matrices that they meet."""

_LOWEST = -(INT8_MAX + 1) / INT8_MAX
"""Of a row whose largest magnitude is 1. XNNPACK maps the smallest and largest value of a row to -128 and 127. With
this value and 1 in the row, 0 is mapped to 0, and the scale is max|x| / 127."""


class Products:
    """Products of one graph.

    Args:
        graph: where the operators go.
        is_symmetric: activations that meet int8 matrices have two further columns; see `lingolite_litert.products`.
    """

    def __init__(self, graph: GraphBuilder, *, is_symmetric: bool) -> None:
        self._graph = graph
        self._is_symmetric = is_symmetric
        self._extended: dict[int, Value] = {}
        self._floats: dict[int, Value] = {}

    def product(self, x: Value, matrix: Matrix | GroupedMatrix, *, name: str, bias: Array | None) -> Value:
        """[N, out] float32 from x [N, in]; `bias` [out] is added."""
        graph, stored = self._graph, self._stored(matrix, f"{name}{WEIGHT_SUFFIX}")
        is_int8 = isinstance(matrix, Matrix) and matrix.is_int8
        added = None if bias is None else graph.constant(bias, f"{name}{BIAS_SUFFIX}")
        return graph.op(
            "FULLY_CONNECTED",
            self._with_columns(x) if is_int8 and self._is_symmetric else x,
            stored,
            added,
            shape=(x.shape[0], matrix.rows),
            version=PER_ROW_PRODUCT if is_int8 else 1,
            # XNNPACK ignores this; the runtime's own operators would round with zero points, unlike the bundle.
            asymmetricQuantizeInputs=False,
        )

    def rows(self, ids: Value, matrix: Matrix | GroupedMatrix, *, name: str) -> Value:
        """[N, width] float32, rows of `matrix` for ids [N]."""
        graph, stored = self._graph, self._stored(matrix, f"{name}{WEIGHT_SUFFIX}")
        assert isinstance(matrix, Matrix)
        width, count = stored.shape[1], ids.shape[0]
        version = PER_ROW_LOOKUP if matrix.is_int8 else 1
        rows = graph.op("EMBEDDING_LOOKUP", ids, stored, shape=(count, width), version=version)
        return rows if width == matrix.values.shape[1] else graph.part(rows, 0, matrix.values.shape[1], axis=1)

    def _stored(self, matrix: Matrix | GroupedMatrix, name: str) -> Value:
        if isinstance(matrix, GroupedMatrix):
            raise _unsupported(f"{name} is stored by groups", hint="quantize with the method `dynamic-int8`")
        if matrix.input_range is not None:
            raise _unsupported(
                f"{name} has a calibrated range of activations", hint="quantize with the method `dynamic-int8`"
            )
        if matrix.values.dtype == np.float16:
            return self._dequantized(self._graph.constant(matrix.values, name))
        if matrix.scale is None:
            return self._graph.constant(matrix.values.astype(np.float32), name)
        columns = ADDED_COLUMNS if self._is_symmetric else 0
        return self._graph.constant(np.pad(matrix.values, ((0, 0), (0, columns))), name, scale=matrix.scale)

    def _dequantized(self, stored: Value) -> Value:
        """`stored` as float32. Runtimes compute it once, as it is constant; XNNPACK reads float16 by itself."""
        if stored.index not in self._floats:
            self._floats[stored.index] = self._graph.op(
                "DEQUANTIZE", stored, shape=stored.shape, version=DEQUANTIZED_FLOAT16
            )
        return self._floats[stored.index]

    def _with_columns(self, x: Value) -> Value:
        """x [N, in] and two further columns, [N, in + 2]; products with the same x share it."""
        if x.index not in self._extended:
            graph, (rows, width) = self._graph, x.shape
            magnitudes = graph.op("ABS", x, shape=x.shape)
            largest = graph.op("REDUCE_MAX", magnitudes, graph.integers(1), shape=(rows, 1), keepDims=True)
            lowest = graph.binary("MUL", largest, graph.scalar(_LOWEST))
            self._extended[x.index] = graph.op(
                "CONCATENATION", x, largest, lowest, shape=(rows, width + ADDED_COLUMNS), axis=1
            )
        return self._extended[x.index]


def _unsupported(what: str, *, hint: str) -> LingoLiteError:
    return LingoLiteError(f"{what}, which a .tflite file cannot carry unchanged", hint=hint)
