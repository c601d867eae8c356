"""The quantizers' integers against numpy in float64, their bytes, sizes and refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ml_dtypes
import msgspec
import numpy as np
import pytest
from lingolite_quantizers import lingolite_quantizers
from lingolite_quantizers.bf16 import Bf16
from lingolite_quantizers.dynamic_int8 import DynamicInt8
from lingolite_quantizers.fp16 import Fp16
from lingolite_quantizers.int4 import Int4
from lingolite_quantizers.mixed import Mixed
from lingolite_quantizers.options import Int4Options, MixedOptions
from lingolite_quantizers.storage import narrow
from safetensors.numpy import load_file, save

from lingolite_cli.artifact import WEIGHTS_NAME, Artifact, Product, Provenance, derive_artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.weights.groups import quantize_groups
from lingolite_cli.weights.rows import quantize_rows

QUANTIZERS = {"dynamic-int8": DynamicInt8, "fp16": Fp16, "bf16": Bf16, "int4": Int4, "mixed": Mixed}
OPTIONS = {"int4": Int4Options(group_size=16), "mixed": MixedOptions(group_size=16)}  # divides 48 columns


def _quantize(name: str, source: Artifact, path: Path, options: msgspec.Struct | None = None) -> Artifact:
    with atomic_directory(path) as directory:
        chosen = options or OPTIONS.get(name, NoOptions())
        product = QUANTIZERS[name](options=chosen).quantize(source, directory)
        return derive_artifact(source, path, product, Provenance(operation="quantize"), directory=directory)


def _with_weights(source: Artifact, path: Path, **changed: np.ndarray) -> Artifact:
    """A bundle with other values in some tensors."""
    with atomic_directory(path) as directory:
        (directory / WEIGHTS_NAME).write_bytes(save({**load_file(source.weights_path), **changed}))
        product = Product(format=source.manifest.format)
        return derive_artifact(source, path, product, Provenance(operation="test"), directory=directory)


def test_rows_are_rounded_half_to_even_to_127_steps():
    weight = np.array([[127.0, 2.5, -3.5, 0.4], [0.0, 0.0, 0.0, 0.0], [-0.5, 0.25, 0.125, 0.0]], np.float32)
    integers, scale = quantize_rows(weight)
    assert integers.tolist() == [[127, 2, -4, 0], [0, 0, 0, 0], [-127, 64, 32, 0]]
    np.testing.assert_array_equal(scale, np.array([[1.0], [1.0], [0.5 / 127]], np.float32))


@pytest.mark.parametrize("magnitude", [1.0, 1e-30, 1e30, 1e-44])
def test_rows_of_any_magnitude_stay_in_range(magnitude):
    weight = np.random.default_rng(1).standard_normal((5, 7)) * magnitude
    weight = weight.astype(np.float32)
    integers, scale = quantize_rows(weight)
    assert integers.dtype == np.int8
    assert integers.min() >= -127
    assert np.abs(integers * scale.astype(np.float64) - weight).max() <= scale.max()


@pytest.mark.parametrize("quantizer", ["dynamic-int8", "int4"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused_by_name(existing_bundle, tmp_path, value, quantizer):
    name = "decoder.layers.1.cross_attn.v_proj.weight"
    weight = load_file(existing_bundle.weights_path)[name]
    weight[2, 3] = value
    source = _with_weights(existing_bundle, tmp_path / "source", **{name: weight})
    with pytest.raises(LingoLiteError, match=f"`{name}`.*infinite or not a number"):
        _quantize(quantizer, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_int8_bundles_hold_the_integers_of_every_matrix(existing_bundle, tmp_path):
    artifact = _quantize("dynamic-int8", existing_bundle, tmp_path / "int8")
    stored = load_file(artifact.weights_path)
    for name, weight in load_file(existing_bundle.weights_path).items():
        if weight.ndim == 1:
            np.testing.assert_array_equal(stored.pop(name), weight)
            continue
        integers, scale = stored.pop(name), stored.pop(f"{name}_scale")
        assert (integers.dtype, scale.dtype, scale.shape) == (np.int8, np.float32, (len(weight), 1))
        largest = np.abs(weight.astype(np.float64)).max(axis=1, keepdims=True)
        np.testing.assert_allclose(scale, largest / 127, rtol=1e-6)
        exact = weight.astype(np.float64) / scale
        assert np.abs(integers - exact).max() <= 0.5 + 1e-4
        np.testing.assert_array_equal(np.abs(integers.astype(int)).max(axis=1), 127)
    assert stored == {}


def test_manifests_say_what_was_done(existing_bundle, tmp_path):
    int8 = Artifact.open(_quantize("dynamic-int8", existing_bundle, tmp_path / "int8").path).manifest
    fp16 = Artifact.open(_quantize("fp16", existing_bundle, tmp_path / "fp16").path).manifest
    bf16 = Artifact.open(_quantize("bf16", existing_bundle, tmp_path / "bf16").path).manifest
    assert (int8.format, int8.quantization.scheme) == ("bundle-int8", "dynamic-int8")
    assert (fp16.format, fp16.quantization.scheme) == ("bundle-fp16", "fp16")
    assert (bf16.format, bf16.quantization.scheme) == ("bundle-bf16", "bf16")
    assert int8.model == fp16.model == bf16.model == existing_bundle.manifest.model


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_same_bundle_gives_the_same_bytes(existing_bundle, tmp_path, name):
    first = _quantize(name, existing_bundle, tmp_path / "first")
    second = _quantize(name, existing_bundle, tmp_path / "second")
    assert first.digest == second.digest
    assert first.weights_path.read_bytes() == second.weights_path.read_bytes()


def test_half_precision_is_the_nearest(existing_bundle, tmp_path):
    stored = load_file(_quantize("fp16", existing_bundle, tmp_path / "fp16").weights_path)
    for name, weight in load_file(existing_bundle.weights_path).items():
        assert stored[name].dtype == np.float16
        gap = np.spacing(np.abs(stored[name])).astype(np.float64)
        assert (np.abs(stored[name].astype(np.float64) - weight) <= gap / 2).all()


def test_bfloat16_is_the_upper_half_of_float32_rounded_to_even(existing_bundle, tmp_path):
    """Compared with integer arithmetic on the bits."""
    stored = load_file(_quantize("bf16", existing_bundle, tmp_path / "bf16").weights_path)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8], np.float32)
    stored["ties"] = narrow("ties", ties, ml_dtypes.bfloat16, hint="")
    for name, weight in {**load_file(existing_bundle.weights_path), "ties": ties}.items():
        bits = weight.view(np.uint32).astype(np.uint64)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        assert stored[name].dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(stored[name].view(np.uint16), rounded.astype(np.uint16))


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_two_bytes_a_weight_are_half_the_size(existing_bundle, tmp_path, name):
    narrowed = _quantize(name, existing_bundle, tmp_path / name)
    elements = sum(weight.size for weight in load_file(existing_bundle.weights_path).values())
    before, after = (artifact.manifest.files[WEIGHTS_NAME].size_bytes for artifact in (existing_bundle, narrowed))
    assert abs(before - after - 2 * elements) <= 256  # the header names other dtypes


@pytest.mark.parametrize("half_precision", ["fp16", "bf16"])
def test_int8_can_start_from_half_precision(existing_bundle, tmp_path, half_precision):
    half = _quantize(half_precision, existing_bundle, tmp_path / "half")
    stored = load_file(_quantize("dynamic-int8", half, tmp_path / "int8").weights_path)
    name = "encoder.layers.0.ffn.up_proj.weight"
    integers, scale = quantize_rows(load_file(half.weights_path)[name].astype(np.float32))
    np.testing.assert_array_equal(stored[name], integers)
    np.testing.assert_array_equal(stored[f"{name}_scale"], scale)
    assert stored["encoder.final_norm.weight"].dtype == np.float32


@pytest.mark.parametrize("name", ["fp16", "bf16"])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_half_precision_refuses_weights_that_are_no_numbers(existing_bundle, tmp_path, name, value):
    tensor = "encoder.final_norm.weight"
    source = _with_weights(existing_bundle, tmp_path / "source", **{tensor: np.full(32, value, np.float32)})
    with pytest.raises(LingoLiteError, match=f"`{tensor}` is infinite or not a number"):
        _quantize(name, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bfloat16_has_the_range_of_float32_but_for_its_last_step(existing_bundle, tmp_path):
    name = "encoder.final_norm.weight"
    for value, fits in ((3.38e38, True), (3.4e38, False)):
        source = _with_weights(existing_bundle, tmp_path / f"{value}", **{name: np.full(32, value, np.float32)})
        if fits:
            stored = load_file(_quantize("bf16", source, tmp_path / f"{value}-out").weights_path)
            np.testing.assert_allclose(stored[name].astype(np.float64), value, rtol=2**-8)
            continue
        with pytest.raises(LingoLiteError, match=f"`{name}` does not fit into bfloat16"):
            _quantize("bf16", source, tmp_path / f"{value}-out")


def test_weights_too_large_for_half_precision_are_refused_by_name(existing_bundle, tmp_path):
    name = "encoder.layers.1.norm2.weight"
    source = _with_weights(existing_bundle, tmp_path / "source", **{name: np.full(32, -70000.0, np.float32)})
    with pytest.raises(LingoLiteError, match=f"`{name}` does not fit into float16: .* 70000") as raised:
        _quantize("fp16", source, tmp_path / "out")
    assert "dynamic-int8" in raised.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("embedding_bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_int4_bundles_hold_packed_groups_of_every_matrix(existing_bundle, tmp_path, symmetric, embedding_bits):
    options = Int4Options(group_size=16, symmetric=symmetric, embedding_bits=embedding_bits)
    artifact = _quantize("int4", existing_bundle, tmp_path / "int4", options)
    stored = load_file(artifact.weights_path)
    for name, weight in load_file(existing_bundle.weights_path).items():
        if weight.ndim == 1:
            np.testing.assert_array_equal(stored.pop(name), weight)
            continue
        if "embedding" in name and embedding_bits == 8:  # the largest group that divides 32 columns
            matrix = quantize_groups(weight, bits=8, group_size=32, is_symmetric=True)
        else:
            matrix = quantize_groups(weight, bits=4, group_size=16, is_symmetric=symmetric)
        expected = matrix.tensors(name)
        assert expected[name].nbytes == weight.size * matrix.bits // 8
        for key, array in expected.items():
            found = stored.pop(key)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)
    assert stored == {}
    quantization = Artifact.open(artifact.path).manifest.quantization
    assert quantization.scheme == "int4"
    assert quantization.int8_tensors == (("encoder.embedding.weight",) if embedding_bits == 8 else ())


def test_a_group_that_does_not_divide_a_matrix_is_refused_by_name(existing_bundle, tmp_path):
    with pytest.raises(
        LingoLiteError, match=r"`.*down_proj.weight`: groups of 32 do not divide its rows of 48"
    ) as raised:
        _quantize("int4", existing_bundle, tmp_path / "out", Int4Options(group_size=32))
    assert "16" in raised.value.hint
    assert list(tmp_path.iterdir()) == []


def test_group_sizes_that_runtimes_lack_are_refused():
    for options in ({"group_size": 24}, {"embedding_bits": 2}, {"groupsize": 32}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(options, Int4Options)


@pytest.mark.parametrize("name", QUANTIZERS)
def test_an_artifact_of_another_format_is_refused(existing_bundle, tmp_path, name):
    quantized = _quantize("dynamic-int8", existing_bundle, tmp_path / "int8")
    with pytest.raises(LingoLiteError, match="has the format bundle-int8, not bundle"):
        _quantize(name, quantized, tmp_path / "out")


def test_descriptors_name_what_the_classes_do(existing_bundle, tmp_path):
    specs = {spec.name: spec for spec in lingolite_quantizers() if not spec.needs}
    assert specs.keys() == QUANTIZERS.keys()
    for name, spec in specs.items():
        assert spec.factory == f"{QUANTIZERS[name].__module__}:{QUANTIZERS[name].__name__}"
        assert _quantize(name, existing_bundle, tmp_path / name).manifest.format == spec.produces


def test_quantizing_imports_no_torch():
    modules = ", ".join(kind.__module__ for kind in QUANTIZERS.values())
    code = f"import {modules}, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
