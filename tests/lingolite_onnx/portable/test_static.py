"""Static int8 exports: QDQ that ONNX Runtime runs as integers, the bundle's integers, and the tokens of PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from lingolite_onnx.session.saturation import ProbeResult
from onnx import numpy_helper

from lingolite_cli.architecture.tensors import shared_inputs
from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.contract import artifacts_root
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.routes import follow, registry
from lingolite_cli.testing.tiny import IDS
from tests.lingolite_onnx.onnx_bundles import export_to, needs_exact_int8, operators_run, tensors_of, write_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny bundle with calibrated ranges."""
    return follow(("static-int8",), artifacts_root(tmp_path_factory))


@pytest.fixture(scope="module")
def files(bundle: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Its export."""
    return export_to(bundle, tmp_path_factory.mktemp("static") / "onnx")


def tokens(artifact: Artifact, backend: str, sources: list[list[int]]) -> list[tuple[int, ...]]:
    engine = registry().resolve("backend", backend).create(artifact, threads=1)
    found = search(engine, *pad(sources, IDS.pad), ids=IDS, options=DecodingOptions(max_length=24))
    engine.close()
    return [hypotheses[0].tokens for hypotheses in found]


@pytest.mark.parametrize("graph", ["encoder.onnx", "decoder.onnx"])
def test_onnx_runtime_computes_every_product_in_integers(files: Artifact, tmp_path: Path, graph: str) -> None:
    written = onnx.load(files.path / graph, load_external_data=False).graph
    num_products = sum(node.op_type == "QuantizeLinear" for node in written.node)
    assert num_products == {"encoder.onnx": 3 * 4 + 1, "decoder.onnx": 2 * 6 + 1}[graph]
    assert {node.domain for node in written.node} == {""}, "the graph as written is of standard operators"
    found = operators_run(files.path / graph, tmp_path)
    assert found["MatMulIntegerToFloat"] == num_products
    assert found["DequantizeLinear"] == 0


def test_graphs_hold_the_integers_and_ranges_of_the_bundle(bundle: Artifact, files: Artifact) -> None:
    tensors = tensors_of(bundle)
    config = bundle.manifest.model
    stored: dict[str, np.ndarray] = {}
    levels: list[tuple[float, int]] = []
    for graph in ("encoder.onnx", "decoder.onnx"):
        model = onnx.load(files.path / graph)
        constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        stored |= constants
        levels += [
            (float(constants[node.input[1]]), int(constants[node.input[2]]))
            for node in model.graph.node
            if node.op_type == "QuantizeLinear"
        ]
    expected = [
        (float(tensors[f"{group[0]}.input_scale"][0]), int(tensors[f"{group[0]}.input_zero_point"][0]))
        for group in shared_inputs(config)
    ]
    assert sorted(levels) == sorted(expected)
    np.testing.assert_array_equal(stored["embedding"], tensors["encoder.embedding.weight"])
    matrices = {name: array for name, array in stored.items() if array.dtype == np.int8 and name != "embedding"}
    for name, array in matrices.items():
        rows = [tensors[f"{part}.weight"] for part in name.split("+")]
        np.testing.assert_array_equal(array.T, np.concatenate(rows))
        scales = [tensors[f"{part}.weight_scale"][:, 0] for part in name.split("+")]
        np.testing.assert_array_equal(stored[f"{name}.scale"], np.concatenate(scales))
    assert sum(len(name.split("+")) for name in matrices) == sum(map(len, shared_inputs(config))) - 1


@needs_exact_int8
def test_tokens_are_those_of_torch_alone_and_in_a_batch(bundle: Artifact, files: Artifact) -> None:
    sources = framed_sources(bundle)
    together = tokens(files, "onnx", sources)
    assert together == tokens(bundle, "int8", sources)
    assert together == [tokens(files, "onnx", [source])[0] for source in sources]


def test_graphs_say_how_activations_meet_matrices(files: Artifact) -> None:
    assert files.manifest.details["activations"] == "calibrated"
    assert files.manifest.details["exact"] is True
    text = (files.path / "export_config.json").read_text(encoding="utf-8")
    assert "calibrated beforehand" in text
    assert "by row" not in text
    assert "saturate in 16 bits" in text


def test_a_cpu_that_saturates_is_warned_of(files: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    saturating = ProbeResult(is_exact=False, is_mended=False, max_error=4_096_384, relative_error=0.992)
    monkeypatch.setattr("lingolite_onnx.backend.int8_is_exact", lambda threads: saturating)
    engine = registry().resolve("backend", "onnx").create(files, threads=1)
    assert engine.warnings == [saturating.warning]
    engine.close()


def test_ranges_that_graphs_cannot_carry_are_refused(bundle: Artifact, tmp_path: Path) -> None:
    name = "encoder.layers.0.ffn.down_proj.input_scale"
    tensors = {**tensors_of(bundle), name: np.ones(2, np.float32)}
    wrong = write_bundle(tmp_path / "bundle", bundle, tensors, "bundle-static-int8")
    with pytest.raises(LingoLiteError, match=r"the input range of encoder\.layers\.0\.ffn\.down_proj is float32 \[2\]"):
        export_to(wrong, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()
