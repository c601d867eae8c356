"""What the exporter writes, read back from CTranslate2's binary format by a reader of its own."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import sentencepiece
from safetensors.numpy import load_file, save_file

from lingolite_cli.artifact import (
    BUNDLE,
    BUNDLE_BF16,
    BUNDLE_FP16,
    BUNDLE_INT8,
    TOKENIZER_NAME,
    WEIGHTS_NAME,
    Artifact,
    Manifest,
    Provenance,
    write_manifest,
)
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing import LANGUAGES, SENTENCES, tiny_bundle
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.routes import convert_with
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer

ctranslate2 = pytest.importorskip("ctranslate2", reason='CTranslate2 is not installed: pip install -e ".[ctranslate2]"')

_DTYPES = (np.float32, np.int8, np.int16, np.int32, np.float16, ml_dtypes.bfloat16)
_STACKED = {
    "self_attention/linear_0": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "self_attention/linear_1": ["self_attn.o_proj"],
    "attention/linear_0": ["cross_attn.q_proj"],
    "attention/linear_1": ["cross_attn.k_proj", "cross_attn.v_proj"],
    "attention/linear_2": ["cross_attn.o_proj"],
    "ffn/linear_0": ["ffn.gate_proj"],
    "ffn/linear_0_noact": ["ffn.up_proj"],
    "ffn/linear_1": ["ffn.down_proj"],
}


class Reader:
    """Reads CTranslate2's binary format, version 6, field by field."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self._at = 0

    def number(self, code: str) -> int:
        (value,) = struct.unpack_from(code, self._data, self._at)
        self._at += struct.calcsize(code)
        return int(value)

    def text(self) -> str:
        length = self.number("H")
        self._at += length
        return self._data[self._at - length : self._at - 1].decode()

    def array(self) -> np.ndarray:
        shape = [self.number("I") for _ in range(self.number("B"))]
        dtype = _DTYPES[self.number("B")]
        size = self.number("I")
        self._at += size
        return np.frombuffer(self._data[self._at - size : self._at], dtype).reshape(shape)

    def variables(self) -> dict[str, np.ndarray]:
        assert (self.number("I"), self.text(), self.number("I")) == (6, "TransformerSpec", 7)
        found = {}
        for _ in range(self.number("I")):
            name = self.text()
            found[name] = self.array()
        for _ in range(self.number("I")):
            alias = self.text()
            found[alias] = found[self.text()]
        assert self._at == len(self._data)
        return found


def export(source: Artifact, path: Path) -> Artifact:
    return convert_with(load_registry().resolve("exporter", "ctranslate2"), source, path)


def quantize(source: Artifact, method: str, path: Path) -> Artifact:
    return convert_with(load_registry().resolve("quantizer", method), source, path)


def spoiled(source: Artifact, path: Path, change: Callable[[dict[str, Any]], None]) -> Artifact:
    """A copy of a bundle with other tensors."""
    tensors = load_file(source.weights_path)
    change(tensors)
    with atomic_directory(path) as directory:
        (directory / TOKENIZER_NAME).write_bytes(source.tokenizer_path.read_bytes())
        save_file(tensors, directory / WEIGHTS_NAME)
        manifest = Manifest(
            format=source.manifest.format,
            model=source.manifest.model,
            languages=LANGUAGES,
            made_by=Provenance(operation="test"),
        )
        write_manifest(directory, manifest)
    return Artifact.open(path)


@pytest.mark.parametrize("method", [None, "fp16", "bf16", "dynamic-int8"])
def test_the_numbers_are_those_of_the_bundle(tiny: Artifact, tmp_path: Path, method: str | None) -> None:
    bundle = quantize(tiny, method, tmp_path / "bundle") if method else tiny
    stored = Reader(export(bundle, tmp_path / "exported").path / "model.bin").variables()
    tensors = load_file(bundle.weights_path)
    config = bundle.manifest.model
    checked = 0
    for stack, layers in (("encoder", config.n_encoder_layers), ("decoder", config.n_decoder_layers)):
        for layer in range(layers):
            for ours, names in _STACKED.items():
                keys = [f"{stack}.layers.{layer}.{name}.weight" for name in names]
                if keys[0] not in tensors:
                    continue
                _assert_carried(stored, f"{stack}/layer_{layer}/{ours}", tensors, keys)
                checked += 1
    assert checked == 5 * config.n_encoder_layers + 8 * config.n_decoder_layers
    for name in ("encoder/embeddings_0", "decoder/embeddings", "decoder/projection"):
        _assert_carried(stored, name, tensors, ["encoder.embedding.weight"])


