"""int4 graphs: the bundle's bytes, ONNX Runtime's operators, and the tokens of PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_quantizers.int4 import Int4
from lingolite_quantizers.options import Int4Options
from lingolite_torch.backends import CachedBackend
from lingolite_torch.options import TorchOptions

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT4, Artifact, Provenance, derive_artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.testing import tiny_bundle
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.groups import GroupedMatrix
from tests.lingolite_onnx.onnx_bundles import export_to, grouped, tensors_of, write_bundle

GRAPHS = ("encoder.onnx", "decoder.onnx")
STARTER = Path(__file__).parents[3] / "recipes" / "starter-en-da"

LAYOUTS = pytest.mark.parametrize(
    "layout",
    [{}, {"is_symmetric": False}, {"embedding_bits": 8}, {"is_symmetric": False, "embedding_bits": 8}],
    ids=["symmetric", "asymmetric", "embedding8", "asymmetric-embedding8"],
)


def _bundle(origin: Artifact, path: Path, layout: dict[str, Any]) -> Artifact:
    return write_bundle(path, origin, grouped(tensors_of(origin), group_size=16, **layout), BUNDLE_INT4)


@LAYOUTS
@pytest.mark.parametrize("optimize", ["none", "onnxruntime"])
def test_every_layout_computes_the_floats_that_it_stands_for(
    fixture_bundles: dict[str, Artifact], tmp_path: Path, layout: dict[str, Any], optimize: str
) -> None:
    """The export compares itself with the dequantized weights in numpy; float32 sums are all that may differ."""
    bundle = _bundle(fixture_bundles[BUNDLE], tmp_path / "int4", layout)
    details = export_to(bundle, tmp_path / "onnx", optimize=optimize).manifest.details
    assert (details["weights"], details["exact"]) == ("int4", False)
    for check in details["checks"]:
        assert check["checked_by"][-1] == "reference"
        assert check["max_abs_difference"] < 1e-5 * check["max_abs_logit"]


@pytest.mark.parametrize("opset_version", [18, 20])
def test_the_runtimes_domain_is_imported_for_its_two_operators(exported: Any, opset_version: int) -> None:
    artifact = exported(BUNDLE_INT4, opset_version=opset_version)
    for name in GRAPHS:
        model = onnx.load(artifact.path / name, load_external_data=False)
        opsets = [(opset.domain, opset.version) for opset in model.opset_import]
        assert opsets == [("", opset_version), ("com.microsoft", 1)]
        own = [node for node in model.graph.node if node.domain]
        assert {node.op_type for node in own} == {"MatMulNBits", "GatherBlockQuantized"}
        levels = [a.i for node in own for a in node.attribute if a.name == "accuracy_level"]
        assert set(levels) == {1}
        stored = {tensor.name for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type in ("MatMul", "Gemm"):
                assert not set(node.input) & stored
    files = json.loads((artifact.path / "export_config.json").read_text())["files"]
    assert "MatMulNBits" in files["decoder.onnx"]


def test_the_integers_are_those_of_the_bundle(exported: Any, fixture_bundles: dict[str, Artifact]) -> None:
    """Fused matrices are the bundle's rows side by side; a block is a group's bytes."""
    tensors = tensors_of(fixture_bundles[BUNDLE_INT4])
    model = onnx.load(exported(BUNDLE_INT4).path / "decoder.onnx")
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    name = "decoder.layers.1.self_attn"
    rows = np.concatenate([tensors[f"{name}.{kind}_proj.weight"] for kind in "qkv"])
    found = stored["+".join(f"{name}.{kind}_proj" for kind in "qkv") + ".blocks"]
    np.testing.assert_array_equal(found, rows.reshape(-1, 2, 8))
    np.testing.assert_array_equal(stored["embedding"], tensors["encoder.embedding.weight"])


def test_the_embedding_is_stored_once_in_four_bits(exported: Any) -> None:
    """Both graphs look words up in the bytes that the output projection multiplies with."""
    artifact = exported(BUNDLE_INT4)
    places = []
    for name in GRAPHS:
        model = onnx.load(artifact.path / name, load_external_data=False)
        for tensor in model.graph.initializer:
            if tensor.name in ("embedding", "output_projection.blocks"):
                places.append(tuple((entry.key, entry.value) for entry in tensor.external_data))
    assert len(places) == 3
    assert len(set(places)) == 1
    assert dict(places[0])["length"] == str(97 * 32 // 2)


@pytest.mark.parametrize("layout", [{}, {"embedding_bits": 8}], ids=["4", "8"])
def test_untied_embeddings_are_exported(tmp_path: Path, layout: dict[str, Any]) -> None:
    bundle = _bundle(tiny_bundle(tmp_path / "bundle", tie_embeddings=False), tmp_path / "int4", layout)
    details = export_to(bundle, tmp_path / "onnx").manifest.details
    assert details["checks"][0]["checked_by"][-1] == "reference"


def test_matrices_of_several_kinds_in_one_model_are_exported(
    fixture_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    """One of three matrices that are otherwise fused in float32, another with 8 bits."""
    tensors = tensors_of(fixture_bundles[BUNDLE])
    name = "decoder.layers.0.self_attn"
    mixed = grouped(tensors, group_size=16)
    for key in (f"{name}.k_proj.weight", "encoder.embedding.weight"):
        del mixed[f"{key}_scale"]
        mixed[key] = tensors[key]
    eight = grouped({"lm_head": tensors[f"{name}.v_proj.weight"]}, group_size=32, embedding_bits=8)
    mixed |= {key.replace("lm_head", f"{name}.v_proj.weight"): tensor for key, tensor in eight.items()}
    bundle = write_bundle(tmp_path / "mixed", fixture_bundles[BUNDLE], mixed, BUNDLE_INT4)
    weights = Weights.read(bundle)
    found = weights.matrix(f"{name}.v_proj")
    assert isinstance(found, GroupedMatrix)
    assert (found.bits, found.group_size) == (8, 32)
    details = export_to(bundle, tmp_path / "onnx").manifest.details
    assert details["checks"][0]["checked_by"][-1] == "reference"


def test_groups_that_do_not_fit_are_refused(fixture_bundles: dict[str, Artifact], tmp_path: Path) -> None:
    tensors = tensors_of(fixture_bundles[BUNDLE_INT4])
    name = "encoder.layers.1.ffn.down_proj.weight"
    tensors[name] = tensors[name][:, :16]
    bundle = write_bundle(tmp_path / "bundle", fixture_bundles[BUNDLE_INT4], tensors, BUNDLE_INT4)
    with pytest.raises(LingoLiteError, match=f"the parts of `{name}`, a matrix with 48 columns, do not fit"):
        export_to(bundle, tmp_path / "onnx")
    assert not (tmp_path / "onnx").exists()


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """The starter in 4 bits with the default options, and its export."""
    root = tmp_path_factory.mktemp("starter")
    source = Artifact.open(STARTER / "model")
    with atomic_directory(root / "int4") as directory:
        product = Int4(options=Int4Options()).quantize(source, directory)
        derive_artifact(source, root / "int4", product, Provenance(operation="int4"), directory=directory)
    bundle = Artifact.open(root / "int4")
    return bundle, export_to(bundle, root / "onnx")


def test_the_starter_translates_alike_in_torch_and_in_onnx_runtime(starter: tuple[Artifact, Artifact]) -> None:
    lines = (STARTER / "dev.en-da.tsv").read_text(encoding="utf-8").splitlines()
    texts = [line.split("\t")[0] for line in lines[:24]]
    bundle, export = starter
    found = []
    for backend in (
        CachedBackend(bundle, options=TorchOptions(), threads=1),
        OnnxBackend(export, options=OnnxBackendOptions(), threads=1),
    ):
        translator = Translator(
            backend,
            open_tokenizer(bundle),
            bundle.manifest.model,
            ("en", "da"),
            options=DecodingOptions(max_length=40),
        )
        found.append([translation.text for translation in translator.translate(texts)])
        backend.close()
    assert found[0] == found[1]
    assert len(set(found[0])) > 20


def test_the_starter_has_little_more_than_five_bits_a_weight(starter: tuple[Artifact, Artifact]) -> None:
    """Four, and for each 32 weights a float32 and 4 bits; norms, headers and rotary tables are the rest."""
    bundle, export = starter
    elements = sum(tensor.size for tensor in tensors_of(Artifact.open(STARTER / "model")).values())
    for artifact in starter:
        tokenizer = artifact.manifest.files["tokenizer.model"].size_bytes
        assert elements * 5.125 / 8 < artifact.size_bytes - tokenizer < elements * 5.125 / 8 * 1.06
    assert bundle.size_bytes < 5.1e6
    assert export.size_bytes < 5.3e6
