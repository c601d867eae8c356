"""What the operations of a program compute, in numpy: one function for each operation of MIL that programs have.

Values of float16 are held as float32 on its grid, and every operation computes in float32; the interpreter rounds what
comes out. Core ML's engines may round inside an operation as well, which is not imitated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from lingolite_cli.arrays import Array

Arguments: TypeAlias = Mapping[str, Any]
"""By parameter an array, or a tuple of arrays where it takes a list."""


def _axes(given: Arguments) -> tuple[int, ...]:
    return tuple(np.atleast_1d(given["axes"]).tolist())


def _reduce(function: Callable[..., Array]) -> Callable[[Arguments], Array]:
    return lambda given: function(given["x"], axis=_axes(given), keepdims=bool(given["keep_dims"]))


def _binary(function: Callable[[Array, Array], Array]) -> Callable[[Arguments], Array]:
    return lambda given: function(given["x"], given["y"])


def _unary(function: Callable[[Array], Array]) -> Callable[[Arguments], Array]:
    return lambda given: function(given["x"])


def _linear(given: Arguments) -> Array:
    product: Array = given["x"] @ given["weight"].T
    return product + given["bias"] if "bias" in given else product


def _matmul(given: Arguments) -> Array:
    x, y = given["x"], given["y"]
    if given.get("transpose_x", False):
        x = x.swapaxes(-1, -2)
    if given.get("transpose_y", False):
        y = y.swapaxes(-1, -2)
    product: Array = x @ y
    return product


def _softmax(given: Arguments) -> Array:
    x, axis = given["x"], int(given["axis"])
    exponentials = np.exp(x - np.max(x, axis=axis, keepdims=True))
    shares: Array = exponentials / np.sum(exponentials, axis=axis, keepdims=True)
    return shares


def _sigmoid(x: Array) -> Array:
    # By the hyperbolic tangent: exp(-x) would overflow.
    return np.float32(0.5) * (1 + np.tanh(np.float32(0.5) * x))


def _silu(x: Array) -> Array:
    return x * _sigmoid(x)


_erf = np.vectorize(math.erf, otypes=[np.float64])
_GELU: dict[str, Callable[[Array], Array]] = {
    "EXACT": lambda x: _erf(x / math.sqrt(2)).astype(np.float32),
    "TANH_APPROXIMATION": lambda x: np.tanh(
        np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    ),
}


def _gelu(given: Arguments) -> Array:
    x, mode = given["x"], str(given["mode"])
    if mode not in _GELU:
        raise ValueError(f"unknown mode of gelu, {mode}")
    activated: Array = x * np.float32(0.5) * (1 + _GELU[mode](x))
    return activated


def _gather(given: Arguments) -> Array:
    indices = given["indices"]
    size = given["x"].shape[int(given["axis"])]
    if np.any(indices < 0) or np.any(indices >= size):
        raise IndexError(f"an index lies outside 0 to {size - 1}")
    found: Array = np.take(given["x"], indices, axis=int(given["axis"]))
    return found


def _reshape(given: Arguments) -> Array:
    return np.reshape(given["x"], given["shape"].tolist())


def _split(given: Arguments) -> tuple[Array, ...]:
    if "split_sizes" in given:
        return tuple(np.split(given["x"], np.cumsum(given["split_sizes"])[:-1], axis=int(given["axis"])))
    return tuple(np.split(given["x"], int(given["num_splits"]), axis=int(given["axis"])))


def _slice_update(given: Arguments) -> Array:
    updated: Array = given["x"].copy()
    places = tuple(slice(*bounds) for bounds in zip(given["begin"].tolist(), given["end"].tolist(), strict=True))
    if updated[places].shape != given["update"].shape:
        raise ValueError(f"an update of shape {list(given['update'].shape)} does not fit its place")
    updated[places] = given["update"]
    return updated


def _cast(given: Arguments) -> Array:
    dtypes = {"fp32": np.float32, "fp16": np.float32, "int32": np.int32, "bool": np.bool_}
    return np.asarray(given["x"]).astype(dtypes[str(given["dtype"])])


def _affine_dequantize(given: Arguments) -> Array:
    integers, axis = given["quantized_data"], int(given["axis"])
    shape = [-1 if place == axis else 1 for place in range(integers.ndim)]
    zero_point, scale = (
        np.float32(given[name]) if np.ndim(given[name]) == 0 else given[name].astype(np.float32).reshape(shape)
        for name in ("zero_point", "scale")
    )
    floats: Array = (integers.astype(np.float32) - zero_point) * scale
    return floats


def _shift_scale(given: Arguments) -> Array:
    """(data - offset) · scale, both of which are repeated over blocks along each axis."""
    data: Array = given["data"].astype(np.float32)
    if "offset" in given:
        data = data - _over_blocks(given["offset"].astype(np.float32), data.shape)
    return data * _over_blocks(given["scale"].astype(np.float32), data.shape)


def _over_blocks(values: Array, shape: tuple[int, ...]) -> Array:
    for axis, size in enumerate(shape):
        if size % values.shape[axis]:
            raise ValueError(f"{values.shape[axis]} blocks do not divide {size}")
        values = np.repeat(values, size // values.shape[axis], axis=axis)
    return values


OPERATIONS: dict[str, Callable[[Arguments], Array | tuple[Array, ...]]] = {
    "abs": _unary(np.abs),
    "add": _binary(np.add),
    "cast": _cast,
    "concat": lambda given: np.concatenate(given["values"], axis=int(given["axis"])),
    "constexpr_affine_dequantize": _affine_dequantize,
    "constexpr_blockwise_shift_scale": _shift_scale,
    "constexpr_cast": lambda given: given["source_val"].astype(np.float32),
    "equal": _binary(np.equal),
    "expand_dims": lambda given: np.expand_dims(given["x"], _axes(given)),
    "gather": _gather,
    "gelu": _gelu,
    "greater": _binary(np.greater),
    "linear": _linear,
    "matmul": _matmul,
    "maximum": _binary(np.maximum),
    "mul": _binary(np.multiply),
    "range_1d": lambda given: np.arange(int(given["start"]), int(given["end"]), int(given["step"]), dtype=np.int32),
    "real_div": _binary(np.true_divide),
    "reduce_max": _reduce(np.max),
    "reduce_mean": _reduce(np.mean),
    "relu": _unary(lambda x: np.maximum(x, 0)),
    "reshape": _reshape,
    "shape": lambda given: np.array(given["x"].shape, np.int32),
    "sigmoid": _unary(_sigmoid),
    "silu": _unary(_silu),
    "slice_update": _slice_update,
    "softmax": _softmax,
    "split": _split,
    "sqrt": _unary(np.sqrt),
    "squeeze": lambda given: np.squeeze(given["x"], _axes(given)),
    "sub": _binary(np.subtract),
    "transpose": lambda given: np.transpose(given["x"], given["perm"].tolist()),
}
"""By their names in MIL. `read_state` and `write_state` are the interpreter's."""

MOVING = frozenset({"concat", "expand_dims", "gather", "reshape", "slice_update", "split", "squeeze", "transpose"})
"""Operations that compute no number, so that there is nothing to round."""
