"""Bundles: made whole, the same bytes each time, and loaded into the same model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from lingolite_quantizers.int4 import Int4
from lingolite_quantizers.options import Int4Options
from safetensors.numpy import load_file
from safetensors.torch import load, save

from lingolite_cli.artifact import WEIGHTS_NAME, Artifact, Provenance, Quantization, derive_artifact, write_manifest
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.model import (
    MobileTranslationModel,
    apply_dynamic_quantization,
    import_checkpoint,
    load_bundle,
    save_bundle,
)


def _bytes(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def _rewrite(artifact: Artifact, path: Path, change) -> Path:
    """A copy of a bundle with changed tensors and a manifest that fits them."""
    shutil.copytree(artifact.path, path)
    tensors = change(load((path / WEIGHTS_NAME).read_bytes()))
    (path / WEIGHTS_NAME).write_bytes(save(tensors))
    write_manifest(path, artifact.manifest)
    return path


def test_a_bundle_holds_the_checkpoints_tensors(existing_bundle, existing_checkpoint):
    state = torch.load(existing_checkpoint, weights_only=True)["model_state_dict"]
    stored = load_file(existing_bundle.weights_path)
    assert set(stored) == set(state) - {"decoder.embedding.weight", "decoder.lm_head.weight"}
    for name, array in stored.items():
        np.testing.assert_array_equal(array, state[name].numpy())


def test_the_manifest_describes_the_bundle(existing_bundle):
    manifest = Artifact.open(existing_bundle.path).manifest
    assert manifest.format == "bundle"
    assert manifest.languages == ("en", "da")
    assert set(manifest.files) == {"model.safetensors", "tokenizer.model"}
    assert (manifest.model.n_heads, manifest.model.d_ff) == (4, 48)


def test_a_loaded_bundle_gives_the_expected_tokens(existing_bundle, expected):
    model = load_bundle(existing_bundle.path)
    assert not model.training
    ids = model.generate_with_cache(
        torch.from_numpy(expected["source_ids"]), torch.from_numpy(expected["source_mask"]), max_length=20
    )
    np.testing.assert_array_equal(ids.numpy(), expected["greedy"])


def test_the_same_checkpoint_gives_the_same_bytes(existing_bundle, existing_checkpoint, small_tokenizer, tmp_path):
    again = import_checkpoint(existing_checkpoint, small_tokenizer.parent, tmp_path / "again")
    assert _bytes(again.path) == _bytes(existing_bundle.path)
    assert again.digest == existing_bundle.digest


def test_a_saved_model_comes_back(small_model, small_tokenizer, tmp_path, batch):
    save_bundle(small_model, tmp_path / "saved", tokenizer=small_tokenizer, languages=["da"])
    loaded = load_bundle(tmp_path / "saved")
    assert loaded.config == small_model.config
    assert Artifact.open(tmp_path / "saved").manifest.languages == ("da",)
    target = torch.ones(3, 2, dtype=torch.int64)
    with torch.no_grad():
        assert torch.equal(loaded(batch[0], target), small_model(batch[0], target))


def test_a_loaded_model_can_be_trained_with_its_embedding_tied(existing_bundle, batch):
    model = load_bundle(existing_bundle.path).train()
    assert model.decoder.lm_head.weight is model.encoder.embedding.weight
    model(batch[0], batch[0]).sum().backward()
    assert model.encoder.embedding.weight.grad is not None


def test_an_untied_model_comes_back(small_tokenizer, tmp_path):
    model = MobileTranslationModel(97, 24, n_heads=6, d_ff=40, tie_embeddings=False).eval()
    save_bundle(model, tmp_path / "untied", tokenizer=small_tokenizer)
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        assert torch.equal(load_bundle(tmp_path / "untied")(ids, ids), model(ids, ids))
    quantized = apply_dynamic_quantization(model)
    assert not torch.equal(quantized.decoder.lm_head.weight, quantized.decoder.embedding.weight)


def test_a_tokenizer_of_another_size_is_refused_and_nothing_is_written(small_tokenizer, tmp_path):
    model = MobileTranslationModel(96, 24, n_heads=6, d_ff=40)
    with pytest.raises(LingoLiteError, match="has 97 pieces, the model 96"):
        save_bundle(model, tmp_path / "out", tokenizer=small_tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_must_hold_exactly_one_tokenizer(existing_checkpoint, small_tokenizer, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(LingoLiteError, match=r"exactly one .* found: none"):
        import_checkpoint(existing_checkpoint, tmp_path, out)
    for name in ("a.model", "b.model"):
        shutil.copyfile(small_tokenizer, tmp_path / name)
    with pytest.raises(LingoLiteError, match=r"found: a.model, b.model"):
        import_checkpoint(existing_checkpoint, tmp_path, out)
    assert not out.exists()


def test_a_language_without_a_tag_is_refused(existing_checkpoint, small_tokenizer, tmp_path):
    with pytest.raises(LingoLiteError, match="no tag for the language `dk`"):
        import_checkpoint(existing_checkpoint, small_tokenizer, tmp_path / "out", languages=["en", "dk"])


def test_a_bundle_is_replaced_only_on_request(existing_checkpoint, small_tokenizer, tmp_path):
    import_checkpoint(existing_checkpoint, small_tokenizer, tmp_path / "out")
    with pytest.raises(LingoLiteError, match="exists"):
        import_checkpoint(existing_checkpoint, small_tokenizer, tmp_path / "out")
    import_checkpoint(existing_checkpoint, small_tokenizer, tmp_path / "out", overwrite=True)


def test_a_quantized_model_is_saved_as_an_int8_bundle(small_model, small_tokenizer, tmp_path):
    quantized = apply_dynamic_quantization(small_model)
    bundle = save_bundle(quantized, tmp_path / "out", tokenizer=small_tokenizer)
    assert (bundle.manifest.format, bundle.manifest.quantization) == ("bundle-int8", Quantization("dynamic-int8"))
    loaded = load_bundle(bundle.path).state_dict()
    assert loaded.keys() == quantized.state_dict().keys()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in quantized.state_dict().items())


def test_weights_that_do_not_fit_the_manifest_are_refused(existing_bundle, tmp_path):
    def drop(tensors):
        del tensors["encoder.final_norm.weight"]
        return tensors

    def integers(tensors):
        return {**tensors, "encoder.final_norm.weight": torch.ones(32, dtype=torch.int64)}

    with pytest.raises(LingoLiteError, match=r"missing: encoder.final_norm.weight"):
        load_bundle(_rewrite(existing_bundle, tmp_path / "dropped", drop))
    with pytest.raises(LingoLiteError, match=r"`encoder.final_norm.weight` .* is torch.int64"):
        load_bundle(_rewrite(existing_bundle, tmp_path / "integers", integers))


def test_groups_that_do_not_fit_the_configuration_are_refused(tiny, tmp_path):
    with atomic_directory(tmp_path / "int4") as directory:
        product = Int4(options=Int4Options(symmetric=True)).quantize(tiny, directory)
        int4 = derive_artifact(tiny, tmp_path / "int4", product, Provenance(operation="test"), directory=directory)
    name = "encoder.layers.0.ffn.down_proj.weight"

    def halve(tensors):
        return {**tensors, name: tensors[name][:, ::2].contiguous()}

    def cut(tensors):
        return {**tensors, name: tensors[name][:-1], f"{name}_scale": tensors[f"{name}_scale"][:-1]}

    def bare(tensors):
        return {key: tensor for key, tensor in tensors.items() if key != f"{name}_scale"}

    assert load_bundle(int4.path).encoder.embedding.weight.dtype == torch.float32
    with pytest.raises(LingoLiteError, match=f"the parts of `{name}`, a matrix with 64 columns, do not fit"):
        load_bundle(_rewrite(int4, tmp_path / "halved", halve))
    with pytest.raises(LingoLiteError, match=rf"mis-shaped: {name} \[31, 32\] instead of \[32, 32\]"):
        load_bundle(_rewrite(int4, tmp_path / "cut", cut))
    with pytest.raises(LingoLiteError, match=f"mis-shaped: {name}"):
        load_bundle(_rewrite(int4, tmp_path / "bare", bare))


def test_a_damaged_bundle_is_refused(existing_bundle, tmp_path):
    shutil.copytree(existing_bundle.path, tmp_path / "damaged")
    file = tmp_path / "damaged" / WEIGHTS_NAME
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LingoLiteError, match="bytes, not"):
        load_bundle(tmp_path / "damaged")
    write_manifest(tmp_path / "damaged", existing_bundle.manifest)
    with pytest.raises(LingoLiteError, match="cannot read the weights"):
        load_bundle(tmp_path / "damaged")
