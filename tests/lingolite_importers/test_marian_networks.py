"""Every network that Marian's importer reads computes what Marian computes, and gives text the same ids.

Networks have random weights. The judge is `marian_logits`, which knows Marian's names and none of LingoLite's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from lingolite_importers.marian.importer import MarianImporter
from lingolite_importers.options import MarianOptions
from sentencepiece import SentencePieceProcessor

from lingolite_cli.architecture.reference import Reference
from lingolite_cli.artifact import Artifact, Provenance
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.importing.writing import write_imported
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_cli.weights.bundle import Weights
from tests.lingolite_cli.tokenization.foreign_texts import SENTENCES, train_model
from tests.lingolite_importers.marian_files import (
    attention_settings,
    configuration,
    marian_logits,
    student,
    with_two_vocabularies,
    write_container,
    write_npz,
)

_TWO: dict[str, Any] = {"tied-embeddings-all": False, "tied-embeddings": True}


def _imported(directory: Path, **options: Any) -> Artifact:
    imported = MarianImporter(options=MarianOptions(languages="en-pt", **options)).read(directory)
    made_by = Provenance(operation="import")
    return write_imported(imported, directory / "bundle", where=directory, made_by=made_by, overwrite=False)


def _spm(path: Path, **settings: Any) -> SentencePieceProcessor:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(train_model(unk_id=1, bos_id=-1, eos_id=0, pad_id=-1, **settings))
    return SentencePieceProcessor(model_file=str(path))


def _check_logits(bundle: Artifact, parameters: dict[str, np.ndarray], *, activation: str) -> None:
    of_source = parameters.get("encoder_Wemb", parameters.get("Wemb"))
    assert of_source is not None
    random = np.random.default_rng(8)
    source, target = random.integers(2, len(of_source), 6), random.integers(2, 100, 4)
    expected = marian_logits(parameters, source, target, activation=activation)
    reference, mask = Reference(Weights.read(bundle)), np.ones((1, 6), np.bool_)
    start = bundle.manifest.tokenizer_description.ids.start
    read = np.concatenate([[start], target])[None]
    found = reference.decode(read, reference.encode(source[None], mask), mask)[0]
    assert np.abs(found[:, : expected.shape[1]] - expected).max() <= 1e-5 * np.abs(expected).max()
    assert (found[:, expected.shape[1] :] < found.min(axis=1, keepdims=True) + 1e-3).all(), "rows without a piece"


@pytest.mark.parametrize("is_npz", [True, False], ids=["npz", "bin"])
@pytest.mark.parametrize("is_recurrent", [True, False], ids=["ssru", "self-attention"])
def test_a_model_of_one_vocabulary_computes_what_marian_computes(
    tmp_path: Path, is_recurrent: bool, is_npz: bool
) -> None:
    size = _spm(tmp_path / "vocab.spm").GetPieceSize()
    parameters = student(size, is_recurrent=is_recurrent)
    settings = configuration(size, **({} if is_recurrent else attention_settings()))
    if is_npz:
        write_npz(tmp_path / "model.npz", parameters, settings)
    else:
        write_container(tmp_path / "model.bin", parameters, settings)
    _check_logits(_imported(tmp_path), parameters, activation="relu" if is_recurrent else "swish")


@pytest.mark.parametrize("multiplier", [None, 90.0], ids=["float", "int8"])
@pytest.mark.parametrize("is_tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("source_vocab_size", [280, 200], ids=["larger source", "smaller source"])
def test_a_model_of_two_vocabularies_computes_what_marian_computes(
    tmp_path: Path, source_vocab_size: int, is_tied: bool, multiplier: float | None
) -> None:
    source = _spm(tmp_path / "srcvocab.enpt.spm", vocab_size=source_vocab_size)
    target = _spm(tmp_path / "trgvocab.enpt.spm", vocab_size=240, model_type="bpe")
    sizes = [source.GetPieceSize(), target.GetPieceSize()]
    assert sizes[0] != sizes[1]
    parameters = with_two_vocabularies(student(sizes[1], is_recurrent=False), sizes[0], is_tied=is_tied)
    settings = configuration(sizes[1], **attention_settings(**{**_TWO, "tied-embeddings": is_tied}))
    write_container(tmp_path / "model.bin", parameters, {**settings, "dim-vocabs": sizes}, multiplier=multiplier)
    bundle = _imported(tmp_path, weights="float")
    if multiplier is not None:
        # What the integers stand for.
        parameters = {
            name: np.rint(values * multiplier).clip(-127, 127) / multiplier if len(values) > 1 else values
            for name, values in parameters.items()
        }
    _check_logits(bundle, parameters, activation="swish")
    tokenizer = open_tokenizer(bundle)
    for text in SENTENCES:
        assert tokenizer.encode_source(text, ("en", "pt"), max_length=512).ids == [*source.EncodeAsIds(text), 0]
        ids = target.EncodeAsIds(text)
        assert tokenizer.encode_target(text) == ids
        assert tokenizer.decode(ids) == target.DecodeIds([id for id in ids if id != 1])


@pytest.mark.parametrize("names", [("source.vocab.yml", "target.vocab.yml"), ("vocab.src.yml", "vocab.trg.yml")])
def test_two_vocab_yml_give_pieces_of_each_side_their_ids(tmp_path: Path, names: tuple[str, str]) -> None:
    spms = _spm(tmp_path / "source.spm"), _spm(tmp_path / "target.spm", vocab_size=220, model_type="bpe")
    tables = []
    for name, spm in zip(names, spms, strict=True):
        pieces = [spm.IdToPiece(id) for id in range(2, spm.GetPieceSize())]
        tables.append({piece: id for id, piece in enumerate(["</s>", "<unk>", *reversed(pieces)])})
        (tmp_path / name).write_text(yaml.safe_dump(tables[-1], allow_unicode=True))
    sizes = [len(table) for table in tables]
    assert sizes[0] != sizes[1]
    parameters = with_two_vocabularies(student(sizes[1], is_recurrent=False), sizes[0], is_tied=True)
    settings = configuration(sizes[1], **attention_settings(**{**_TWO, "tied-embeddings": True}))
    write_npz(tmp_path / "model.npz", parameters, {**settings, "dim-vocabs": sizes})
    tokenizer = open_tokenizer(_imported(tmp_path))
    for text in SENTENCES:
        expected = [*(tables[0].get(piece, 1) for piece in spms[0].EncodeAsPieces(text)), 0]
        assert tokenizer.encode_source(text, ("en", "pt"), max_length=512).ids == expected
        assert tokenizer.encode_target(text) == [tables[1].get(piece, 1) for piece in spms[1].EncodeAsPieces(text)]


def test_a_vocab_yml_gives_pieces_their_ids(tmp_path: Path) -> None:
    source, target = _spm(tmp_path / "source.spm"), _spm(tmp_path / "target.spm", vocab_size=220, model_type="bpe")
    pieces = [one.IdToPiece(id) for one in (source, target) for id in range(2, one.GetPieceSize())]
    listed = ["</s>", "<unk>", *reversed(dict.fromkeys(pieces)), ">>por<<", ">>glg<<"]
    table = {piece: id for id, piece in enumerate(listed)}
    (tmp_path / "opus.spm32k-spm32k.vocab.yml").write_text(yaml.safe_dump(table, allow_unicode=True))
    parameters = student(len(listed), is_recurrent=False)
    write_npz(tmp_path / "model.npz", parameters, configuration(len(listed), **attention_settings()))
    bundle = _imported(tmp_path)
    _check_logits(bundle, parameters, activation="swish")
    tokenizer = open_tokenizer(bundle)
    assert tokenizer.languages == bundle.manifest.languages == ("en", "por", "glg")
    with pytest.raises(LingoLiteError, match="does not translate to `pt`"):
        tokenizer.check_languages(("en", "pt"))
    for text in SENTENCES:
        expected = [table[">>por<<"], *(table.get(piece, 1) for piece in source.EncodeAsPieces(text)), 0]
        assert tokenizer.encode_source(text, ("en", "por"), max_length=512).ids == expected
        own = target.EncodeAsPieces(text)
        assert tokenizer.encode_target(text) == [table.get(piece, 1) for piece in own]
