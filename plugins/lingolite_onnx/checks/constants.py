"""Scalar constants of a graph that is checked."""

from __future__ import annotations

import onnx
from onnx import numpy_helper


def scalar(model: onnx.ModelProto, name: str) -> int | float | None:
    """The value of the scalar initializer `name`; None where there is none."""
    found = [tensor for tensor in model.graph.initializer if tensor.name == name and not tensor.dims]
    return numpy_helper.to_array(found[0]).item() if found else None
