"""The first-party plugins, held to the contracts that other authors run. ONNX has a file of its own."""

from __future__ import annotations

from typing import ClassVar

import pytest

from lingolite_cli.testing import BackendContract, MetricContract, QuantizerContract, ReporterContract


class TestEager(BackendContract):
    plugin = "eager"


class TestCached(BackendContract):
    plugin = "cached"
    reference = "eager"


class TestInt8(BackendContract):
    plugin = "int8"


class TestDynamicInt8(QuantizerContract):
    plugin = "dynamic-int8"


class TestStaticInt8(QuantizerContract):
    plugin = "static-int8"


class TestStaticInt8ByEntropy(QuantizerContract):
    plugin = "static-int8"
    options: ClassVar = {"ranges": "entropy", "smoothing": 0}


class TestGptqInt4(QuantizerContract):
    plugin = "gptq-int4"
    options: ClassVar = {"group_size": 16, "embedding_bits": 8}


class TestFp16(QuantizerContract):
    plugin = "fp16"


class TestBf16(QuantizerContract):
    plugin = "bf16"


class TestInt4(QuantizerContract):
    plugin = "int4"


class TestSymmetricInt4(QuantizerContract):
    plugin = "int4"
    options: ClassVar = {"symmetric": True, "group_size": 16, "embedding_bits": 8}


class TestQatInt8(QuantizerContract):
    plugin = "qat-int8"
    options: ClassVar = {"qconfig": "qnnpack"}
    routes: ClassVar = ((), ("fp16",))


class TestMixed(QuantizerContract):
    plugin = "mixed"
    options: ClassVar = {"layers": {"encoder.*": "int8", "*embedding": "fp16"}}


class TestBleu(MetricContract):
    plugin = "bleu"


class TestChrfWithWords(MetricContract):
    plugin = "chrf"
    options: ClassVar = {"word_order": 2}


class TestChrf(MetricContract):
    plugin = "chrf"


class TestChrfpp(MetricContract):
    plugin = "chrfpp"


class TestTer(MetricContract):
    plugin = "ter"


class TestExactMatch(MetricContract):
    plugin = "exact-match"


class TestLengthRatio(MetricContract):
    plugin = "length-ratio"


class TestHtml(ReporterContract):
    plugin = "html"


class TestMarkdown(ReporterContract):
    plugin = "markdown"


class TestJUnit(ReporterContract):
    plugin = "junit"


@pytest.mark.slow
class TestSvg(ReporterContract):
    plugin = "svg"
