"""What the exporter writes, and what it refuses to write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from lingolite_onnx.exporter import OnnxExporter
from lingolite_onnx.options import OnnxExportOptions

from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8, Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing import tiny_bundle
from tests.lingolite_onnx.onnx_bundles import export_to, quantized, tensors_of, write_bundle

GRAPHS = ("encoder.onnx", "decoder.onnx")
STANDARD = (BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT8)
FORMATS = (*STANDARD, BUNDLE_INT4)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("optimize", ["none", "onnxruntime"])
def test_equal_exports_have_equal_bytes(
    exported: Any, fixture_bundles: dict[str, Artifact], tmp_path: Path, format: str, optimize: str
) -> None:
    first = exported(format, optimize=optimize)
    second = export_to(fixture_bundles[format], tmp_path / "again", optimize=optimize)
    assert second.digest == first.digest
    for name in first.manifest.files:
        assert (second.path / name).read_bytes() == (first.path / name).read_bytes()


@pytest.mark.parametrize("format", STANDARD)
@pytest.mark.parametrize("opset_version", [18, 20])
def test_graphs_have_standard_operators_of_one_opset(exported: Any, format: str, opset_version: int) -> None:
    artifact = exported(format, opset_version=opset_version)
    for name in GRAPHS:
        model = onnx.load(artifact.path / name, load_external_data=False)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", opset_version)]
        assert {node.domain for node in model.graph.node} == {""}


@pytest.mark.parametrize("optimize", ["none", "onnxruntime"])
def test_bfloat16_graphs_hold_bfloat16(exported: Any, fixture_bundles: dict[str, Artifact], optimize: str) -> None:
    """Not the float32 that they are cast to."""
    tensors = tensors_of(fixture_bundles[BUNDLE_BF16])
    artifact = exported(BUNDLE_BF16, optimize=optimize)
    name = "encoder_optimized.onnx" if optimize == "onnxruntime" else "encoder.onnx"
    model = onnx.load(artifact.path / name)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    assert stored["embedding"].data_type == onnx.TensorProto.BFLOAT16
    found = onnx.numpy_helper.to_array(stored["embedding"])
    np.testing.assert_array_equal(found.astype(np.float32), tensors["encoder.embedding.weight"].astype(np.float32))
    assert artifact.manifest.details["weights"] == "bfloat16"


def test_int8_graphs_multiply_uint8_by_int8(exported: Any) -> None:
    """int8 by int8 would be 15 times slower; a float product of weights would miss the integers."""
    for name in GRAPHS:
        model = onnx.load(exported(BUNDLE_INT8).path / name)
        types = {
            value.name: value.type.tensor_type.elem_type
            for value in onnx.shape_inference.infer_shapes(model).graph.value_info
        } | {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        constants = {tensor.name: tensor for tensor in model.graph.initializer}
        products = [node for node in model.graph.node if node.op_type == "MatMulInteger"]
        assert products
        for node in products:
            assert types[node.input[0]] == onnx.TensorProto.UINT8
            assert types[node.input[1]] == onnx.TensorProto.INT8
            assert onnx.numpy_helper.to_array(constants[node.input[2]]) == 128
        for node in model.graph.node:
            if node.op_type in ("MatMul", "Gemm"):
                assert not set(node.input) & set(constants)


def test_the_integers_are_those_of_the_bundle(exported: Any, fixture_bundles: dict[str, Artifact]) -> None:
    """Fused matrices are the bundle's rows side by side, transposed."""
    tensors = tensors_of(fixture_bundles[BUNDLE_INT8])
    model = onnx.load(exported(BUNDLE_INT8).path / "decoder.onnx")
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    name = "decoder.layers.1.self_attn"
    rows = np.concatenate([tensors[f"{name}.{kind}_proj.weight"] for kind in "qkv"])
    np.testing.assert_array_equal(stored["+".join(f"{name}.{kind}_proj" for kind in "qkv")], rows.T)
    np.testing.assert_array_equal(stored["embedding"], tensors["encoder.embedding.weight"])


