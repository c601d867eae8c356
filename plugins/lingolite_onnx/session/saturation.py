"""Does this CPU compute 8-bit products exactly?

On x86 without VNNI, ONNX Runtime multiplies uint8 by int8 with an instruction that adds pairs of products in 16
bits and saturates (onnxruntime#14642): 255 · 127 · 2 does not fit. An int8 graph is then right on phones and wrong
here, without an error. Owns a probe that finds out by computing.

ONNX Runtime's session option `session.x64quantprecision` avoids that: weights become uint8, whose kernel is exact and
slower. CPUs with VNNI do not need it, so it is set only where the probe finds an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from lingolite_cli.arrays import Array
from lingolite_onnx.session.sessions import open_session

_INNER, _COLUMNS = 256, 64
_ROWS = (1, 48)
"""One row and many, which need not run the same kernel."""

_ZERO_POINT = 128
_EXACT = {"session.x64quantprecision": "1"}


def asks_for_precision(entries: Mapping[str, str]) -> bool:
    """Whether sessions have such settings because this CPU is not exact without."""
    return _EXACT.items() <= entries.items()


class ProbeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the probe saw.

    Attributes:
        is_exact: every sum was the right integer.
        is_mended: every sum is, when ONNX Runtime is asked for precision.
        max_error: largest difference of a sum, in units of the integers, without that.
        relative_error: `max_error` over the largest right sum.
    """

    is_exact: bool
    is_mended: bool
    max_error: int
    relative_error: float

    @property
    def entries(self) -> Mapping[str, str]:
        """Settings for sessions with int8 graphs on this CPU."""
        return {} if self.is_exact or not self.is_mended else _EXACT

    @property
    def warning(self) -> str | None:
        """Reason, effect and remedy in one paragraph; None where all is well."""
        if self.is_exact:
            return None
        reason = (
            "this CPU does not compute 8-bit products exactly: onnxruntime saturates in 16 bits on x86 without VNNI "
            f"(onnxruntime#14642); the probe's sums were off by up to {self.max_error:,}, "
            f"{self.relative_error:.0%} of the largest. "
        )
        if self.is_mended:
            return (
                f"{reason}int8 graphs are run with session.x64quantprecision = 1 here: exact, and slower than on a CPU "
                "that has the instructions. An app must also set it on such CPUs"
            )
        return (
            f"{reason}Translations and scores of int8 graphs are wrong here, though "
            "the same file is right on ARM and on x86 with VNNI. Measure on such a machine, export the float or fp16 "
            "bundle, or run the int8 bundle with the backend `int8`"
        )


@lru_cache
def int8_is_exact(threads: int) -> ProbeResult:
    """Multiply uint8 activations by constant int8 weights as dynamic and static graphs do, for one row and for many;
    and again with precision asked for, where that went wrong.

    Args:
        threads: as the backend's.
    """
    max_error, largest = _error(threads, {})
    return ProbeResult(
        is_exact=max_error == 0,
        is_mended=max_error == 0 or _error(threads, _EXACT)[0] == 0,
        max_error=max_error,
        relative_error=round(max_error / largest, 3),
    )


def _error(threads: int, entries: Mapping[str, str]) -> tuple[int, int]:
    """The largest error of a sum, and the largest right sum."""
    weights = _extreme_weights()
    session = open_session(_probe_graph(weights), threads=threads, entries=entries)
    max_error, largest = 0, 1
    for rows in _ROWS:
        activations = _extreme_activations(rows)
        expected = (activations.astype(np.int64) - _ZERO_POINT) @ weights.astype(np.int64)
        for sums in session.run(None, {"activations": activations}):
            max_error = max(max_error, int(np.abs(sums.astype(np.int64) - expected).max()))
        largest = max(largest, int(np.abs(expected).max()))
    return max_error, largest


def _extreme_weights() -> Array:
    """[_INNER, _COLUMNS] int8: columns of 127, of -127, of both in turn, and random ones."""
    weights = np.random.default_rng(0).integers(-127, 128, (_INNER, _COLUMNS)).astype(np.int8)
    # 255 · 127 twice is 64,770, and a signed 16-bit integer ends at 32,767: each of these columns overflows.
    weights[:, 0], weights[:, 1] = 127, -127
    weights[0::2, 2], weights[1::2, 2] = 127, -127
    return weights


def _extreme_activations(rows: int) -> Array:
    """[rows, _INNER] uint8: the first row at its limit, the others random."""
    activations = np.random.default_rng(1).integers(1, 256, (rows, _INNER)).astype(np.uint8)
    activations[0] = 255
    return activations


def _probe_graph(weights: Array) -> bytes:
    inputs = [helper.make_tensor_value_info("activations", TensorProto.UINT8, ["rows", _INNER])]
    outputs = [
        helper.make_tensor_value_info("sums", TensorProto.INT32, ["rows", _COLUMNS]),
        helper.make_tensor_value_info("products", TensorProto.FLOAT, ["rows", _COLUMNS]),
    ]
    nodes = [
        helper.make_node("MatMulInteger", ["activations", "weights", "zero_point"], ["sums"]),
        helper.make_node("DequantizeLinear", ["activations", "one", "zero_point"], ["rows"]),
        helper.make_node("DequantizeLinear", ["same_weights", "ones"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["rows", "matrix"], ["products"]),
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(weights, "same_weights"),  # asked for precision, it turns each constant once only
        numpy_helper.from_array(np.array(_ZERO_POINT, dtype=np.uint8), "zero_point"),
        numpy_helper.from_array(np.array(1, dtype=np.float32), "one"),
        numpy_helper.from_array(np.ones(_COLUMNS, dtype=np.float32), "ones"),
    ]
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(
        helper.make_graph(nodes, "probe", inputs, outputs, constants),
        opset_imports=[opset],
        ir_version=helper.find_min_ir_version_for([opset]),
    )
    return bytes(model.SerializeToString())
