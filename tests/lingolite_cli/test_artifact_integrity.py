"""Nothing is read that the manifest does not list, and what is loaded is what was verified."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import contents

from lingolite_cli.artifact import (
    MANIFEST_NAME,
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    Artifact,
    Product,
    read_manifest,
    write_manifest,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.job import publish_artifact
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.recipe.scope import PluginChoice
from lingolite_cli.recipe.work.conversion import convert_artifact
from lingolite_cli.testing.tiny import tiny_bundle
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights, read_tensors, write_tensors

STARTER = Path(__file__).parents[2] / "recipes" / "starter-en-da" / "model"


@pytest.fixture
def bundle(tmp_path) -> Path:
    return tiny_bundle(tmp_path / "bundle").path


def unlist(directory: Path, name: str) -> None:
    manifest = json.loads((directory / MANIFEST_NAME).read_text())
    del manifest["files"][name]
    (directory / MANIFEST_NAME).write_text(json.dumps(manifest))


def digest_anew(directory: Path) -> None:
    write_manifest(directory, read_manifest(directory))


def exported(bundle: Path, to: Path, format: str, **options: object) -> Path:
    exporter = load_registry().resolve("exporter", format).create(options=options)
    source = Artifact.open(bundle)
    to.mkdir()
    product = exporter.export(source, to)
    shutil.copyfile(bundle / TOKENIZER_NAME, to / TOKENIZER_NAME)
    write_manifest(
        to,
        Artifact.open(bundle).manifest.__class__(
            format=product.format,
            model=source.manifest.model,
            languages=source.manifest.languages,
            made_by=source.manifest.made_by,
            details=product.details,
        ),
    )
    return to


def open_engine(directory: Path, backend: str) -> object:
    return load_registry().resolve("backend", backend).open(Artifact.open(directory), threads=1)


def test_weights_without_an_entry_in_the_manifest_are_not_loaded(bundle):
    unlist(bundle, WEIGHTS_NAME)
    with pytest.raises(LingoLiteError, match=r"model\.safetensors is not listed in its manifest"):
        open_engine(bundle, "cached")


def test_a_tokenizer_without_an_entry_in_the_manifest_is_not_read(bundle):
    unlist(bundle, TOKENIZER_NAME)
    with pytest.raises(LingoLiteError, match=r"tokenizer\.model is not listed in its manifest"):
        open_tokenizer(Artifact.open(bundle))


@pytest.mark.parametrize("profile", ["portable", "optimized"])
@pytest.mark.parametrize("file", ["weights.bin", "encoder"])
def test_files_of_graphs_without_an_entry_in_the_manifest_are_not_read(tmp_path, profile, file):
    directory = exported(STARTER, tmp_path / "onnx", "onnx", profile=profile, test=False)
    unlist(directory, next(name for name in Artifact.open(directory).manifest.files if name.startswith(file)))
    with pytest.raises(LingoLiteError, match="is not listed in its manifest"):
        open_engine(directory, "onnx")


@pytest.mark.parametrize("file", ["model.bin", "config.json", "shared_vocabulary.json"])
def test_files_of_ctranslate2_without_an_entry_in_the_manifest_are_not_read(bundle, tmp_path, file):
    directory = exported(bundle, tmp_path / "ct2", "ctranslate2")
    unlist(directory, file)
    with pytest.raises(LingoLiteError, match="is not listed in its manifest"):
        open_engine(directory, "ctranslate2")


def test_a_further_file_that_an_engine_may_find_by_itself_is_refused_and_a_readme_is_not(bundle, tmp_path):
    directory = exported(bundle, tmp_path / "ct2", "ctranslate2")
    (directory / "README.md").write_text("notes")
    open_engine(directory, "ctranslate2")
    (directory / "source_vocabulary.json").write_text("[]")
    with pytest.raises(LingoLiteError, match=r"source_vocabulary\.json is not listed in its manifest"):
        open_engine(directory, "ctranslate2")


@pytest.mark.parametrize("name", [TOKENIZER_NAME, WEIGHTS_NAME])
def test_a_link_is_not_followed_even_if_what_it_names_has_the_right_bytes(bundle, tmp_path, name):
    outside = tmp_path / "outside"
    (bundle / name).rename(outside)
    (bundle / name).symlink_to(outside)
    with pytest.raises(LingoLiteError, match=rf"{name} is a link"):
        Artifact.open(bundle)


def test_a_file_in_a_linked_directory_is_not_read(bundle, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "more").write_bytes(b"secret")
    (bundle / "part").mkdir()
    (bundle / "part" / "more").write_bytes(b"secret")
    digest_anew(bundle)
    shutil.rmtree(bundle / "part")
    (bundle / "part").symlink_to(tmp_path / "outside")
    with pytest.raises(LingoLiteError, match="more is a link"):
        Artifact.open(bundle)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no FIFOs")
@pytest.mark.parametrize("name", [TOKENIZER_NAME, WEIGHTS_NAME, MANIFEST_NAME])
def test_a_fifo_is_refused_and_not_waited_for(bundle, name):
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(LingoLiteError, match="regular file"):
        Artifact.open(bundle)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("a" * 5000, "a name of 5,000 characters"),
        ("/etc/hostname", "outside the artifact: /etc/hostname"),
        ("a/../../b", r"outside the artifact: a/\.\./\.\./b"),
        ("..", r"outside the artifact: \.\."),
        ("", "outside the artifact"),
        ("C:/x", "outside the artifact"),
        ("a\\b", "not a plain relative path"),
        ("a//b", "not a plain relative path"),
        ("./a", "not a plain relative path"),
        ("a\x00b", "not a plain relative path"),
        ("a\x1b[31mb", "not a plain relative path"),
    ],
)
def test_names_that_are_none_are_refused_before_a_file_is_touched(bundle, name, problem):
    manifest = json.loads((bundle / MANIFEST_NAME).read_text())
    manifest["files"][name] = manifest["files"][WEIGHTS_NAME]
    (bundle / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(LingoLiteError, match=problem) as error:
        Artifact.open(bundle)
    assert len(error.value.message) < 600
    assert error.value.message.isprintable()


@pytest.mark.parametrize(
    "details",
    ['{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"x": "\\ud800"}', '{"x": 1e999}'],
    ids=["deep", "half a character", "infinite"],
)
def test_manifests_with_values_beyond_json_are_refused(bundle, details):
    text = (bundle / MANIFEST_NAME).read_text()
    (bundle / MANIFEST_NAME).write_text(text.replace('"details": {}', f'"details": {details}'))
    with pytest.raises(LingoLiteError, match="is not a manifest"):
        Artifact.open(bundle)


def other_weights(bundle: Path, to: Path) -> Path:
    shutil.copytree(bundle, to)
    tensors = {name: np.array(tensor) * 3 for name, tensor in read_tensors(Artifact.open(bundle)).items()}
    write_tensors(tensors, to)
    digest_anew(to)
    return to


def swap(one: Path, other: Path) -> None:
    aside = one.with_name("aside")
    os.rename(one, aside)
    os.rename(other, one)
    os.rename(aside, other)


def first_weight(artifact: Artifact) -> float:
    return float(next(iter(read_tensors(artifact).values())).ravel()[0])


def test_a_bundle_that_is_exchanged_between_check_and_load_is_noticed(bundle, tmp_path):
    other = other_weights(bundle, tmp_path / "other")
    artifact = Artifact.open(bundle)
    swap(bundle, other)
    with pytest.raises(LingoLiteError, match="was changed: its SHA-256"):
        artifact.reading(lambda: first_weight(artifact), undo=lambda _: None)


def test_a_bundle_that_is_exchanged_and_back_again_while_it_is_loaded_is_loaded_again(bundle, tmp_path):
    other = other_weights(bundle, tmp_path / "other")
    artifact = Artifact.open(bundle)
    true = first_weight(artifact)
    readings: list[float] = []
    undone: list[float] = []

    def read() -> float:
        if not readings:
            swap(bundle, other)
        readings.append(first_weight(artifact))
        if len(readings) == 1:
            swap(bundle, other)
        return readings[-1]

    assert artifact.reading(read, undo=undone.append) == true
    assert readings[0] != true
    assert undone == readings[:1]


def test_an_artifact_that_never_comes_to_rest_is_an_error(bundle):
    artifact = Artifact.open(bundle)
    with pytest.raises(LingoLiteError, match="is written to by another process while it is read"):
        artifact.reading(lambda: os.utime(bundle / WEIGHTS_NAME), undo=lambda _: None)


def test_another_name_for_a_file_does_not_make_an_artifact_another(bundle, tmp_path):
    """Runs link the files of cached artifacts into their own directories while others read them."""
    artifact = Artifact.open(bundle)
    os.link(bundle / WEIGHTS_NAME, tmp_path / "another name")
    assert artifact.reading(lambda: first_weight(artifact), undo=lambda _: None) == first_weight(artifact)


def test_the_tokenizer_that_is_opened_is_the_one_that_was_verified(bundle):
    artifact = Artifact.open(bundle)
    data = bytearray((bundle / TOKENIZER_NAME).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / TOKENIZER_NAME).write_bytes(data)
    with pytest.raises(LingoLiteError, match=r"tokenizer\.model was changed"):
        open_tokenizer(artifact)


def test_a_bundle_that_is_exchanged_while_it_is_quantized_does_not_poison_what_is_made_of_it(bundle, tmp_path):
    other = other_weights(bundle, tmp_path / "other")
    source = Artifact.open(bundle)
    loaded = load_registry().resolve("quantizer", "fp16")
    quantizer = loaded.create()
    swaps = [True, False]

    def convert(artifact: Artifact, directory: Path) -> Product:
        is_first = swaps.pop(0)
        if is_first:
            swap(bundle, other)
        try:
            return quantizer.quantize(artifact, directory)
        finally:
            if is_first:
                swap(bundle, other)

    (tmp_path / "step").mkdir()
    made = convert_artifact(source, convert, PluginChoice(loaded, {}), tmp_path / "step")
    assert not swaps
    assert first_weight(made) == pytest.approx(first_weight(source), rel=1e-2)


def test_a_published_artifact_has_the_files_of_its_manifest_alone(bundle, tmp_path):
    (bundle / "stray.bin").write_bytes(b"not listed")
    publish_artifact(bundle, tmp_path / "copy", overwrite=False)
    expected = contents(bundle)
    del expected["stray.bin"]
    assert contents(tmp_path / "copy") == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_decoder_layers", 10**9),
        ("max_seq_len", 10**9),
        ("d_model", 1 << 31),
        ("vocab_size", 10**18),
        ("d_ff", 1 << 40),
    ],
)
def test_sizes_that_no_model_has_are_refused_with_the_manifest(bundle, name, value):
    manifest = json.loads((bundle / MANIFEST_NAME).read_text())
    manifest["model"][name] = value
    (bundle / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(LingoLiteError, match=rf"{name} must be at most [\d,]+, not {value:,}"):
        Artifact.open(bundle)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("n_decoder_layers", 1000, r"missing: .* and [\d,]+ more"),
        ("n_encoder_layers", 2, r"unexpected: encoder\.layers\.2"),
        ("d_ff", 1 << 20, r"mis-shaped: .* instead of \[1048576, 32\]"),
        ("vocab_size", 1 << 24, r"encoder\.embedding\.weight .* instead of \[16777216, 32\]"),
        ("tie_embeddings", False, r"missing: decoder\.embedding\.weight, decoder\.lm_head\.weight"),
    ],
)
def test_sizes_that_the_header_of_the_weights_denies_are_refused_before_anything_is_computed(
    bundle, name, value, problem
):
    manifest = json.loads((bundle / MANIFEST_NAME).read_text())
    manifest["model"][name] = value
    (bundle / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(LingoLiteError, match=problem):
        Weights.read(Artifact.open(bundle))


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="paths are always text there")
def test_a_path_that_is_not_utf8_is_named_as_the_cause(bundle, tmp_path):
    strange = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    strange.mkdir()
    directory = exported(bundle, tmp_path / "ct2", "ctranslate2")
    shutil.copytree(directory, strange / "ct2")
    with pytest.raises(LingoLiteError, match=r"caf\\xe9/ct2' is not UTF-8") as error:
        open_engine(strange / "ct2", "ctranslate2")
    assert "rename the directory" in error.value.hint


def test_a_tokenizer_of_another_size_than_the_model_is_refused(bundle):
    shutil.copyfile(STARTER / TOKENIZER_NAME, bundle / TOKENIZER_NAME)
    digest_anew(bundle)
    with pytest.raises(LingoLiteError, match=r"tokenizer\.model has 8,000 pieces, and the model \d+"):
        open_tokenizer(Artifact.open(bundle))


def test_names_of_thousands_of_characters_do_not_fill_a_message(bundle):
    manifest = json.loads((bundle / MANIFEST_NAME).read_text())
    (bundle / MANIFEST_NAME).write_text(json.dumps({**manifest, "a" * 5000: 1}))
    with pytest.raises(LingoLiteError, match="unknown field") as error:
        Artifact.open(bundle)
    assert len(error.value.message) < 1000


@pytest.mark.parametrize("place", [("format",), ("languages", 0), ("made_by", "operation"), ("made_by", "tool")])
def test_names_of_thousands_of_characters_are_refused_shortly(bundle, place):
    manifest = json.loads((bundle / MANIFEST_NAME).read_bytes())
    *tables, last = place
    target = manifest
    for key in tables:
        target = target[key]
    target[last] = "a" * 5000
    (bundle / MANIFEST_NAME).write_text(json.dumps(manifest))
    with pytest.raises(LingoLiteError, match="is not a manifest") as refused:
        Artifact.open(bundle)
    assert len(refused.value.message) < 1000
