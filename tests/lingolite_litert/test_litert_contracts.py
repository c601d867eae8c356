"""The exporter and the backend, held to the contracts that other authors run."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from lingolite_cli.testing import BackendContract, ExporterContract

pytestmark = pytest.mark.litert
pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install -e ".[litert]"')


class TestLitertExporter(ExporterContract):
    plugin = "litert"


class TestLitertBackend(BackendContract):
    plugin = "litert"
    reference = "cached"


class TestLitertBackendOfFp16(BackendContract):
    plugin = "litert"
    routes = (("fp16", "litert"),)
    reference = "cached"


class TestLitertBackendOfInt8(BackendContract):
    """The same integers; what lies between their products is float32 of LiteRT's own, so last bits differ."""

    plugin = "litert"
    routes = (("dynamic-int8", "litert"),)
    reference = "int8"
    rounding = 1.0


class TestLitertBackendWithoutDelegate(BackendContract):
    """The runtime's own operators."""

    plugin = "litert"
    reference = "cached"
    options: ClassVar[dict[str, Any]] = {"delegate": "none"}
