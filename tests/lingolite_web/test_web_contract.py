"""The exporter, held to the contract that other authors run, with the runtime that npm installs."""

from __future__ import annotations

import pytest

from lingolite_cli.testing import ExporterContract

pytestmark = pytest.mark.web


class TestWebExporter(ExporterContract):
    plugin = "web"
