"""The exporter and the backend, held to the contracts that other authors run."""

from __future__ import annotations

import pytest

from lingolite_cli.testing import BackendContract, ExporterContract


class TestDeviceExporter(ExporterContract):
    plugin = "device"
    routes = (("onnx",), ("dynamic-int8", "onnx"))


class TestDeviceBackend(BackendContract):
    plugin = "device"
    routes = (("onnx", "device"),)
    reference = "cached"


@pytest.mark.coreml
class TestDeviceExporterOfCoreML(ExporterContract):
    plugin = "device"
    routes = (("coreml",),)


@pytest.mark.litert
class TestDeviceExporterOfLiteRt(ExporterContract):
    plugin = "device"
    routes = (("litert",), ("dynamic-int8", "litert"))
