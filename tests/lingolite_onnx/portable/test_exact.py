"""Between integer products, int8 graphs compute in float64, in patterns that no runtime takes for float32 ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from lingolite_cli.artifact import Artifact

Export = Callable[..., Artifact]

INEXACT = {"ReduceMean", "Sqrt", "Softmax", "Tanh", "Sigmoid", "MatMul", "Pow"}
"""Operators whose last bits depend on the order of a sum or on a library."""


def inexact_nodes(artifact: Artifact, graph: str) -> dict[str, set[int]]:
    """For each such operator in a graph, the element types that it computes in."""
    model = onnx.shape_inference.infer_shapes(onnx.load(artifact.path / graph))
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    found: dict[str, set[int]] = {}
    for node in model.graph.node:
        if node.op_type in INEXACT:
            found.setdefault(node.op_type, set()).add(types[node.output[0]])
    return found


@pytest.mark.parametrize("graph", ["encoder.onnx", "decoder.onnx"])
def test_int8_graphs_compute_the_rest_in_float64(exported: Export, graph: str) -> None:
    found = inexact_nodes(exported("bundle-int8"), graph)
    assert set().union(*found.values()) == {TensorProto.DOUBLE}
    # ONNX Runtime 1.24 recognizes a norm by its Pow and computes it in float32, whatever its type is.
    assert "Pow" not in found


@pytest.mark.parametrize(("format", "options"), [("bundle-int8", {"exact": False}), ("bundle", {})])
def test_other_graphs_compute_in_float32(exported: Export, format: str, options: dict[str, Any]) -> None:
    found = inexact_nodes(exported(format, **options), "decoder.onnx")
    assert set().union(*found.values()) == {TensorProto.FLOAT}
