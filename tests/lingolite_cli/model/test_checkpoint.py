"""Checkpoints: sizes told by shapes, and clear refusals. The shapes that load are in test_existing_checkpoint."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
import torch

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.model import read_checkpoint
from lingolite_cli.model.checkpoint import without_padding
from lingolite_cli.model.checkpoint_tensors import check_tensor


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


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.module.", "module._orig_mod.", "module.module.", "_fsdp_wrapped_module."]
)
def test_names_that_wrappers_have_changed_are_read(content, save, existing_checkpoint, prefix):
    state = {
        prefix + name.replace("layers.0", f"layers.0.{prefix[:-1]}"): w
        for name, w in content["model_state_dict"].items()
    }
    read = read_checkpoint(save({**content, "model_state_dict": state}))
    expected = read_checkpoint(existing_checkpoint)
    assert read.config == expected.config
    assert read.tensors.keys() == expected.tensors.keys()
    assert all(torch.equal(tensor, expected.tensors[name]) for name, tensor in read.tensors.items())


def test_two_models_in_one_state_dict_are_refused(content, save):
    state = content["model_state_dict"]
    content["model_state_dict"] = state | {f"module.{name}": tensor for name, tensor in state.items()}
    _refused(save(content), r"has `encoder.embedding.weight` twice, once as `module.encoder.embedding.weight`")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["encoder.embedding.weight", "decoder.layers.1.ffn.up_proj.weight"])
def test_weights_that_are_not_finite_are_refused_by_name(content, save, name, value):
    content["model_state_dict"][name][3, 5] = value
    error = _refused(save(content), rf"`{re.escape(name)}` of .* is not finite: 1 of its [\d,]+ weights")
    assert "earlier checkpoint" in error.hint


def test_numbers_that_float32_cannot_hold_are_refused_by_name(content, save):
    name = "encoder.layers.0.norm1.weight"
    content["model_state_dict"][name] = torch.full((32,), 1e300, dtype=torch.float64)
    _refused(save(content), rf"`{name}` of .* is not finite")


NAME = "encoder.layers.0.self_attn.q_proj.weight"
STRANGE_TENSORS = {
    "sparse": (torch.eye(32).to_sparse(), r"is not dense: its layout is sparse_coo", "dense float tensors"),
    "meta": (torch.empty(32, 32, device="meta"), "has no numbers: it is on the device `meta`", "load the weights"),
    "complex": (torch.eye(32, dtype=torch.complex64), "has complex numbers", "dense float tensors"),
    "integers": (torch.eye(32, dtype=torch.int64), r"is torch.int64, not a float tensor", "dense float tensors"),
    "booleans": (torch.eye(32, dtype=torch.bool), r"is torch.bool, not a float tensor", "dense float tensors"),
    "expanded": (
        torch.zeros(1).expand(1 << 31, 1 << 20),
        r"claims [\d,]+ bytes in shape \[2147483648, 1048576\], of which 4 are stored",
        "dense float tensors",
    ),
}


@pytest.mark.parametrize("kind", STRANGE_TENSORS)
def test_tensors_that_are_not_plain_float_numbers_are_refused_by_name(content, save, kind):
    tensor, message, hint = STRANGE_TENSORS[kind]
    content["model_state_dict"][NAME] = tensor
    assert hint in _refused(save(content), rf"`{NAME}` of .*{message}").hint


@pytest.mark.filterwarnings("ignore:Sparse .* tensor support:UserWarning")
def test_a_compressed_sparse_tensor_is_refused_without_a_warning_of_pytorch(content, save, recwarn):
    content["model_state_dict"][NAME] = torch.eye(32).to_sparse_csr()
    path = save(content)
    recwarn.clear()
    _refused(path, "is not dense: its layout is sparse_csr")
    assert not recwarn.list


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_a_quantized_tensor_is_refused_and_the_float_model_asked_for(content, save):
    """Made by hand: what makes quantized tensors in PyTorch announces its removal."""
    storage = torch.arange(4, dtype=torch.int8)
    quantized = torch._make_per_tensor_quantized_tensor(storage, 0.5, 0)
    with pytest.raises(LingoLiteError, match=r"`w` of .* is quantized") as raised:
        check_tensor("w", quantized, where=Path("model.pt"))
    assert "float model" in raised.value.hint


def test_keys_that_are_numbers_are_refused_by_name(save):
    _refused(save({1: torch.ones(2, 2)}), "its key 1 is of type int, not the name of a parameter")
    _refused(save({"model_state_dict": {10**30: torch.ones(2)}}), "is of type int, not the name of a parameter")


def test_tensors_under_another_key_are_found_in_the_hint(content, save):
    error = _refused(save({"state_dict": content["model_state_dict"]}), "`state_dict` is not a tensor")
    assert "torch.save(checkpoint['state_dict'], " in error.hint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_decoder_layers", 10**9),
        ("n_encoder_layers", 10**30),
        ("max_seq_len", 10**9),
        ("d_model", 1 << 31),
        ("vocab_size", 1 << 40),
        ("d_ff", 10**15),
    ],
)
def test_sizes_that_no_model_has_are_refused_before_anything_is_made_of_them(content, save, name, value):
    content["config"][name] = value
    _refused(save(content), rf"{name} must be at most [\d,]+, not {value:,}|Integer value out of range")


@pytest.mark.parametrize(("name", "value"), [("n_decoder_layers", 1000), ("d_ff", 1 << 20), ("vocab_size", 1 << 24)])
def test_sizes_that_the_tensors_do_not_have_are_refused_from_their_shapes(content, save, name, value):
    content["config"][name] = value
    _refused(save(content), "do not fit its configuration")


def test_an_archive_that_unpacks_to_more_than_the_file_is_refused_unread(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pt", "w", compression=zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(50_000_000))
    error = _refused(tmp_path / "model.pt", r"its entry model/data.pkl claims 50,000,000 bytes in a file of")
    assert "compressed" in error.hint


@pytest.mark.parametrize(
    ("rows", "is_cut"), [(104, True), (128, True), (1024, True), (105, False), (98, False), (136, False)]
)
@pytest.mark.parametrize("is_tied", [True, False])
def test_a_vocabulary_padded_to_a_multiple_is_cut_to_the_pieces(content, save, rows, is_cut, is_tied):
    state = content["model_state_dict"]
    names = ["encoder.embedding.weight", "decoder.embedding.weight", "decoder.lm_head.weight"]
    for index, name in enumerate(names):
        padded = torch.cat((state[name], torch.full((rows - 97, 32), 9.0)))
        state[name] = padded if is_tied else padded + index
    content["config"] |= {"vocab_size": rows, "tie_embeddings": is_tied}
    read = read_checkpoint(save(content))
    kept = without_padding(read, 97)
    assert kept.config.vocab_size == (97 if is_cut else rows)
    for name in names[: 1 if is_tied else 3]:
        assert torch.equal(kept.tensors[name], state[name][: kept.config.vocab_size])


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