def _assert_carried(stored: dict[str, np.ndarray], name: str, tensors: dict[str, Any], keys: list[str]) -> None:
    expected = np.concatenate([tensors[key] for key in keys])
    found = stored[f"{name}/weight"]
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()
    if expected.dtype == np.int8:
        scale = np.concatenate([tensors[f"{key}_scale"] for key in keys])[:, 0]
        np.testing.assert_allclose(stored[f"{name}/weight_scale"] * scale, 1.0, rtol=2e-7)


@pytest.mark.parametrize(("format", "bits"), [(BUNDLE, 32), (BUNDLE_FP16, 16), (BUNDLE_BF16, 16), (BUNDLE_INT8, 8)])
def test_a_tied_embedding_is_stored_once(tiny: Artifact, tmp_path: Path, format: str, bits: int) -> None:
    methods = {BUNDLE_FP16: "fp16", BUNDLE_BF16: "bf16", BUNDLE_INT8: "dynamic-int8"}
    bundle = quantize(tiny, methods[format], tmp_path / "bundle") if format != BUNDLE else tiny
    model = export(bundle, tmp_path / "exported").path / "model.bin"
    weights = sum(tensor.nbytes for tensor in load_file(bundle.weights_path).values())
    embedding = tiny.manifest.model.vocab_size * tiny.manifest.model.d_model * bits // 8
    assert weights < model.stat().st_size < weights + min(embedding, 8000)


def test_embeddings_that_are_not_tied_are_told_apart(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "untied", tie_embeddings=False)
    exported = export(bundle, tmp_path / "exported")
    found, expected = (translations(*pair) for pair in ((exported, "ctranslate2"), (bundle, "cached")))
    assert found == expected
    assert len(set(found)) > 3


def translations(artifact: Artifact, backend: str) -> list[tuple[int, ...]]:
    loaded = load_registry().resolve("backend", backend)
    made = loaded.create(artifact, threads=1)
    options = DecodingOptions(max_length=20)
    found = search(
        made, *pad(framed_sources(artifact), IDS.pad), ids=IDS, options=options, capabilities=loaded.spec.capabilities
    )
    made.close()
    return [hypotheses[0].tokens for hypotheses in found]


def test_the_directory_is_a_model_without_lingolite(tiny: Artifact, tmp_path: Path) -> None:
    """As an app would use it: SentencePiece, CTranslate2 and the frame around a source."""
    exported = export(tiny, tmp_path / "exported")
    processor = sentencepiece.SentencePieceProcessor()
    processor.Load(str(exported.path / TOKENIZER_NAME))
    translator = ctranslate2.Translator(str(exported.path), compute_type="float32", inter_threads=1, intra_threads=1)
    framed = ["<src>", "<en>", *processor.EncodeAsPieces(SENTENCES[0]), "</s>", "<tgt>", "<da>"]
    (result,) = translator.translate_batch([framed], beam_size=1, max_decoding_length=20)
    expected = translations(tiny, "cached")[0]
    assert open_tokenizer(tiny).decode(expected) == processor.DecodePieces(result.hypotheses[0])


def keep_in_float(tensors: dict[str, Any]) -> None:
    scale = tensors.pop("decoder.layers.1.ffn.up_proj.weight_scale")
    tensors["decoder.layers.1.ffn.up_proj.weight"] = tensors["decoder.layers.1.ffn.up_proj.weight"] * scale


def group(tensors: dict[str, Any]) -> None:
    scale = tensors["encoder.embedding.weight_scale"]
    tensors["encoder.embedding.weight_scale"] = np.concatenate([scale, scale], axis=1)


def forget(tensors: dict[str, Any]) -> None:
    del tensors["decoder.layers.0.norm2.weight"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            keep_in_float,
            r"matrices of different types, .*decoder\.layers\.1\.ffn\.up_proj\.weight in float32",
        ),
        (group, r"encoder\.embedding\.weight_scale has shape \[\d+, 2\], not \[\d+, 1\]"),
        (forget, r"do not fit its configuration; missing: decoder\.layers\.0\.norm2\.weight"),
    ],
)
def test_what_ctranslate2_cannot_carry_is_refused(
    tiny: Artifact, tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    bundle = spoiled(quantize(tiny, "dynamic-int8", tmp_path / "int8"), tmp_path / "spoiled", change)
    with pytest.raises(LingoLiteError, match=message):
        export(bundle, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()
