"""Marian's files become bundles with the same numbers, and what is damaged or cannot be carried is refused by name."""

from __future__ import annotations

import gzip
import pickle
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Outcome
from safetensors.numpy import load_file

from lingolite_cli.artifact import Artifact, Quantization
from lingolite_cli.shortlist.shortlist import read_shortlist
from lingolite_cli.testing import ImporterContract
from tests.lingolite_importers.marian_files import D_MODEL, configuration, student, write_container, write_student

Command = Callable[..., Outcome]
MODEL = "model.enpt.intgemm.alphas.bin"


class TestMarian(ImporterContract):
    plugin = "marian"

    @pytest.fixture
    def model(self, tmp_path: Path) -> Path:
        return write_student(tmp_path / "student")


@pytest.fixture
def imported(lingolite: Command, tmp_path: Path) -> Callable[..., Artifact]:
    """Imports a model by the command, into a directory of its own."""
    made: list[Path] = []

    def run(path: Path, *arguments: str) -> Artifact:
        out = tmp_path / f"bundle-{len(made)}"
        made.append(out)
        outcome = lingolite("import", path, "--out", out, *arguments)
        assert outcome.code == 0, outcome.err
        return Artifact.open(out)

    return run


def test_float_parameters_are_turned_and_named(imported: Callable[..., Artifact], tmp_path: Path) -> None:
    bundle = imported(write_student(tmp_path / "student"), "--option", "licence=MPL-2.0")
    tensors, manifest = load_file(bundle.weights_path), bundle.manifest
    num_pieces = manifest.model.vocab_size - 1
    theirs = student(num_pieces)
    assert manifest.format == "bundle"
    assert (manifest.licence, manifest.languages, manifest.decoding.max_length_factor) == ("MPL-2.0", ("en", "pt"), 2.5)
    np.testing.assert_array_equal(tensors["encoder.embedding.weight"][:-1], theirs["Wemb"])
    assert not tensors["encoder.embedding.weight"][-1].any(), "the decoder starts from a row of zeros"
    pairs = {
        "encoder.layers.1.ffn.up_proj": ("encoder_l2_ffn_W1", "encoder_l2_ffn_b1"),
        "decoder.layers.0.cross_attn.o_proj": ("decoder_l1_context_Wo", "decoder_l1_context_bo"),
        "decoder.layers.0.ssru.forget_proj": ("decoder_l1_rnn_Wf", "decoder_l1_rnn_bf"),
    }
    for ours, (matrix, bias) in pairs.items():
        np.testing.assert_array_equal(tensors[f"{ours}.weight"], theirs[matrix].T)
        np.testing.assert_array_equal(tensors[f"{ours}.bias"], theirs[bias][0])
    assert "decoder.layers.0.ssru.candidate_proj.bias" not in tensors
    assert manifest.tokenizer_description.never_generated == (1, num_pieces)


def test_integers_and_alphas_are_carried(imported: Callable[..., Artifact], tmp_path: Path) -> None:
    path = write_student(tmp_path / "student", multiplier=90.0)
    dynamic, static, floats = (
        imported(path, *arguments) for arguments in ([], ["--option", "weights=static"], ["--option", "weights=float"])
    )
    assert [bundle.manifest.format for bundle in (dynamic, static, floats)] == [
        "bundle-int8",
        "bundle-static-int8",
        "bundle",
    ]
    assert dynamic.manifest.quantization == Quantization("dynamic-int8")
    integers, calibrated, plain = (load_file(bundle.weights_path) for bundle in (dynamic, static, floats))
    name = "encoder.layers.0.ffn.down_proj"
    theirs = student(dynamic.manifest.model.vocab_size - 1)["encoder_l1_ffn_W2"]
    np.testing.assert_array_equal(integers[f"{name}.weight"], np.clip(np.rint(theirs.T * 90), -127, 127))
    np.testing.assert_array_equal(integers[f"{name}.weight_scale"], np.full((D_MODEL, 1), np.float32(1) / 90))
    np.testing.assert_array_equal(calibrated[f"{name}.input_scale"], [np.float32(1) / 21])
    assert calibrated[f"{name}.input_zero_point"].tolist() == [128]
    assert "decoder.lm_head.input_scale" in calibrated
    np.testing.assert_allclose(plain[f"{name}.weight"], integers[f"{name}.weight"] / np.float32(90))


def test_a_shortlist_is_carried(imported: Callable[..., Artifact], tmp_path: Path) -> None:
    bundle = imported(write_student(tmp_path / "student"))
    found = read_shortlist(bundle.file("shortlist.safetensors"))
    assert found.frequent.tolist() == [0, 1, 2, 3, 4]
    assert found.candidates[7].tolist() == [8, 9]
    assert (found.candidates[-1] == -1).all()
    assert found.multiple_of == 8, "Marian's engines fill their candidates up to multiples of 8"
    found.check_tokenizer(bundle, where=bundle.path)


def test_a_quantized_bundle_keeps_the_shortlist(
    imported: Callable[..., Artifact], lingolite: Command, tmp_path: Path
) -> None:
    bundle = imported(write_student(tmp_path / "student"))
    outcome = lingolite("quantize", "--model", bundle.path, "--method", "dynamic-int8", "--out", tmp_path / "int8")
    assert outcome.code == 0, outcome.err
    kept = Artifact.open(tmp_path / "int8").file("shortlist.safetensors")
    assert kept.read_bytes() == bundle.file("shortlist.safetensors").read_bytes()


