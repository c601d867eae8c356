"""Static int8 in PyTorch: the arithmetic against numpy integers, calibration against what was really decoded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lingolite_cli import apply_dynamic_quantization, apply_static_quantization, load_bundle, save_bundle
from lingolite_cli.architecture.tensors import shared_inputs
from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import MobileTranslationModel
from lingolite_cli.model.calibration import Observer, observed_translations
from lingolite_cli.model.int8 import StaticInt8Linear
from lingolite_cli.testing import LANGUAGES, SENTENCES
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer


@pytest.fixture(scope="module")
def model(tiny: Artifact) -> MobileTranslationModel:
    return load_bundle(tiny.path)


@pytest.fixture(scope="module")
def static(tiny: Artifact, model: MobileTranslationModel) -> MobileTranslationModel:
    return apply_static_quantization(model, SENTENCES, tokenizer=tiny.tokenizer_path)


def logits(model: MobileTranslationModel, sources: list[list[int]]) -> torch.Tensor:
    ids, mask = (torch.from_numpy(array) for array in pad(sources, IDS.pad))
    targets = torch.tensor([[IDS.start, 9, 31, 12]]).expand(len(sources), -1)
    with torch.inference_mode():
        return model(ids, targets, mask)


@pytest.mark.parametrize("zero_point", [0, 93, 128, 255])
def test_products_are_those_of_exact_integers(zero_point: int) -> None:
    random = np.random.default_rng(zero_point)
    weight = random.integers(-127, 128, (5, 1500)).astype(np.int8)
    weight_scale = random.uniform(0.001, 0.1, (5, 1)).astype(np.float32)
    scale = np.float32(0.037)
    x = (random.standard_normal((2, 3, 1500)) * 6).astype(np.float32)
    layer = StaticInt8Linear(1500, 5)
    state = {"weight": weight, "weight_scale": weight_scale, "input_scale": np.array([scale])}
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    layer.load_state_dict({**tensors, "input_zero_point": torch.tensor([zero_point], dtype=torch.uint8)})
    integers = np.clip(np.rint(x / scale) + zero_point, 0, 255).astype(np.int64) - zero_point
    assert (np.abs(x / scale) > 256).any(), "nothing was clipped"
    sums = np.einsum("bti,oi->bto", integers, weight.astype(np.int64))
    expected = sums.astype(np.float32) * (scale * weight_scale[:, 0])
    np.testing.assert_array_equal(layer(torch.from_numpy(x)).numpy(), expected)


def test_only_real_tokens_of_living_sentences_are_observed(tiny: Artifact, model: MobileTranslationModel) -> None:
    seen = {"encoder.layers.2.ffn.up_proj": 0, "decoder.layers.1.cross_attn.v_proj": 0, "decoder.lm_head": 0}

    def count(name: str) -> Observer:
        def add(x: torch.Tensor) -> None:
            assert x.shape[1:] == (32,)
            seen[name] += len(x)

        return add

    tokenizer = open_tokenizer(tiny)
    observers = {name: count(name) for name in seen}
    translations = list(observed_translations(model, SENTENCES, observers, tokenizer=tokenizer, languages=LANGUAGES))
    source_tokens = sum(len(source) for source in framed_sources(tiny))
    assert seen["encoder.layers.2.ffn.up_proj"] == seen["decoder.layers.1.cross_attn.v_proj"] == source_tokens
    assert seen["decoder.lm_head"] == sum(len(translation.tokens) for translation in translations)
    assert len({len(translation.tokens) for translation in translations}) > 1
    sources, mask = (torch.from_numpy(array) for array in pad(framed_sources(tiny), IDS.pad))
    greedy = model.generate_with_cache(sources, mask, max_length=model.config.max_seq_len)
    for row, translation in zip(greedy.tolist(), translations, strict=True):
        length = min(len(translation.tokens), len(row) - 1)
        assert tuple(row[1 : 1 + length]) == translation.tokens[:length]


def test_smoothing_moves_outliers_and_changes_nothing_else(tiny: Artifact, model: MobileTranslationModel) -> None:
    smoothed = load_bundle(tiny.path)
    maxima = torch.linspace(0.1, 90.0, 64)
    for layer in smoothed.encoder.layers:
        layer.ffn.smooth(maxima, strength=0.65)
    before, after = (network.encoder.layers[0].ffn.up_proj.weight for network in (model, smoothed))
    factors = before[:, 0] / after[:, 0]
    columns = model.encoder.layers[0].ffn.down_proj.weight.abs().amax(dim=0)
    torch.testing.assert_close(factors, maxima**0.65 / columns**0.35)
    sources = framed_sources(tiny)
    torch.testing.assert_close(logits(smoothed, sources), logits(model, sources), rtol=1e-4, atol=1e-4)


def test_it_computes_nearly_what_the_float_model_does(
    tiny: Artifact, model: MobileTranslationModel, static: MobileTranslationModel
) -> None:
    """Random weights make much of little errors; ranges for each row as it comes, `dynamic-int8`, are the measure."""
    expected = logits(model, framed_sources(tiny))
    error, dynamic_error = (
        float((logits(quantized, framed_sources(tiny)) - expected).square().mean().sqrt() / expected.std())
        for quantized in (static, apply_dynamic_quantization(model))
    )
    assert 0 < error < 2 * dynamic_error < 0.5
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters()), "the float model was changed"


def test_a_sentence_has_the_same_bits_alone_and_in_a_batch(tiny: Artifact, static: MobileTranslationModel) -> None:
    sources = framed_sources(tiny)
    together = logits(static, sources)
    for row, source in enumerate(sources):
        assert torch.equal(logits(static, [source])[0], together[row])


def test_layers_that_read_the_same_have_the_same_range(static: MobileTranslationModel) -> None:
    state = static.state_dict()
    scales = set()
    for group in shared_inputs(static.config):
        (found,) = {(float(state[f"{name}.input_scale"]), int(state[f"{name}.input_zero_point"])) for name in group}
        scales.add(found)
    assert len(scales) == len(shared_inputs(static.config))


def test_it_can_be_saved_and_loaded(tiny: Artifact, static: MobileTranslationModel, tmp_path: Path) -> None:
    artifact = save_bundle(static, tmp_path / "static", tokenizer=tiny.tokenizer_path)
    assert artifact.manifest.format == "bundle-static-int8"
    assert artifact.manifest.quantization is not None
    assert artifact.manifest.quantization.scheme == "static-int8"
    sources = framed_sources(tiny)
    assert torch.equal(logits(load_bundle(artifact.path), sources), logits(static, sources))


def test_ranges_that_are_missing_are_noticed(tiny: Artifact, static: MobileTranslationModel, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    from lingolite_cli.artifact import write_manifest

    artifact = save_bundle(static, tmp_path / "static", tokenizer=tiny.tokenizer_path)
    tensors = load_file(artifact.weights_path)
    del tensors["decoder.lm_head.input_zero_point"]
    save_file(tensors, artifact.weights_path)
    write_manifest(artifact.path, artifact.manifest)
    with pytest.raises(LingoLiteError, match=r"missing: decoder\.lm_head\.input_zero_point"):
        load_bundle(artifact.path)


def test_what_cannot_be_calibrated_is_refused(tiny: Artifact, model: MobileTranslationModel) -> None:
    path = tiny.tokenizer_path
    with pytest.raises(LingoLiteError, match="there is no sentence to calibrate on"):
        apply_static_quantization(model, ["", " "], tokenizer=path)
    with pytest.raises(LingoLiteError, match="already quantized"):
        apply_static_quantization(apply_dynamic_quantization(model), SENTENCES, tokenizer=path)
    with pytest.raises(LingoLiteError, match="unknown key `range`") as caught:
        apply_static_quantization(model, SENTENCES, tokenizer=path, range="entropy")
    assert caught.value.hint == "did you mean `ranges`?"
    with pytest.raises(LingoLiteError, match="nb"):
        apply_static_quantization(model, SENTENCES, tokenizer=path, languages=("en", "nb"))
