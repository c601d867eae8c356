"""Every operation of the interpreter, held against what coremltools itself infers of operations over constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("coremltools", reason='coremltools is not installed: pip install -e ".[coreml]"')
pytestmark = pytest.mark.coreml

import coremltools  # noqa: E402
from coremltools.converters.mil.mil import Builder as mb  # noqa: E402
from coremltools.converters.mil.mil import Function, types  # noqa: E402
from lingolite_coreml.program.operations import OPERATIONS  # noqa: E402

_RANDOM = np.random.default_rng(8)
_X = _RANDOM.standard_normal((2, 3, 4)).astype(np.float32)
_Y = _RANDOM.standard_normal((3, 1)).astype(np.float32)
_IDS = np.array([[2, 0], [1, 2]], np.int32)
_INTEGERS = _RANDOM.integers(-127, 128, (4, 6)).astype(np.int8)
_NIBBLES = _RANDOM.integers(0, 16, (4, 6)).astype(types.np_uint4_dtype)

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "abs": ("abs", {"x": _X}),
    "add": ("add", {"x": _X, "y": _Y}),
    "cast of numbers": ("cast", {"x": _X, "dtype": "int32"}),
    "cast of truths": ("cast", {"x": _X > 0, "dtype": "fp32"}),
    "concat": ("concat", {"values": (_X, _X[:, :1]), "axis": 1}),
    "int8 by row": (
        "constexpr_affine_dequantize",
        {"quantized_data": _INTEGERS, "zero_point": np.int8(0), "scale": np.abs(_X[0, 0]), "axis": 0},
    ),
    "int8 by row, for newer systems": (
        "constexpr_blockwise_shift_scale",
        {"data": _INTEGERS, "scale": np.abs(_X[0, 0])[:, None]},
    ),
    "4 bits by group": (
        "constexpr_blockwise_shift_scale",
        {"data": _NIBBLES, "scale": np.abs(_X[0, 0])[:, None] + np.ones((4, 2), np.float32), "offset": _NIBBLES[:, :2]},
    ),
    "float16 as float32": ("constexpr_cast", {"source_val": _X[0].astype(np.float16), "output_dtype": "fp32"}),
    "equal": ("equal", {"x": _IDS, "y": np.int32(2)}),
    "expand_dims": ("expand_dims", {"x": _X, "axes": [0]}),
    "gather of rows": ("gather", {"x": _Y, "indices": _IDS, "axis": 0}),
    "gather of columns": ("gather", {"x": _X[0], "indices": _IDS, "axis": 1}),
    "gelu": ("gelu", {"x": _X, "mode": "EXACT"}),
    "gelu by tanh": ("gelu", {"x": _X, "mode": "TANH_APPROXIMATION"}),
    "greater": ("greater", {"x": _IDS, "y": np.int32(1)}),
    "linear": ("linear", {"x": _X, "weight": _RANDOM.standard_normal((5, 4)).astype(np.float32)}),
    "linear with a bias": ("linear", {"x": _X, "weight": _X[0], "bias": _Y[:, 0]}),
    "matmul": ("matmul", {"x": _X, "y": _X.swapaxes(1, 2).copy()}),
    "matmul, transposed": ("matmul", {"x": _X, "y": _X, "transpose_y": True}),
    "maximum": ("maximum", {"x": _X, "y": np.float32(0.25)}),
    "mul": ("mul", {"x": _X, "y": _Y}),
    "range_1d": ("range_1d", {"start": np.int32(0), "end": np.int32(5), "step": np.int32(1)}),
    "real_div": ("real_div", {"x": _X, "y": _Y}),
    "reduce_max": ("reduce_max", {"x": _X, "axes": [-1], "keep_dims": True}),
    "reduce_mean": ("reduce_mean", {"x": _X, "axes": [-1], "keep_dims": True}),
    "relu": ("relu", {"x": _X}),
    "reshape": ("reshape", {"x": _X, "shape": [1, -1, 2, 6]}),
    "shape": ("shape", {"x": _X}),
    "sigmoid": ("sigmoid", {"x": 30 * _X}),
    "silu": ("silu", {"x": 30 * _X}),
    "slice_update": (
        "slice_update",
        {"x": _X, "update": 9 * _X[:, :1, :], "begin": [0, 1, 0], "end": [2, 2, 4]},
    ),
    "softmax": ("softmax", {"x": 9 * _X, "axis": -1}),
    "split": ("split", {"x": _X, "num_splits": 2, "axis": -1}),
    "split of sizes": ("split", {"x": _X, "split_sizes": [1, 3], "axis": 2}),
    "sqrt": ("sqrt", {"x": np.abs(_X)}),
    "squeeze": ("squeeze", {"x": _X[:, :1], "axes": [1]}),
    "sub": ("sub", {"x": _X, "y": _Y}),
    "transpose": ("transpose", {"x": _X, "perm": [2, 0, 1]}),
}


def _inferred(operation: str, given: dict[str, Any]) -> list[Any]:
    """What coremltools computes of it, over constants."""
    with Function({}, opset_version=coremltools.target.iOS18):
        if operation == "silu":  # of which nothing is inferred: it is defined as this product
            found = mb.mul(x=given["x"], y=mb.sigmoid(x=given["x"]))
        else:
            found = getattr(mb, operation)(**given)
        parts = found if isinstance(found, list | tuple) else [found]
        return [
            part.op.materialized_val_inference() if operation.startswith("constexpr") else part.val for part in parts
        ]


def test_every_operation_has_a_case() -> None:
    assert {operation for operation, _ in CASES.values()} == OPERATIONS.keys()


@pytest.mark.parametrize("case", CASES)
def test_an_operation_gives_what_coremltools_infers(case: str) -> None:
    operation, given = CASES[case]
    expected = _inferred(operation, given)
    # As they are read from a program: lists and numbers are arrays there.
    read = {name: value if isinstance(value, str | tuple) else np.asarray(value) for name, value in given.items()}
    result = OPERATIONS[operation](read)
    found = result if isinstance(result, tuple) else (result,)
    assert len(found) == len(expected)
    for own, inferred in zip(found, expected, strict=True):
        assert own.shape == np.shape(inferred)
        assert own.dtype == inferred.dtype
        np.testing.assert_allclose(own, inferred, rtol=1e-6, atol=1e-6)