def test_gzip_and_npz_give_the_same_weights(imported: Callable[..., Artifact], tmp_path: Path) -> None:
    plain = write_student(tmp_path / "plain")
    packed = Path(shutil.copytree(plain, tmp_path / "packed"))
    for file in list(packed.iterdir()):
        if file.suffix in (".bin", ".spm"):
            (packed / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
    arrays = Path(shutil.copytree(plain, tmp_path / "arrays"))
    bundle = imported(plain)
    num_pieces = bundle.manifest.model.vocab_size - 1
    text = (arrays / MODEL).read_bytes().split(b"dec-cell", 1)[1].split(b"\0", 1)[0]
    settings = np.frombuffer(b"dec-cell" + text + b"\0", np.int8)
    np.savez(arrays / "model.enpt.npz", **student(num_pieces), **{"special:model.yml": settings})
    (arrays / MODEL).unlink()
    expected = bundle.weights_path.read_bytes()
    for other in (packed, arrays):
        assert imported(other).weights_path.read_bytes() == expected


def _changed(directory: Path, change: Callable[[bytearray], bytes | bytearray]) -> None:
    file = directory / MODEL
    file.write_bytes(change(bytearray(file.read_bytes())))


def _with_parameters(directory: Path, change: Callable[[dict[str, np.ndarray]], None], **settings: object) -> None:
    num_pieces = len(read_pieces(directory))
    parameters = student(num_pieces)
    change(parameters)
    write_container(directory / MODEL, parameters, configuration(num_pieces, **settings))


def read_pieces(directory: Path) -> list[str]:
    from sentencepiece import SentencePieceProcessor

    known = SentencePieceProcessor(model_file=str(directory / "vocab.enpt.spm"))
    return [known.IdToPiece(id) for id in range(known.GetPieceSize())]


def _claims(place: int, value: int) -> Callable[[bytearray], bytes]:
    def change(content: bytearray) -> bytes:
        content[place : place + 8] = struct.pack("<Q", value)
        return bytes(content)

    return change


class _Runs:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("open('/tmp/ran-by-a-pickle', 'w')",)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated header": (lambda d: _changed(d, lambda c: c[:40]), "is cut short"),
    "truncated data": (lambda d: _changed(d, lambda c: c[: len(c) - 900]), "is cut short"),
    "wrong version": (lambda d: _changed(d, _claims(0, 9)), "not a Marian model"),
    "10 GB tensor": (lambda d: _changed(d, _claims(16 + 24, 10 << 30)), "is cut short: the tensor Wemb"),
    "many tensors": (lambda d: _changed(d, _claims(8, 1 << 40)), "claims 1,099,511,627,776 tensors"),
    "long name": (lambda d: _changed(d, _claims(16, 1 << 30)), "claims a name of"),
    "empty": (lambda d: _changed(d, lambda c: b""), "is empty"),
    "NaN": (lambda d: _with_parameters(d, lambda p: p["encoder_l1_self_Wq"].fill(np.nan)), "not finite"),
    "relu6": (
        lambda d: _with_parameters(d, lambda p: None, **{"transformer-ffn-activation": "relu6"}),
        "has transformer-ffn-activation 'relu6', which no bundle carries",
    ),
    "pre-norm": (
        lambda d: _with_parameters(d, lambda p: None, **{"transformer-preprocess": "n"}),
        "has transformer-preprocess 'n'",
    ),
    "gru": (lambda d: _with_parameters(d, lambda p: None, **{"dec-cell": "gru"}), "has dec-cell 'gru'"),
    "wrong shape": (
        lambda d: _with_parameters(d, lambda p: p.update(decoder_l1_rnn_W=p["decoder_l1_rnn_W"][:, :5])),
        "decoder.layers.0.ssru.candidate_proj.weight [5, 32] instead of [32, 32]",
    ),
    "missing tensor": (
        lambda d: _with_parameters(d, lambda p: p.pop("decoder_l1_rnn_bf")),
        "no tensor decoder_l1_rnn_bf",
    ),
    "unknown tensor": (
        lambda d: _with_parameters(d, lambda p: p.update(decoder_l1_extra_W=np.ones((8, 8), np.float32))),
        "tensors that no bundle carries: decoder_l1_extra_W",
    ),
    "larger vocabulary": (
        lambda d: _with_parameters(d, lambda p: None, **{"dim-vocabs": [90, 90]}),
        "pieces, and the model 90 tokens",
    ),
    "no spm": (lambda d: (d / "vocab.enpt.spm").unlink(), "has no SentencePiece model"),
    "no shortlist": (lambda d: (d / "lex.50.50.enpt.s2t.bin").write_bytes(b"x" * 99), "not a binary shortlist"),
    "pickle": (lambda d: (d / MODEL).write_bytes(pickle.dumps(_Runs())), "cannot|not a Marian model|claims"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_is_damaged_or_cannot_be_carried_is_refused_before_anything_is_written(
    lingolite: Command, tmp_path: Path, name: str
) -> None:
    damage, message = DAMAGES[name]
    directory = write_student(tmp_path / "student")
    damage(directory)
    outcome = lingolite("import", directory, "--from", "marian", "--out", tmp_path / "out")
    assert outcome.code == 2, outcome.err
    assert outcome.err.startswith("error: "), outcome.err
    assert re.search(message if name == "pickle" else re.escape(message), outcome.err), outcome.err
    assert not (tmp_path / "out").exists()
    assert not Path("/tmp/ran-by-a-pickle").exists()
