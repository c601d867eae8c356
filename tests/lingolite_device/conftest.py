"""Artifacts that the tests of the device plugin share; each is made once a session."""

from __future__ import annotations

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.routes import convert_with, converter


@pytest.fixture(scope="session")
def int8_onnx(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny bundle in int8, exported to ONNX."""
    root = tmp_path_factory.mktemp("device-onnx")
    return convert_with(converter("onnx"), convert_with(converter("dynamic-int8"), tiny, root / "int8"), root / "onnx")


@pytest.fixture(scope="session")
def device(int8_onnx: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The device bundle of `int8_onnx`. Not to be written to."""
    return convert_with(converter("device"), int8_onnx, tmp_path_factory.mktemp("device") / "app")
