"""What stands in `model.tflite`: the bundle's numbers once, true versions, reproducible and aligned bytes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingolite_cli.architecture.parts import ENCODER_EMBEDDING, tied_layers
from lingolite_cli.architecture.tensors import tensor_specs
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.weights.bundle import Matrix, Weights

pytestmark = pytest.mark.litert
pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install -e ".[litert]"')

from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from lingolite_litert.interface import MODEL  # noqa: E402

Export = Callable[..., Artifact]
_DTYPES = {
    schema.TensorType.INT8: np.int8,
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
}


def _model(artifact: Artifact) -> Any:
    return schema.ModelT.InitFromPackedBuf(artifact.read_bytes(MODEL))


def _constants(model: Any) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """By name, values and scales of the constants of both graphs."""
    found = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and tensor.type in _DTYPES:
                values = data.view(_DTYPES[tensor.type]).reshape(tensor.shape)
                found[tensor.name.decode()] = (values, tensor.quantization and tensor.quantization.scale)
    return found


@pytest.mark.parametrize("activations", ["symmetric", "runtime"])
def test_integers_and_scales_are_the_bundles(bundle: Export, exported: Export, activations: str) -> None:
    weights = Weights.read(bundle("dynamic-int8"))
    constants = _constants(_model(exported("dynamic-int8", activations=activations)))
    names = [spec.name for spec in tensor_specs(weights.config) if spec.is_matrix]
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for name, (values, scale) in constants.items():
        if scale is None:
            continue
        width = values.shape[1] - (2 if activations == "symmetric" else 0)
        assert not values[:, width:].any()
        row = 0
        for part in name.removesuffix(".weight").split("+"):
            matrix = weights.matrix(part)
            assert isinstance(matrix, Matrix)
            found[part] = (values[row : row + matrix.rows, :width], scale[row : row + matrix.rows])
            row += matrix.rows
    assert set(found) - set(tied_layers(weights.config)) == set(names)
    for name, (values, scale) in found.items():
        matrix = weights.matrix(name)
        assert isinstance(matrix, Matrix)
        np.testing.assert_array_equal(values, matrix.values)
        np.testing.assert_array_equal(scale, matrix.scale)


@pytest.mark.parametrize("route", [(), ("fp16",), ("dynamic-int8",)], ids=["float32", "float16", "int8"])
def test_a_tied_embedding_is_stored_once(bundle: Export, exported: Export, route: tuple[str, ...]) -> None:
    weights, model = Weights.read(bundle(*route)), _model(exported(*route))
    shape = weights.matrix(ENCODER_EMBEDDING).values.shape
    tables = [
        tensor.buffer
        for graph in model.subgraphs
        for tensor in graph.tensors
        if model.buffers[tensor.buffer].data is not None and len(tensor.shape) == 2 and tensor.shape[0] == shape[0]
    ]
    assert len(tables) == 2, "encoder and decoder"
    assert len(set(tables)) == 1


@pytest.mark.parametrize("route", [(), ("dynamic-int8",)], ids=["float32", "int8"])
def test_equal_bundles_give_equal_bytes(
    bundle: Export, exported: Export, route: tuple[str, ...], tmp_path: Path
) -> None:
    again = convert_with(converter("litert"), bundle(*route), tmp_path / "again")
    assert again.read_bytes(MODEL) == exported(*route).read_bytes(MODEL)


def test_buffers_lie_where_vectors_can_be_read(exported: Export) -> None:
    content = exported("dynamic-int8").read_bytes(MODEL)
    model = schema.Model.GetRootAs(content)
    whole = np.frombuffer(content, np.uint8)
    for index in range(model.BuffersLength()):
        if (data := model.Buffers(index)).DataLength():
            place = data.DataAsNumpy().__array_interface__["data"][0] - whole.__array_interface__["data"][0]
            assert place % 16 == 0


@pytest.mark.parametrize(
    ("route", "versions", "runtime"),
    [
        ((), {"FULLY_CONNECTED": {1}, "EMBEDDING_LOOKUP": {1}}, b"2.14.0"),
        (("fp16",), {"FULLY_CONNECTED": {1}, "DEQUANTIZE": {3}}, b"2.14.0"),
        (("dynamic-int8",), {"FULLY_CONNECTED": {12}, "EMBEDDING_LOOKUP": {1, 4}}, b"2.18.0"),
    ],
    ids=["float32", "float16", "int8"],
)
def test_versions_say_what_a_runtime_must_know(
    exported: Export, route: tuple[str, ...], versions: dict[str, set[int]], runtime: bytes
) -> None:
    model = _model(exported(*route))
    for name, expected in versions.items():
        codes = [code for code in model.operatorCodes if code.builtinCode == getattr(schema.BuiltinOperator, name)]
        assert {code.version for code in codes} == expected
    assert all(code.deprecatedBuiltinCode == min(code.builtinCode, 127) for code in model.operatorCodes)
    (entry,) = model.metadata
    assert entry.name == b"min_runtime_version"
    assert bytes(model.buffers[entry.buffer].data).rstrip(b"\0") == runtime


def test_the_manifest_says_how_activations_are_rounded(exported: Export) -> None:
    said = {
        activations: exported("dynamic-int8", activations=activations).manifest.details["activations"]
        for activations in ("symmetric", "runtime")
    }
    assert said == {"symmetric": "per-row symmetric", "runtime": "per-row asymmetric"}
    assert exported().manifest.details["activations"] == "float32"


@pytest.mark.parametrize(
    ("route", "message"),
    [(("int4",), "is stored by groups, which a .tflite file cannot"), (("static-int8",), "has a calibrated range")],
)
def test_what_cannot_be_carried_is_refused_by_name(bundle: Export, route: tuple[str, ...], message: str) -> None:
    from lingolite_litert.details import LitertDetails
    from lingolite_litert.exporter import build_file

    weights = Weights.read(bundle(*route))
    details = LitertDetails(
        max_seq_len=48, weights="int8", activations="per-row symmetric", min_runtime_version="2", litert_version="2"
    )
    with pytest.raises(LingoLiteError, match=re.escape(message)):
        build_file(weights, details)


def test_a_file_that_would_be_too_large_is_refused(
    monkeypatch: pytest.MonkeyPatch, bundle: Export, tmp_path: Path
) -> None:
    monkeypatch.setattr("lingolite_litert.graph._LARGEST_BYTES", 1000)
    with pytest.raises(LingoLiteError, match=r"and a \.tflite file at most 1,000"):
        convert_with(converter("litert"), bundle(), tmp_path / "large")
    assert not (tmp_path / "large").exists()
