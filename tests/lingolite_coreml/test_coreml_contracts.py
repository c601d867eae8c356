"""The exporter and the backend, held to the contracts that other authors run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing import BackendContract, ExporterContract
from lingolite_cli.testing.contract import artifacts_root
from lingolite_cli.testing.routes import convert_with, converter

pytest.importorskip("coremltools", reason='coremltools is not installed: pip install -e ".[coreml]"')
pytestmark = pytest.mark.coreml


class TestCoreMLExporter(ExporterContract):
    plugin = "coreml"


class TestCoreMLExporterForIos16(ExporterContract):
    plugin = "coreml"
    routes = ((), ("dynamic-int8",))
    options: ClassVar[Mapping[str, Any]] = {"target": "ios16", "compute": "float32"}


class TestCoreMLReference(BackendContract):
    """Of what the exporter writes if nothing is asked for: float16, with states. No other backend rounds like that."""

    plugin = "coreml-reference"
    routes = (("coreml",), ("dynamic-int8", "coreml"), ("int4", "coreml"))


class TestCoreMLReferenceInFloat32(BackendContract):
    plugin = "coreml-reference"
    routes = (("coreml",), ("int4", "coreml"))
    reference = "cached"

    @pytest.fixture
    def artifact(self, reference_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
        path = artifacts_root(tmp_path_factory) / f"{reference_artifact.path.name}-float32"
        if path.exists():
            return Artifact.open(path)
        return convert_with(converter("coreml"), reference_artifact, path, options={"compute": "float32"})
