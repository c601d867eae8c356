"""The exporter and the backend, held to the contracts that other authors run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT4, BUNDLE_INT8, BUNDLE_STATIC_INT8, Artifact
from lingolite_cli.testing import BackendContract, ExporterContract
from tests.lingolite_onnx.conftest import Export


class TestOnnxExporter(ExporterContract):
    plugin = "onnx"


class TestOrtExporter(ExporterContract):
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


class OrtContract(BackendContract):
    """The ORT profile, on a bundle whose heads are wide enough for it.

    Attributes:
        format: the format of the bundle that is exported.
    """

    plugin = "onnx"
    format: ClassVar[str]

    @pytest.fixture
    def artifact(self, ort_exported: Export) -> Artifact:
        return ort_exported(self.format)

    @pytest.fixture
    def reference_artifact(self, wide_bundles: dict[str, Artifact]) -> Artifact:
        return wide_bundles[self.format]


class TestOrtBackend(OrtContract):
    format = BUNDLE
    reference = "eager"


class TestOrtBackendOfInt4(OrtContract):
    """Activations are rounded by group, where PyTorch leaves them in float: the export's own check, which replays the
    rounding, compares the logits."""

    format = BUNDLE_INT4
    rounding = 0.5


class TestOrtBackendOfInt8(OrtContract):
    """The decoder rounds 256 activations together where the PyTorch backend rounds a row; and one kernel's sums are
    good to six digits, which now and then moves an activation by one of 255 levels."""

    format = BUNDLE_INT8
    rounding = 0.5


class TestOrtBackendOfStaticInt8(OrtContract):
    """Both round by the same constants; sums of float32 in another order now and then move an activation by a level."""

    format = BUNDLE_STATIC_INT8
    reference = "int8"
    rounding = 0.1


class ShortlistContract(OrtContract):
    """The same with a vocabulary shortlist, whose logits no other backend has."""

    options: ClassVar[Mapping[str, Any]] = {"shortlist": True}

    @pytest.fixture
    def artifact(self, shortlisted: Export) -> Artifact:
        return shortlisted(self.format)


class TestOrtBackendWithShortlist(ShortlistContract):
    format = BUNDLE


class TestOrtBackendOfInt8WithShortlist(ShortlistContract):
    format = BUNDLE_INT8
    rounding = 0.5


class TestOrtBackendOfStaticInt8WithShortlist(ShortlistContract):
    format = BUNDLE_STATIC_INT8


class TestOnnxBackendOfInt8(BackendContract):
    """Float64 between integer products leaves no rounding to chance: the logits are those of the PyTorch backend."""

    plugin = "onnx"
    routes = (("dynamic-int8", "onnx"), ("static-int8", "onnx"))
    reference = "int8"
    reference_tolerance = 1e-6
