"""Graphs in ONNX Runtime's own format: the same logits and bytes every time, and the operators that a build needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.options import OnnxExportOptions
from lingolite_onnx.portable.ort_format import canonical

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.interfaces import ForcedTokens
from lingolite_cli.testing.routes import convert_with, follow, registry
from tests.families import FAMILIES, family_bundle

ANEW = """
import sys
from pathlib import Path
from lingolite_onnx.portable.ort_format import convert_to_ort
convert_to_ort(Path(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny bundle in exact int8."""
    root = tmp_path_factory.mktemp("ort")
    bundle = follow(("dynamic-int8",), root)
    return convert_with(registry().resolve("exporter", "onnx"), bundle, root / "onnx", options={"ort": True})


def logits(artifact: Artifact, graph: Any) -> np.ndarray:
    """Of three steps for two sources."""
    backend = OnnxBackend(artifact, options=OnnxBackendOptions(graph=graph), threads=1)
    ids = np.array([[6, 4, 20, 21, 2, 7, 5], [6, 4, 30, 2, 7, 5, 0]])
    state = backend.encode(ids, ids != 0)
    found = [backend.step(state, np.array(tokens)).copy() for tokens in ([1, 1], [20, 30], [40, 41])]
    backend.close()
    return np.stack(found)


def test_logits_of_exact_int8_are_those_of_the_portable_graphs(exported: Artifact) -> None:
    np.testing.assert_array_equal(logits(exported, "ort"), logits(exported, "portable"))
    (check,) = (check for check in exported.manifest.details["checks"] if check["graph"] == "ort")
    assert check["checked_by"] == ["onnxruntime", "portable graphs"]
    assert check["max_abs_difference"] == 0.0


@pytest.mark.parametrize("family", ["firefox", "t5"])
def test_float_graphs_of_other_families_are_converted(tmp_path: Path, family: str) -> None:
    bundle = family_bundle(tmp_path / "bundle", family)
    made = convert_with(registry().resolve("exporter", "onnx"), bundle, tmp_path / "onnx", options={"ort": True})
    assert family in FAMILIES
    np.testing.assert_allclose(logits(made, "ort"), logits(made, "portable"), atol=1e-4)


@pytest.mark.slow
def test_another_process_writes_the_same_bytes(exported: Artifact, tmp_path: Path) -> None:
    for name in ("encoder.onnx", "decoder.onnx", "weights.bin"):
        (tmp_path / name).write_bytes(exported.read_bytes(name))
    subprocess.run([sys.executable, "-c", ANEW, str(tmp_path)], check=True)
    for name in ("encoder.ort", "decoder.ort", "required_operators_and_types.config"):
        assert (tmp_path / name).read_bytes() == exported.read_bytes(name)


def test_files_have_one_order(exported: Artifact) -> None:
    data = exported.read_bytes("decoder.ort")
    assert canonical(data) == data


def test_operators_are_listed_with_their_types_and_without_paths(exported: Artifact) -> None:
    text = exported.read_bytes("required_operators_and_types.config").decode()
    assert 'MatMul{"inputs": {"0": ["double"]}}' in text
    assert "ai.onnx;10;MatMulInteger" in text
    assert "/" not in text
    described = msgspec.json.decode(exported.read_bytes("export_config.json"))
    assert described["graphs"]["decoder"]["ort_file"] == "decoder.ort"
    assert described["files"]["required_operators_and_types.config"].startswith("operators and types")


def test_exports_without_the_option_say_nothing_of_it(tmp_path: Path) -> None:
    made = follow(("dynamic-int8", "onnx"), tmp_path)
    assert b"ort_file" not in made.read_bytes("export_config.json")
    assert "ort" not in made.manifest.made_by.options
    with pytest.raises(LingoLiteError, match=r"has no encoder\.ort") as caught:
        logits(made, "ort")
    assert caught.value.hint == "export with the option ort = true"


def test_the_ort_profile_has_no_such_files() -> None:
    with pytest.raises(ValueError, match='ort = true needs profile = "portable"'):
        OnnxExportOptions(profile="optimized", ort=True)


def test_operations_of_such_files_are_not_shown(exported: Artifact, tmp_path: Path) -> None:
    backend = OnnxBackend(exported, options=OnnxBackendOptions(graph="ort"), threads=1)
    ids = np.array([[6, 4, 20, 2, 7, 5]])
    tokens = ForcedTokens(source_ids=ids, source_mask=ids != 0, target_ids=np.array([[1, 20]]))
    assert backend.trace(tokens, bundle=follow(("dynamic-int8",), tmp_path)) == []
    backend.close()
