"""The exporter and the backend, held to the contracts that other authors run."""

from __future__ import annotations

import pytest

from lingolite_cli.testing import BackendContract, ExporterContract

pytest.importorskip("ctranslate2", reason='CTranslate2 is not installed: pip install -e ".[ctranslate2]"')


class TestCTranslate2Exporter(ExporterContract):
    plugin = "ctranslate2"


class TestCTranslate2Backend(BackendContract):
    plugin = "ctranslate2"
    reference = "cached"


class TestCTranslate2BackendOfFp16(BackendContract):
    plugin = "ctranslate2"
    routes = (("fp16", "ctranslate2"),)
    reference = "cached"


class TestCTranslate2BackendOfBf16(BackendContract):
    plugin = "ctranslate2"
    routes = (("bf16", "ctranslate2"),)
    reference = "cached"


class TestCTranslate2BackendOfInt8(BackendContract):
    """The same integers; what lies between their products is float32 of CTranslate2's own, so last bits differ."""

    plugin = "ctranslate2"
    routes = (("dynamic-int8", "ctranslate2"),)
    reference = "int8"
    rounding = 1.0
