"""Checkpoints: sizes told by shapes, and clear refusals. The shapes that load are in test_existing_checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import read_checkpoint


@pytest.fixture
def content(existing_checkpoint):
    return torch.load(existing_checkpoint, weights_only=True)


@pytest.fixture
def save(tmp_path):
    def write(content) -> Path:
        torch.save(content, tmp_path / "model.pt")
        return tmp_path / "model.pt"

    return write


def _refused(path: Path, message: str, **sizes) -> LingoLiteError:
    with pytest.raises(LingoLiteError, match=message) as raised:
        read_checkpoint(path, **sizes)
    return raised.value


def test_sizes_come_from_the_config(existing_checkpoint):
    config = read_checkpoint(existing_checkpoint).config
    assert (config.vocab_size, config.d_model, config.d_ff) == (97, 32, 48)
    assert (config.n_encoder_layers, config.n_decoder_layers) == (2, 3)
    assert (config.n_heads, config.n_kv_heads, config.max_seq_len) == (4, 2, 64)


@pytest.mark.parametrize("n_heads", [2, 4, 8])
def test_sizes_come_from_the_shapes(content, save, n_heads):
    config = read_checkpoint(save(content["model_state_dict"]), n_heads=n_heads).config
    assert (config.vocab_size, config.d_model, config.d_ff) == (97, 32, 48)
    assert (config.n_encoder_layers, config.n_decoder_layers) == (2, 3)
    assert (config.n_heads, config.n_kv_heads, config.max_seq_len) == (n_heads, n_heads // 2, 512)


def test_the_tied_embedding_is_kept_once(existing_checkpoint):
    names = read_checkpoint(existing_checkpoint).tensors.keys()
    assert {name for name in names if "embedding" in name or "lm_head" in name} == {"encoder.embedding.weight"}


def test_an_untied_checkpoint_keeps_its_three_matrices(content, save):
    state = content["model_state_dict"]
    state["decoder.lm_head.weight"] = state["decoder.lm_head.weight"] + 1
    checkpoint = read_checkpoint(save(state), n_heads=4)
    assert not checkpoint.config.tie_embeddings
    assert torch.equal(checkpoint.tensors["decoder.lm_head.weight"], state["decoder.lm_head.weight"])
    assert "decoder.embedding.weight" in checkpoint.tensors


def test_half_precision_becomes_float32(content, save):
    state = {name: value.half() for name, value in content["model_state_dict"].items()}
    tensors = read_checkpoint(save(state), n_heads=4).tensors
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_copies_that_differ_from_the_tied_embedding_are_refused(content, save):
    state = content["model_state_dict"]
    state["decoder.embedding.weight"] = state["decoder.embedding.weight"] + 1
    _refused(save(content), "says tie_embeddings, but `decoder.embedding.weight` differs")


def test_an_unknown_number_of_heads_asks_for_it(content, save):
    error = _refused(save(content["model_state_dict"]), "number of attention heads")
    assert "--n-heads" in error.hint
    assert "--preset" in error.hint


def test_a_preset_tells_the_heads(save, tmp_path):
    from lingolite_cli.model import MobileTranslationModel

    model = MobileTranslationModel(40, 256, n_encoder_layers=1, n_decoder_layers=1, n_heads=4, d_ff=8)
    config = read_checkpoint(save(model.state_dict()), preset="tiny").config
    assert (config.n_heads, config.n_kv_heads, config.d_ff, config.n_encoder_layers) == (4, 2, 8, 1)


def test_a_preset_of_another_width_is_refused(content, save):
    _refused(save(content["model_state_dict"]), "`tiny` has d_model 256, the checkpoint 32", preset="tiny")


@pytest.mark.parametrize(("name", "value"), [("n_heads", 8), ("n_kv_heads", 4)])
def test_heads_that_contradict_the_config_are_refused(existing_checkpoint, name, value):
    _refused(existing_checkpoint, rf"says {name} \d, but {value} was asked for", **{name: value})


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"n_heads": 5}, "n_heads 5 does not divide d_model 32"),
        ({"n_heads": 0}, "n_heads must be at least 1"),
        ({"n_heads": 1}, "k_proj.weight` of .* has 16 rows, which is not a multiple of head_dim 32"),
        ({"n_heads": 4, "n_kv_heads": 3}, "n_kv_heads 3 does not divide n_heads 4"),
        ({"n_heads": 4, "n_kv_heads": 4}, r"k_proj.weight \[16, 32\] instead of \[32, 32\]"),
    ],
)
def test_sizes_that_do_not_fit_the_shapes_are_refused(content, save, sizes, message):
    _refused(save(content["model_state_dict"]), message, **sizes)


def test_missing_unexpected_and_misshaped_tensors_are_named(content, save):
    state = content["model_state_dict"]
    del state["encoder.layers.1.norm2.weight"]
    state["encoder.layers.1.norm9.weight"] = torch.ones(32)
    state["decoder.final_norm.weight"] = torch.ones(31)
    error = _refused(save(content), "do not fit its configuration")
    assert "missing: encoder.layers.1.norm2.weight" in error.message
    assert "unexpected: encoder.layers.1.norm9.weight" in error.message
    assert "mis-shaped: decoder.final_norm.weight [31] instead of [32]" in error.message


def test_an_unknown_field_of_the_config_is_refused(content, save):
    content["config"]["n_head"] = content["config"].pop("n_heads")
    assert "`n_heads`" in _refused(save(content), "unknown field `n_head`").hint


def test_a_config_of_the_wrong_type_is_refused(content, save):
    _refused(save({**content, "config": [1, 2]}), "is a list, not a mapping")
    content["config"]["d_ff"] = "wide"
    _refused(save(content), re.escape("Expected `int`, got `str` - at `$.d_ff`"))


class _Stranger:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_code_in_a_pickle_is_refused_and_not_run(content, save, capfd):
    _refused(save({**content, "extra": _Stranger()}), "objects|more than tensors")
    assert "never run" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ([1, 2], "holds a list"),
        ({"step": 3}, "`step` is not a tensor"),
        ({"model_state_dict": {}}, "it has no tensors"),
        ({"weight": torch.ones(2, 2)}, "has no matrix `encoder.embedding.weight`"),
    ],
)
def test_other_torch_files_are_refused(save, thing, message):
    _refused(save(thing), message)


def test_other_files_are_refused(tmp_path):
    _refused(tmp_path / "none.pt", "no checkpoint at")
    _refused(tmp_path, "is a directory")
    for text in (b"", b"not a checkpoint\n", bytes(range(256)) * 4):
        (tmp_path / "file.pt").write_bytes(text)
        _refused(tmp_path / "file.pt", "cannot be read as a checkpoint")


def test_a_checkpoint_that_was_cut_short_is_refused(existing_checkpoint, tmp_path):
    data = existing_checkpoint.read_bytes()
    (tmp_path / "cut.pt").write_bytes(data[: len(data) // 2])
    _refused(tmp_path / "cut.pt", "cannot be read as a checkpoint")
