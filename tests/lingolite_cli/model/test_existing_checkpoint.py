"""The network computes what the code that wrote existing checkpoints computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lingolite_cli.model import MobileTranslationModel, read_checkpoint
from lingolite_cli.model.parameters import model_from_tensors

TOLERANCE = 1e-4


def _plain(content):
    return content


def _without_config(content):
    return {"model_state_dict": content["model_state_dict"]}


def _compiled(content):
    state = {f"_orig_mod.{name}": value for name, value in content["model_state_dict"].items()}
    return {**content, "model_state_dict": state}


def _compiled_layers(content):
    state = {
        name.replace(".self_attn.", ".self_attn._orig_mod."): value
        for name, value in content["model_state_dict"].items()
    }
    return {**content, "model_state_dict": state}


def _bare(content):
    return content["model_state_dict"]


def _without_tied_copies(content):
    state = content["model_state_dict"]
    kept = {name: state[name] for name in state if name not in ("decoder.embedding.weight", "decoder.lm_head.weight")}
    return {**content, "model_state_dict": kept}


SHAPES = [_plain, _without_config, _compiled, _compiled_layers, _bare, _without_tied_copies]


@pytest.fixture(params=SHAPES, ids=lambda shape: shape.__name__.strip("_"))
def model(request, existing_checkpoint: Path, tmp_path: Path) -> MobileTranslationModel:
    content = request.param(torch.load(existing_checkpoint, weights_only=True))
    torch.save(content, tmp_path / "model.pt")
    checkpoint = read_checkpoint(tmp_path / "model.pt", n_heads=4, max_seq_len=64)
    return model_from_tensors(checkpoint.config, checkpoint.tensors, where="the checkpoint")


@pytest.fixture
def inputs(expected):
    return {name: torch.from_numpy(expected[name]) for name in ("source_ids", "source_mask", "target_ids")}


def test_encoder_output(model, inputs, expected):
    with torch.no_grad():
        output = model.encoder(inputs["source_ids"], inputs["source_mask"])
    real = expected["source_mask"] == 1
    np.testing.assert_allclose(output.numpy()[real], expected["encoder_output"][real], atol=TOLERANCE, rtol=0)


def test_logits(model, inputs, expected):
    with torch.no_grad():
        logits = model(inputs["source_ids"], inputs["target_ids"], inputs["source_mask"])
    np.testing.assert_allclose(logits.numpy(), expected["logits"], atol=TOLERANCE, rtol=0)


def test_the_source_mask_defaults_to_the_pad_id(model, inputs, expected):
    with torch.no_grad():
        logits = model(inputs["source_ids"], inputs["target_ids"])
    np.testing.assert_allclose(logits.numpy(), expected["logits"], atol=TOLERANCE, rtol=0)


def test_greedy_search(model, inputs, expected):
    ids = model.generate(inputs["source_ids"], inputs["source_mask"], max_length=20)
    np.testing.assert_array_equal(ids.numpy(), expected["greedy"])


def test_greedy_search_with_a_cache(model, inputs, expected):
    ids = model.generate_with_cache(inputs["source_ids"], inputs["source_mask"], max_length=20)
    np.testing.assert_array_equal(ids.numpy(), expected["greedy_cached"])
