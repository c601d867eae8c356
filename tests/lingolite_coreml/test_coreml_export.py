"""What the exporter writes and refuses: integers read back, scaled checkpoints, damaged packages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingolite_cli.architecture.tensors import tensor_specs
from lingolite_cli.artifact import Artifact, write_manifest
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.contract import artifacts_root
from lingolite_cli.testing.routes import convert_with, converter, follow, registry
from lingolite_cli.weights.bundle import Matrix, Weights, read_tensors, write_tensors
from lingolite_cli.weights.groups import GroupedMatrix
from tests.lingolite_coreml.translating import translations

pytest.importorskip("coremltools", reason='coremltools is not installed: pip install -e ".[coreml]"')
pytestmark = pytest.mark.coreml

from lingolite_coreml.program.reading import SPECIFICATION, WEIGHTS, read_package  # noqa: E402

PACKAGE = "model.mlpackage"

Export = Callable[..., Artifact]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """`export(bundle, **options)`."""

    def make(bundle: Artifact, name: str = "exported", **options: Any) -> Artifact:
        return convert_with(converter("coreml"), bundle, tmp_path / name, options=options)

    return make


@pytest.mark.parametrize("compute", ["float32", "float16"])
def test_the_integers_of_the_bundle_are_in_the_file_bit_for_bit(
    export: Export, quantized: Artifact, compute: str
) -> None:
    exported, weights = export(quantized, compute=compute), Weights.read(quantized)
    functions = read_package(exported.path / PACKAGE)
    found = {
        node.outputs[0]: node.inputs
        for function in functions.values()
        for node in function.nodes
        if "scale" in node.inputs
    }
    matrices = [spec for spec in tensor_specs(weights.config) if spec.is_matrix]
    assert len(found) == len(matrices)
    for spec in matrices:
        stored, matrix = found[spec.key.replace(".", "_")], weights.matrix(spec.name)
        integers, scale, offset = _integers(matrix)
        np.testing.assert_array_equal(stored["data"][0], integers)
        np.testing.assert_array_equal(stored["scale"][0], scale.astype(compute))
        assert stored["scale"][0].dtype == compute
        if offset is None:
            assert "offset" not in stored
        else:
            np.testing.assert_array_equal(stored["offset"][0], offset)


def _integers(matrix: Matrix | GroupedMatrix) -> tuple[Any, Any, Any]:
    """Integers [out, in], signed where there is no zero point, scales, and zero points by block."""
    if isinstance(matrix, GroupedMatrix):
        middle = 0 if matrix.zero_point is not None else 1 << (matrix.bits - 1)
        zero_points = None if matrix.zero_point is None else matrix.zero_points()
        return matrix.integers().astype(np.int16) - middle, matrix.scale, zero_points
    assert matrix.scale is not None
    return matrix.values, matrix.scale[:, None], None


@pytest.fixture(
    params=[("dynamic-int8", {}), ("static-int8", {}), ("int4", {}), ("int4", {"symmetric": True})], ids=str
)
def quantized(request: pytest.FixtureRequest, tiny: Artifact, tmp_path: Path) -> Artifact:
    """A quantized tiny bundle."""
    method, options = request.param
    return convert_with(converter(method), tiny, tmp_path / "quantized", options=options)


def test_the_tied_table_is_in_the_file_once(export: Export, tiny: Artifact) -> None:
    exported = export(tiny, compute="float32")
    size = (exported.path / PACKAGE / WEIGHTS).stat().st_size
    numbers = sum(tensor.nbytes for tensor in read_tensors(tiny).values())
    assert size < 1.2 * numbers


def _scaled(tiny: Artifact, path: Path, factor: float) -> Artifact:
    """The same network with hidden states that are larger by a factor: what is added to them is, and norms undo it."""
    tensors = read_tensors(tiny)
    grown = ("encoder.embedding.weight", "o_proj.weight", "down_proj.weight")
    for name, tensor in tensors.items():
        if name.endswith(grown):
            tensors[name] = (tensor * np.float32(factor)).astype(np.float32)
    path.mkdir()
    write_tensors(tensors, path)
    for name in tiny.tokenizer_names:
        (path / name).write_bytes(tiny.read_bytes(name))
    write_manifest(path, tiny.manifest)
    return Artifact.open(path)


def test_a_checkpoint_whose_squares_pass_the_end_of_float16_translates_as_before(
    export: Export, tiny: Artifact, tmp_path: Path
) -> None:
    scaled = _scaled(tiny, tmp_path / "scaled", 256.0)
    usual, grown = export(tiny), export(scaled, name="grown")
    assert translations(grown, "coreml-reference") == translations(usual, "coreml-reference")


def test_a_checkpoint_whose_hidden_states_pass_it_is_refused_with_the_operation(
    export: Export, tiny: Artifact, tmp_path: Path
) -> None:
    scaled = _scaled(tiny, tmp_path / "scaled", 2.0**15)
    with pytest.raises(LingoLiteError, match=r"float16 overflows in (encoder|decoder)\.") as refusal:
        export(scaled)
    assert "compute=float32" in (refusal.value.hint or "")
    assert not (tmp_path / "exported").exists()
    assert translations(export(scaled, compute="float32"), "coreml-reference") == translations(
        export(tiny, name="usual", compute="float32"), "coreml-reference"
    )


def test_weights_beyond_float16_are_refused_by_name(export: Export, tiny: Artifact, tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match=r"encoder\.embedding has numbers beyond 65,504"):
        export(_scaled(tiny, tmp_path / "scaled", 1e6))


def test_text_for_calibration_is_read_and_a_missing_one_refused(export: Export, tiny: Artifact, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The boat sails at noon.\n")
    export(tiny, calibration=str(text))
    with pytest.raises(LingoLiteError, match="no such file"):
        export(tiny, name="other", calibration=str(tmp_path / "nowhere.txt"))
    with pytest.raises(LingoLiteError, match="calibration is read with"):
        export(tiny, name="other", calibration=str(text), compute="float32")


def test_groups_are_refused_for_ios_16(export: Export, tmp_path_factory: pytest.TempPathFactory) -> None:
    bundle = follow(("int4",), artifacts_root(tmp_path_factory))
    with pytest.raises(LingoLiteError, match="before iOS 18") as refusal:
        export(bundle, target="ios16")
    assert "target=ios18" in (refusal.value.hint or "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cache": "state", "compute": "float32"}, "states are float16"),
        ({"cache": "state", "target": "ios16"}, "states are float16"),
        ({"target": "ios14"}, "ios14"),
        ({"max_seq_len": 4000}, "cannot export max_seq_len 4000"),
    ],
)
def test_what_core_ml_does_not_have_is_refused(
    export: Export, tiny: Artifact, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(LingoLiteError, match=message):
        export(tiny, **options)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (SPECIFICATION, lambda data: b"\xff" * 100),
        (SPECIFICATION, lambda data: b""),
        (SPECIFICATION, lambda data: data[: len(data) // 2]),
        (WEIGHTS, lambda data: data[: len(data) // 2]),
        (WEIGHTS, lambda data: b""),
        (WEIGHTS, lambda data: data[:64] + bytes(len(data) - 64)),
    ],
    ids=["noise", "an empty program", "half a program", "half the weights", "no weights", "zeros"],
)
def test_a_damaged_package_is_refused_in_words(
    export: Export, tiny: Artifact, name: str, change: Callable[[bytes], bytes]
) -> None:
    exported = export(tiny, test=False)
    path = exported.path / PACKAGE / name
    path.write_bytes(change(path.read_bytes()))
    write_manifest(exported.path, exported.manifest)
    with pytest.raises(LingoLiteError, match="mlpackage"):
        registry().resolve("backend", "coreml-reference").create(Artifact.open(exported.path), threads=1)


def test_another_models_program_is_refused(export: Export, tiny: Artifact, tmp_path: Path) -> None:
    small, large = export(tiny, test=False, max_seq_len=24), export(tiny, name="large", test=False)
    shutil.rmtree(large.path / PACKAGE)
    shutil.copytree(small.path / PACKAGE, large.path / PACKAGE)
    write_manifest(large.path, large.manifest)
    with pytest.raises(LingoLiteError, match="does not take and give what its manifest says"):
        registry().resolve("backend", "coreml-reference").create(Artifact.open(large.path), threads=1)