@pytest.mark.parametrize(("format", "itemsize"), [(BUNDLE, 4), (BUNDLE_FP16, 2), (BUNDLE_BF16, 2), (BUNDLE_INT8, 1)])
def test_every_weight_is_stored_once(
    exported: Any, fixture_bundles: dict[str, Artifact], format: str, itemsize: int
) -> None:
    """Both graphs and the output projection share the embedding: a second one would add 97 · 32 items."""
    artifact = exported(format)
    matrices = sum(t.size for name, t in tensors_of(fixture_bundles[BUNDLE]).items() if "norm" not in name)
    rotary = 64 * 8 * 4
    scales = 97 * 4 * 12 if format == BUNDLE_INT8 else 0
    size_bytes = artifact.manifest.files["weights.bin"].size_bytes
    assert matrices * itemsize < size_bytes < matrices * itemsize + rotary + scales + 97 * 32 * itemsize / 2
    offsets = []
    for name in GRAPHS:
        model = onnx.load(artifact.path / name, load_external_data=False)
        (embedding,) = [tensor for tensor in model.graph.initializer if tensor.name == "embedding"]
        offsets.append({entry.key: entry.value for entry in embedding.external_data})
    assert offsets[0] == offsets[1]
    assert offsets[0]["location"] == "weights.bin"


def test_export_config_describes_the_graphs_as_they_are(exported: Any) -> None:
    artifact = exported(BUNDLE_INT8)
    config = json.loads((artifact.path / "export_config.json").read_text())
    names = {"int64": "tensor(int64)", "bool": "tensor(bool)", "float32": "tensor(float)"}
    for graph in ("encoder", "decoder"):
        session = ort.InferenceSession(artifact.path / config["graphs"][graph]["file"])
        for said, real in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            described = [(v["name"], names[v["dtype"]], v["shape"]) for v in config["graphs"][graph][said]]
            assert described == [(value.name, value.type, value.shape) for value in real]
    assert set(config["files"]) == {*artifact.manifest.files, "lingolite.json"}
    assert config["language_ids"] == {"en": 6, "da": 7}
    assert config["source_frame"]["example_ids"] == [4, 6, 2, 5, 7]
    assert config["max_seq_len"] == 64
    assert "onnxruntime#14642" in config["cpu_note"]


