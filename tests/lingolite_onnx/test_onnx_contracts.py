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


class TestOnnxBackendOfBf16(BackendContract):
    plugin = "onnx"
    routes = (("bf16", "onnx"),)
    reference = "cached"


class TestOnnxBackendOfInt4(BackendContract):
    plugin = "onnx"
    routes = (("int4", "onnx"),)
    reference = "cached"


class TestOnnxBackendOfInt8(BackendContract):
    """Float64 between integer products leaves no rounding to chance: the logits are those of the PyTorch backend."""

    plugin = "onnx"
    routes = (("dynamic-int8", "onnx"), ("static-int8", "onnx"))
    reference = "int8"
    reference_tolerance = 1e-6
