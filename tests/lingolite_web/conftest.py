"""Exports for pages, and the runtime that they need, each made once a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lingolite_web import runtime
from lingolite_web.exporter import WebExporter
from lingolite_web.options import WebExportOptions

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.routes import convert_with, follow, registry

STARTER = Path(__file__).parents[2] / "recipes/starter-en-da/model"


@pytest.fixture(scope="session")
def runtime_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pinned runtime, installed by npm as the exporter does it."""
    try:
        found = runtime.read_runtime(None)
    except LingoLiteError as error:
        pytest.skip(f"no runtime: {error}")
    directory = tmp_path_factory.mktemp("runtime")
    for name, content in found.items():
        (directory / name).write_bytes(content)
    return directory


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """ONNX artifacts of the tiny bundle by the quantizer on the way; the empty name is float."""
    root = tmp_path_factory.mktemp("exported")
    return lambda quantizer="", **options: _exported(root, quantizer, options)


def _exported(root: Path, quantizer: str, options: dict[str, Any]) -> Artifact:
    path = root / "-".join(["onnx", quantizer, *map(str, options.values())])
    if path.exists():
        return Artifact.open(path)
    bundle = follow((quantizer,) if quantizer else (), root)
    return convert_with(registry().resolve("exporter", "onnx"), bundle, path, options=options)


@pytest.fixture(scope="session")
def starter_page(runtime_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The starter model, exact int8, as a page."""
    root = tmp_path_factory.mktemp("starter")
    int8 = convert_with(registry().resolve("quantizer", "dynamic-int8"), Artifact.open(STARTER), root / "int8")
    onnx = convert_with(registry().resolve("exporter", "onnx"), int8, root / "onnx")
    web = registry().resolve("exporter", "web")
    return convert_with(web, onnx, root / "web", options={"runtime": str(runtime_files)})


def refusal(source: Artifact, directory: Path, **options: Any) -> LingoLiteError:
    """Why an artifact does not become a page."""
    with pytest.raises(LingoLiteError) as caught:
        WebExporter(options=WebExportOptions(**options)).export(source, directory)
    assert list(directory.iterdir()) == []
    return caught.value
