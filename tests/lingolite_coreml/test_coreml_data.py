"""What a Core ML artifact says besides its programs is held against the bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.testing.routes import convert_with, converter
from tests.lingolite_cli.evaluation.planted_faults import plant

pytestmark = pytest.mark.coreml


def test_an_interface_that_is_not_the_bundles_is_named(tiny: Artifact, tmp_path: Path) -> None:
    from lingolite_coreml.data import data_differences

    def widen(directory: Path) -> None:
        described = json.loads((directory / "interface.json").read_text(encoding="utf-8"))
        described["functions"]["decode"]["outputs"][0]["shape"] = [1, 9]
        described["positions"] = 4096
        (directory / "interface.json").write_text(json.dumps(described), encoding="utf-8")

    artifact = convert_with(converter("coreml"), tiny, tmp_path / "coreml", options={"test": False})
    assert data_differences(artifact, tiny) == []
    found = data_differences(plant(artifact, tmp_path / "faulty", widen), tiny)
    positions = tiny.manifest.model.max_seq_len
    assert f"interface.json: positions is 4096, not {positions}" in found
    assert any("functions.decode.outputs[0].shape[1] is 9, not" in line for line in found)
