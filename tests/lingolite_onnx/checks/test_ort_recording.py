"""What is recorded of the ORT profile's graphs is what their kernels compute with."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
from lingolite_onnx.checks.ort_recording import rounded_by_block
from lingolite_onnx.ort.products import ROUNDED_BY_BLOCK
from onnx import TensorProto, helper, numpy_helper

BLOCK, WIDTH = 32, 64


def _of_kernel(x: np.ndarray) -> np.ndarray:
    """x [N, in] through `MatMulNBits` with the unit matrix in 8 bits: its activations, rounded and scaled again."""
    weights = np.full((WIDTH, WIDTH // BLOCK, BLOCK), 128, np.uint8)
    weights[np.arange(WIDTH), np.arange(WIDTH) // BLOCK, np.arange(WIDTH) % BLOCK] = 129
    initializers = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.ones(WIDTH * WIDTH // BLOCK, np.float32), "scales"),
    ]
    sizes = {"K": WIDTH, "N": WIDTH, "bits": 8, "block_size": BLOCK, "accuracy_level": ROUNDED_BY_BLOCK}
    node = helper.make_node("MatMulNBits", ["x", "weights", "scales"], ["y"], domain="com.microsoft", **sizes)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, WIDTH]) for name in "xy"]
    graph = helper.make_graph([node], "product", values[:1], values[1:], initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    onnx.checker.check_model(model)
    found: np.ndarray = ort.InferenceSession(model.SerializeToString()).run(["y"], {"x": x})[0]
    return found


def test_activations_near_a_tie_are_rounded_as_the_kernel_rounds_them() -> None:
    x = np.random.default_rng(3).normal(0, 1, (4000, WIDTH)).astype(np.float32)
    blocks = x.reshape(len(x), -1, BLOCK)
    largest = np.abs(blocks).max(axis=-1, keepdims=True)
    # Half a level beside an integer, where the scale's rounding decides.
    levels = np.rint(blocks / largest * 127)
    ties = np.where(np.abs(levels) < 126, (levels + 0.5) * largest / 127, blocks).astype(np.float32)
    x = ties.reshape(x.shape)
    scales = np.repeat(np.abs(ties).max(axis=-1) / 127, BLOCK, axis=1)
    of_kernel = np.rint(_of_kernel(x) / scales)
    np.testing.assert_array_equal(rounded_by_block(x, BLOCK), of_kernel)
    assert (np.rint(x / scales.astype(np.float32)) != of_kernel).any(), "a quotient by the scale is not what it takes"
