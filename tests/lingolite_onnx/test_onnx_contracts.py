"""The exporter and the backend, held to the contracts that other authors run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from lingolite_cli.testing import BackendContract, ExporterContract


class TestOnnxExporter(ExporterContract):
    plugin = "onnx"


class TestOptimizedOnnxExporter(ExporterContract):
    plugin = "onnx"
    options: ClassVar[Mapping[str, Any]] = {"optimize": "onnxruntime", "opset_version": 20}


class TestOnnxBackend(BackendContract):
    plugin = "onnx"
    reference = "eager"


class TestOnnxBackendOfInt8(BackendContract):
    plugin = "onnx"
    """Has no reference backend: sums of floats in another order may move an activation to the next of 255 levels, and
    the tiny model with its large weights makes much of that. The arithmetic is held to integers in `test_onnx_parity`.
    """

    routes = (("dynamic-int8", "onnx"),)
