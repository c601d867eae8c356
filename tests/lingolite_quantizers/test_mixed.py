"""`mixed`: which matrix gets which precision, and what is stored for it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from lingolite_quantizers.int4 import Int4
from lingolite_quantizers.mixed import Mixed, assign
from lingolite_quantizers.options import Int4Options, MixedOptions
from safetensors.numpy import load_file, save_file

from lingolite_cli.artifact import WEIGHTS_NAME, Artifact, Product, Provenance, derive_artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.model import load_bundle
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.weights.groups import quantize_groups

NAMES = ["encoder.embedding", "encoder.layers.0.ffn.up_proj", "encoder.layers.0.ffn.down_proj", "decoder.layers.1.x"]
MIX = {
    "encoder.embedding": "int8",
    "encoder.layers.0.*": "fp16",
    "encoder.layers.0.ffn.*": "int8",
    "decoder.layers.1.cross_attn.k_proj": "fp32",
}


def quantized(source: Artifact, path: Path, **options: object) -> Artifact:
    with atomic_directory(path) as directory:
        chosen = msgspec.convert({"group_size": 16, **options}, MixedOptions)
        product = Mixed(options=chosen).quantize(source, directory)
        return derive_artifact(source, path, product, Provenance(operation="test"), directory=directory)


def expected_precision(name: str) -> str:
    if name == "encoder.embedding" or name.startswith("encoder.layers.0.ffn."):
        return "int8"
    if name.startswith("encoder.layers.0."):
        return "fp16"
    return "fp32" if name == "decoder.layers.1.cross_attn.k_proj" else "int4"


def test_each_matrix_is_stored_as_its_precision_says(tiny: Artifact, tmp_path: Path) -> None:
    artifact = quantized(tiny, tmp_path / "mixed", layers=MIX)
    stored = load_file(artifact.weights_path)
    for name, weight in load_file(tiny.weights_path).items():
        precision = expected_precision(name.removesuffix(".weight"))
        if weight.ndim == 1 or precision == "fp32":
            expected = {name: weight}
        elif precision == "fp16":
            expected = {name: weight.astype(np.float16)}
        else:
            is_int8 = precision == "int8"
            group_size = (64 if weight.shape[1] % 64 == 0 else 32) if is_int8 else 16
            matrix = quantize_groups(weight, bits=8 if is_int8 else 4, group_size=group_size, is_symmetric=is_int8)
            expected = matrix.tensors(name)
        for key, value in expected.items():
            found = stored.pop(key)
            assert found.dtype == value.dtype
            np.testing.assert_array_equal(found, value)
    assert stored == {}


def test_the_manifest_says_the_precision_of_each_matrix(tiny: Artifact, tmp_path: Path) -> None:
    manifest = Artifact.open(quantized(tiny, tmp_path / "mixed", layers=MIX).path).manifest
    precisions = manifest.details["precisions"]
    assert precisions == {name: expected_precision(name) for name in precisions}
    assert manifest.quantization.scheme == "mixed"
    assert set(manifest.quantization.int8_tensors) == {
        f"{name}.weight" for name in precisions if expected_precision(name) == "int8"
    }
    assert set(manifest.quantization.float_tensors) == {
        f"{name}.weight" for name in precisions if expected_precision(name) in ("fp16", "fp32")
    }


def test_all_in_four_bits_is_what_the_quantizer_int4_makes(tiny: Artifact, tmp_path: Path) -> None:
    for name, options in (("a", Int4Options()), ("b", Int4Options(embedding_bits=8, symmetric=True))):
        (tmp_path / name).mkdir()
        Int4(options=options).quantize(tiny, tmp_path / name)
        layers = {"encoder.embedding": "int8"} if options.embedding_bits == 8 else {}
        mixed = quantized(tiny, tmp_path / f"{name}-mixed", group_size=32, symmetric=options.symmetric, layers=layers)
        assert mixed.weights_path.read_bytes() == (tmp_path / name / "model.safetensors").read_bytes()


def test_all_in_float32_is_the_model_itself(tiny: Artifact, tmp_path: Path) -> None:
    before, after = load_bundle(tiny.path), load_bundle(quantized(tiny, tmp_path / "m", default="fp32").path)
    for name, tensor in before.state_dict().items():
        assert tensor.equal(after.state_dict()[name])


def test_the_order_of_patterns_does_not_matter(tiny: Artifact, tmp_path: Path) -> None:
    backwards = dict(reversed(MIX.items()))
    assert (
        quantized(tiny, tmp_path / "a", layers=MIX).digest == quantized(tiny, tmp_path / "b", layers=backwards).digest
    )


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({}, ["int4", "int4", "int4", "int4"]),
        ({"*": "int8"}, ["int8", "int8", "int8", "int8"]),
        ({"encoder.*": "int8", "*.ffn.*": "fp16"}, ["int8", "int8", "int8", "int4"]),
        ({"encoder.*": "int8", "encoder.layers.?.ffn.up_proj": "fp32"}, ["int8", "fp32", "int8", "int4"]),
        ({"*down_proj": "fp16", "encoder.layers.0.ffn.[u-z]*": "int8"}, ["int4", "int8", "fp16", "int4"]),
    ],
)
def test_the_most_specific_pattern_decides(layers: dict[str, str], expected: list[str]) -> None:
    options = msgspec.convert({"layers": layers}, MixedOptions)
    assert list(assign(NAMES, options).values()) == expected


@pytest.mark.parametrize(
    ("layers", "message", "hint"),
    [
        ({"encoder.embeding": "int8"}, "`encoder.embeding` of `layers` matches no matrix", "`encoder.embedding`"),
        ({"encoder.layers.0.fnn.*": "int8"}, "matches no matrix", "did you mean `encoder.layers.0.ffn.*`?"),
        (
            {"encoder.layers.?.*": "int8", "encoder.*.up_proj": "fp16"},
            "equally specific and contradict each other on `encoder.layers.0.ffn.up_proj`",
            'add the matrix itself: "encoder.layers.0.ffn.up_proj" = "int8"',
        ),
    ],
)
def test_patterns_that_cannot_be_followed_are_refused(layers: dict[str, str], message: str, hint: str) -> None:
    with pytest.raises(LingoLiteError, match=message) as error:
        assign(NAMES, msgspec.convert({"layers": layers}, MixedOptions))
    assert hint in (error.value.hint or "")


def test_an_unknown_precision_is_refused_before_any_work() -> None:
    mixed = load_registry().resolve("quantizer", "mixed")
    with pytest.raises(LingoLiteError, match=r'layers\.encoder.*"int5"') as error:
        mixed.options({"layers": {"encoder.*": "int5"}})
    assert error.value.hint == "did you mean `int8`? known: int4, int8, fp16, fp32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_size": 128}, "cannot quantize `.*`: groups of 128 do not divide its rows of 32 elements"),
        ({"layers": {"decoder.layers.7.*": "int8"}}, "matches no matrix"),
    ],
)
def test_nothing_is_written_where_the_options_do_not_fit(
    tiny: Artifact, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(LingoLiteError, match=message):
        quantized(tiny, tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_floats_beyond_half_precision_are_refused_by_name(tiny: Artifact, tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "large") as directory:
        tensors = load_file(tiny.weights_path)
        tensors["encoder.embedding.weight"] = tensors["encoder.embedding.weight"] * np.float32(1e6)
        save_file(tensors, directory / WEIGHTS_NAME)
        large = derive_artifact(
            tiny, tmp_path / "large", Product(format="bundle"), Provenance(operation="test"), directory=directory
        )
    with pytest.raises(LingoLiteError, match=r"`encoder\.embedding\.weight` does not fit into float16"):
        quantized(large, tmp_path / "out", layers={"encoder.embedding": "fp16"})
