"""The reader of bundles: against the safetensors library, on files of every dtype and on damaged ones."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import load_bundle, load_model
from lingolite_cli.testing.tiny import tiny_bundle
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.bundle import (
    Matrix,
    Weights,
    can_join,
    concatenate,
    read_tensor_file,
    read_tensors,
    write_tensors,
)

_CONFIG = Architecture(
    vocab_size=7, d_model=4, n_encoder_layers=1, n_decoder_layers=1, n_heads=2, n_kv_heads=1, d_ff=6, dropout=0.0
)


@pytest.fixture
def bundle(tiny: Artifact, tmp_path: Path) -> Artifact:
    """A copy of the tiny bundle, to be damaged."""
    return Artifact.open(shutil.copytree(tiny.path, tmp_path / "bundle"))


def test_every_dtype_is_read_as_the_safetensors_library_reads_it(bundle: Artifact) -> None:
    dtypes = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.int32, np.int16, np.int8, np.uint8)
    drawn = np.random.default_rng(2).uniform(0, 9, (3, 5))
    written = {np.dtype(dtype).name: drawn.astype(dtype) for dtype in (*dtypes, np.bool_)}
    written |= {"vector": drawn[0].astype(np.float32), "empty": np.zeros((0, 4), np.float32)}
    safetensors.numpy.save_file(written, bundle.weights_path, metadata={"note": "is not a tensor"})
    found = read_tensor_file(bundle.weights_path)
    assert found.keys() == written.keys()
    for name, array in safetensors.numpy.load_file(bundle.weights_path).items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array)


def test_what_is_written_into_an_array_stays_in_this_process(bundle: Artifact) -> None:
    before = bundle.weights_path.read_bytes()
    name, array = next(iter(read_tensors(bundle).items()))
    array[:] = 3.25
    assert bundle.weights_path.read_bytes() == before
    assert not np.array_equal(read_tensors(bundle)[name], array)


def test_a_model_computes_with_the_pages_of_the_file(tiny: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = read_tensors(tiny)
    monkeypatch.setattr("lingolite_cli.model.bundle.read_tensors", lambda artifact: arrays)
    model = load_bundle(tiny.path)
    for name, parameter in model.named_parameters():
        assert parameter.data_ptr() == arrays[name].ctypes.data, name


def test_16_bit_floats_become_the_float32_that_pytorch_makes_of_them(tiny: Artifact, bundle: Artifact) -> None:
    floats = read_tensors(tiny)
    for dtype, name in ((torch.float16, np.float16), (torch.bfloat16, ml_dtypes.bfloat16)):
        write_tensors({key: array.astype(name) for key, array in floats.items()}, bundle.path)
        model = load_model(bundle)
        for key, parameter in model.named_parameters():
            assert torch.equal(parameter, torch.from_numpy(floats[key]).to(dtype).float()), key


def test_equal_tensors_give_equal_bytes_in_whatever_order_they_come(tiny: Artifact, tmp_path: Path) -> None:
    tensors = read_tensors(tiny)
    write_tensors(dict(reversed(list(tensors.items()))), tmp_path)
    assert (tmp_path / tiny.weights_path.name).read_bytes() == tiny.weights_path.read_bytes()


def _cut(content: bytes) -> bytes:
    return content[:-3]


def _no_header(content: bytes) -> bytes:
    return b"\xff" * 64


def _empty(content: bytes) -> bytes:
    return b""


def _reaching_beyond(content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    name = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
    header[name]["data_offsets"][1] += 4096
    changed = json.dumps(header).encode()
    return len(changed).to_bytes(8, "little") + changed + content[8 + length :]


@pytest.mark.parametrize("damage", [_cut, _no_header, _empty, _reaching_beyond])
def test_damaged_files_are_refused(bundle: Artifact, damage) -> None:
    bundle.weights_path.write_bytes(damage(bundle.weights_path.read_bytes()))
    with pytest.raises(LingoLiteError, match=r"cannot read the weights .*model\.safetensors") as caught:
        read_tensors(bundle)
    assert caught.value.hint == "make or copy the bundle again"


def test_a_missing_file_is_refused(bundle: Artifact) -> None:
    bundle.weights_path.unlink()
    with pytest.raises(LingoLiteError, match=r"model\.safetensors is missing"):
        read_tensors(bundle)


def _int8_tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    return {
        "encoder.embedding.weight": random.integers(-127, 128, (7, 4)).astype(np.int8),
        "encoder.embedding.weight_scale": random.uniform(0.1, 1, (7, 1)).astype(np.float32),
        "decoder.lm_head.input_scale": np.array([0.25], np.float32),
        "decoder.lm_head.input_zero_point": np.array([9], np.uint8),
        "encoder.layers.0.norm1.weight": np.array([1, 2, 3, 4], np.float16),
    }


def test_tied_layers_have_one_matrix_and_ranges_of_their_own() -> None:
    tensors = _int8_tensors()
    weights = Weights(_CONFIG, tensors)
    for name in ("encoder.embedding", "decoder.embedding", "decoder.lm_head"):
        matrix = weights.matrix(name)
        assert isinstance(matrix, Matrix)
        assert matrix.values is tensors["encoder.embedding.weight"]
        assert matrix.scale is not None
        assert matrix.scale.tolist() == tensors["encoder.embedding.weight_scale"][:, 0].tolist()
        assert matrix.input_range == (InputRange(0.25, 9) if name == "decoder.lm_head" else None)


def test_norms_are_float32_unless_asked_for_as_stored() -> None:
    weights = Weights(_CONFIG, _int8_tensors())
    assert weights.floats("encoder.layers.0.norm1").dtype == np.float32
    assert weights.stored("encoder.layers.0.norm1").dtype == np.float16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder.embedding.weight_scale": None}, "encoder.embedding.weight is int8 without a scale"),
        ({"encoder.embedding.weight": np.ones((7, 4), np.float32)}, "encoder.embedding.weight is float32 with a scale"),
        ({"encoder.embedding.weight": None}, "the bundle has no tensor encoder.embedding.weight"),
        ({"encoder.embedding.weight_scale": np.ones((1, 1), np.float32)}, r"has shape \[1, 1\], not \[7, 1\]"),
        ({"decoder.lm_head.input_zero_point": np.array([9])}, "the input range of decoder.lm_head is float32"),
    ],
)
def test_what_does_not_belong_together_is_refused(change: dict[str, np.ndarray | None], message: str) -> None:
    changed = {**_int8_tensors(), **change}
    weights = Weights(_CONFIG, {name: array for name, array in changed.items() if array is not None})
    with pytest.raises(LingoLiteError, match=message):
        weights.matrix("decoder.lm_head")


def test_matrices_that_are_stored_alike_are_joined_by_rows() -> None:
    random = np.random.default_rng(6)
    parts = tuple(
        Matrix(random.integers(-9, 9, (rows, 4)).astype(np.int8), random.uniform(1, 2, rows).astype(np.float32))
        for rows in (2, 3)
    )
    joined = concatenate(parts)
    assert isinstance(joined, Matrix)
    x = random.standard_normal((5, 4))
    products = [x @ (part.values * part.scale[:, None]).T for part in parts if part.scale is not None]
    assert joined.scale is not None
    np.testing.assert_allclose(x @ (joined.values * joined.scale[:, None]).T, np.concatenate(products, axis=1))
    assert can_join(parts)
    assert not can_join((parts[0], Matrix(np.ones((2, 4), np.float32))))
    assert not can_join((parts[0], Matrix(parts[1].values, parts[1].scale, InputRange(0.5, 3))))


def test_an_untied_bundle_has_matrices_of_its_own(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "untied", tie_embeddings=False)
    weights, tensors = Weights.read(bundle), safetensors.numpy.load_file(bundle.weights_path)
    for name in ("encoder.embedding", "decoder.embedding", "decoder.lm_head"):
        matrix = weights.matrix(name)
        assert isinstance(matrix, Matrix)
        np.testing.assert_array_equal(matrix.values, tensors[f"{name}.weight"])
