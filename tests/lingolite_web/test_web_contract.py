"""The exporter, held to the contract that other authors run, with the runtime that npm installs."""

from __future__ import annotations

import pytest

from lingolite_cli.testing import BackendContract, ExporterContract
from tests.lingolite_web.pages import CHROMIUM

pytest.importorskip("playwright", reason="needs the extra `browser`")
pytestmark = [pytest.mark.web, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


class TestWebExporter(ExporterContract):
    plugin = "web"


class TestChromiumBackend(BackendContract):
    plugin = "chromium"
    routes = (("onnx", "web"),)
    reference = "cached"


class TestChromiumBackendOfInt8(BackendContract):
    plugin = "chromium"
    routes = (("dynamic-int8", "onnx", "web"),)
    reference = "int8"
