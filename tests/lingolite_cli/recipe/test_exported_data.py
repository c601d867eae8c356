"""What ships beside the weights, held against the bundle as `verify` does it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lingolite_cli.artifact import Artifact, Provenance
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.recipe.scope import PluginChoice
from lingolite_cli.recipe.work.exported_data import ComparedFiles, compare_files, manifest_differences
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.weights.bundle import Weights


@pytest.fixture(scope="module")
def file(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The small bundle as ONNX files."""
    return convert_with(
        converter("onnx"), tiny, tmp_path_factory.mktemp("data") / "onnx", options={"max_seq_len": 40, "test": False}
    )


def compared(artifact: Artifact, bundle: Artifact) -> ComparedFiles:
    loaded = load_registry().resolve("backend", "onnx")
    factory: Any = loaded.load_factory()
    arithmetic = factory.arithmetic(artifact, bundle, loaded.options({}))
    return compare_files(artifact, bundle, PluginChoice(loaded, {}), Weights.read(bundle), arithmetic)


def test_files_of_this_version_are_compared_and_those_of_another_are_said_not_to_be(
    file: Artifact, tiny: Artifact
) -> None:
    assert compared(file, tiny) == ComparedFiles(differences=[])
    older = msgspec.structs.replace(file.manifest, made_by=Provenance(operation="onnx", tool="lingolite 0.0.1"))
    found = compared(Artifact(file.path, older), tiny)
    assert found.differences == []
    assert found.not_measured[0].startswith("files beside the weights: lingolite 0.0.1 wrote them, and this is ")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"trained_on": "documents"}, 'trained_on is "documents", and should not be there'),
        ({"licence": "MIT"}, 'licence is "MIT", and should not be there'),
        ({"languages": ("en", "de")}, 'languages[1] is "de", not "da"'),
    ],
)
def test_what_the_manifest_says_of_the_model_is_compared(
    change: dict[str, Any], line: str, file: Artifact, tiny: Artifact, tmp_path: Path
) -> None:
    assert manifest_differences(tiny.manifest, file.manifest) == []
    assert manifest_differences(tiny.manifest, msgspec.structs.replace(file.manifest, **change)) == [line]


def test_positions_are_those_that_were_asked_for(file: Artifact, tiny: Artifact) -> None:
    fewer = msgspec.structs.replace(file.manifest.model, max_seq_len=39)
    changed = msgspec.structs.replace(file.manifest, model=fewer)
    assert manifest_differences(tiny.manifest, changed) == ["model.max_seq_len is 39, not 40"]
