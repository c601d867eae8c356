"""Offline-optimized graphs agree with the portable ones and store no weight twice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions

from lingolite_cli.artifact import BUNDLE, BUNDLE_FP16, BUNDLE_INT8, Artifact
from lingolite_cli.errors import ExitCode, LingoLiteError
from tests.lingolite_onnx.onnx_bundles import export_to

FORMATS = (BUNDLE, BUNDLE_FP16, BUNDLE_INT8)


@pytest.mark.parametrize("format", FORMATS)
def test_offline_optimized_graphs_give_the_logits_of_the_portable_ones(
    exported: Any, expected: dict[str, Any], format: str
) -> None:
    artifact = exported(format, optimize="onnxruntime")
    logits = []
    for graph in ("portable", "optimized"):
        backend = OnnxBackend(artifact, options=OnnxBackendOptions(graph=graph), threads=1)
        state = backend.encode(expected["source_ids"], expected["source_mask"].astype(np.bool_))
        logits.append([backend.step(state, column) for column in expected["target_ids"].T])
    np.testing.assert_allclose(logits[1], logits[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("format", FORMATS)
def test_offline_optimized_graphs_share_the_weights(exported: Any, format: str) -> None:
    plain, artifact = exported(format), exported(format, optimize="onnxruntime")
    added = set(artifact.manifest.files) - set(plain.manifest.files)
    assert added == {"encoder_optimized.onnx", "decoder_optimized.onnx"}
    assert artifact.manifest.files["weights.bin"] == plain.manifest.files["weights.bin"]
    for name in added:
        model = onnx.load(artifact.path / name, load_external_data=False)
        locations = {
            entry.value for t in model.graph.initializer for entry in t.external_data if entry.key == "location"
        }
        assert locations == {"weights.bin"}
        portable = onnx.load(artifact.path / name.replace("_optimized", ""), load_external_data=False)
        assert _inline_bytes(model) <= _inline_bytes(portable)


def _inline_bytes(model: onnx.ModelProto) -> int:
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer)


def test_offline_optimized_graphs_are_fused(exported: Any) -> None:
    artifact = exported(BUNDLE, optimize="onnxruntime")
    model = onnx.load(artifact.path / "decoder_optimized.onnx", load_external_data=False)
    domains = {opset.domain for opset in model.opset_import}
    assert domains == {node.domain for node in model.graph.node}
    assert "SimplifiedLayerNormalization" in {node.op_type for node in model.graph.node}


def test_a_backend_asked_for_graphs_that_were_not_made_says_how_to_make_them(exported: Any) -> None:
    with pytest.raises(LingoLiteError, match=r"no encoder_optimized\.onnx") as caught:
        OnnxBackend(exported(BUNDLE), options=OnnxBackendOptions(graph="optimized"), threads=1)
    assert "optimize" in str(caught.value.hint)


@pytest.mark.skipif(importlib.util.find_spec("onnxruntime_tools") is not None, reason="onnxruntime-tools is installed")
def test_the_missing_unmaintained_package_is_named_with_a_way_out(
    fixture_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    with pytest.raises(LingoLiteError, match="onnxruntime-tools cannot be imported") as caught:
        export_to(fixture_bundles[BUNDLE], tmp_path / "onnx", optimize="onnxruntime-tools")
    assert caught.value.exit_code == ExitCode.PLUGIN
    assert "pip install onnxruntime-tools" in str(caught.value.hint)
    assert 'optimize = "onnxruntime"' in str(caught.value.hint)


def test_a_failing_unmaintained_package_is_reported_with_a_way_out(
    fixture_bundles: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real package fails inside its own shape inference; this one stands in for it, and fails like it."""
    package = tmp_path / "path" / "onnxruntime_tools"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from onnxruntime_tools import optimizer\n")
    (package / "optimizer.py").write_text(
        "def optimize_model(path, **options):\n    raise AssertionError('rank of a shape')\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "path")
    monkeypatch.setitem(sys.modules, "onnxruntime_tools.optimizer", None)  # so that both are taken back afterwards
    monkeypatch.setitem(sys.modules, "onnxruntime_tools", None)
    for name in ("onnxruntime_tools.optimizer", "onnxruntime_tools"):
        del sys.modules[name]
    with pytest.raises(LingoLiteError, match=r"cannot optimize encoder\.onnx: AssertionError\('rank") as caught:
        export_to(fixture_bundles[BUNDLE], tmp_path / "onnx", optimize="onnxruntime-tools")
    assert caught.value.exit_code == ExitCode.PLUGIN
    assert not (tmp_path / "onnx").exists()