def test_the_exporter_imports_no_torch(fixture_bundles: dict[str, Artifact], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lingolite_cli.artifact import Artifact\n"
        "from lingolite_onnx.exporter import OnnxExporter\n"
        "from lingolite_onnx.options import OnnxExportOptions\n"
        "OnnxExporter(options=OnnxExportOptions()).export(Artifact.open(sys.argv[1]), Path(sys.argv[2]))\n"
        "assert 'onnxruntime' in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    source = fixture_bundles[BUNDLE].path
    subprocess.run([sys.executable, "-c", program, source, tmp_path], check=True, timeout=120)


def test_descriptors_import_nothing_heavy() -> None:
    program = (
        "import sys, lingolite_onnx\n"
        "assert lingolite_onnx.lingolite_exporters() and lingolite_onnx.lingolite_backends()\n"
        "assert not {'torch', 'numpy', 'onnx', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


@pytest.mark.parametrize("opset_version", [17, 21, 23])
def test_other_opsets_are_refused(opset_version: int) -> None:
    with pytest.raises(LingoLiteError, match=f"opset version {opset_version}") as caught:
        OnnxExporter(options=OnnxExportOptions(opset_version=opset_version))
    assert "18" in str(caught.value.hint)
    with pytest.raises(msgspec.ValidationError, match="opset_version"):
        msgspec.convert({"opset_version": opset_version}, OnnxExportOptions)


@pytest.mark.parametrize(("options", "rows"), [({}, 64), ({"max_seq_len": 32}, 32)])
def test_fewer_positions_make_smaller_tables(exported: Any, options: dict[str, int], rows: int) -> None:
    artifact = exported(BUNDLE, **options)
    assert artifact.manifest.model.max_seq_len == artifact.manifest.details["max_seq_len"] == rows
    for name in GRAPHS:
        model = onnx.load(artifact.path / name, load_external_data=False)
        tables = [list(tensor.dims) for tensor in model.graph.initializer if tensor.name.startswith("rotary_")]
        assert tables == [[rows, 4], [rows, 4]]


@pytest.mark.parametrize("max_seq_len", [0, 65, 5])
def test_positions_that_the_model_lacks_or_the_frame_exceeds_are_refused(
    fixture_bundles: dict[str, Artifact], tmp_path: Path, max_seq_len: int
) -> None:
    exporter = OnnxExporter(options=OnnxExportOptions(max_seq_len=max_seq_len))
    with pytest.raises(LingoLiteError, match="64 positions, and the frame around a source takes 5") as error:
        exporter.export(fixture_bundles[BUNDLE], tmp_path)
    assert error.value.hint == "pass --max-seq-len with 6 to 64, or leave it out"
    assert not list(tmp_path.iterdir())


def test_details_tell_what_was_checked(exported: Any) -> None:
    details = exported(BUNDLE, optimize="onnxruntime").manifest.details
    assert details["opset_version"] == 18
    assert details["weights"] == "float32"
    assert [check["graph"] for check in details["checks"]] == ["portable", "optimized"]
    portable = details["checks"][0]
    assert portable["checked_by"] == ["onnx.checker", "onnxruntime", "reference"]
    assert 0 < portable["max_abs_difference"] < 1e-3 * portable["max_abs_logit"]


@pytest.mark.parametrize("is_int8", [False, True], ids=["float", "int8"])
def test_untied_embeddings_are_exported(tmp_path: Path, is_int8: bool) -> None:
    bundle = tiny_bundle(tmp_path / "bundle", tie_embeddings=False)
    if is_int8:
        bundle = write_bundle(tmp_path / "int8", bundle, quantized(tensors_of(bundle)), BUNDLE_INT8)
    details = export_to(bundle, tmp_path / "onnx").manifest.details
    assert details["checks"][0]["checked_by"][-1] == "reference"


def test_matrices_that_a_quantizer_left_in_float_stay_in_float(
    fixture_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    """One of three matrices that are otherwise fused, and the tied embedding."""
    bundle = fixture_bundles[BUNDLE]
    keep = ("encoder.embedding.weight", "decoder.layers.0.self_attn.k_proj.weight")
    tensors = quantized(tensors_of(bundle), keep=keep)
    mixed = write_bundle(tmp_path / "mixed", bundle, tensors, BUNDLE_INT8)
    artifact = export_to(mixed, tmp_path / "onnx")
    assert artifact.manifest.details["checks"][0]["checked_by"][-1] == "reference"
    model = onnx.load(artifact.path / "decoder.onnx")
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert stored["embedding"].dtype == np.float32
    assert stored["decoder.layers.0.self_attn.k_proj"].dtype == np.float32
    assert stored["decoder.layers.0.self_attn.q_proj"].dtype == np.int8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.final_norm.weight": None}, "missing: decoder.final_norm.weight"),
        ({"encoder.layers.0.ffn.up_proj.weight_scale": None}, "without a scale"),
        ({"encoder.layers.0.ffn.up_proj.weight_scale": np.ones((48, 2), np.float32)}, r"\[48, 2\], not \[48, 1\]"),
    ],
    ids=["missing", "no-scale", "groups"],
)
def test_weights_that_graphs_cannot_carry_are_refused(
    fixture_bundles: dict[str, Artifact], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    changed = {**tensors_of(fixture_bundles[BUNDLE_INT8]), **change}
    tensors = {name: tensor for name, tensor in changed.items() if tensor is not None}
    bundle = write_bundle(tmp_path / "bundle", fixture_bundles[BUNDLE_INT8], tensors, BUNDLE_INT8)
    with pytest.raises(LingoLiteError, match=message) as caught:
        export_to(bundle, tmp_path / "onnx")
    assert caught.value.hint
    assert not (tmp_path / "onnx").exists()
