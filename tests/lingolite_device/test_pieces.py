"""The bundle's own SentencePiece against the original, on strings that such code goes wrong on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from lingolite_device.app.pieces import PieceModel

from tests.lingolite_device.odd_texts import odd_texts, train

_KINDS: dict[str, dict[str, Any]] = {
    "unigram, bytes": {"model_type": "unigram", "byte_fallback": True},
    "unigram, symbols": {"model_type": "unigram", "user_defined_symbols": ["<en>", "th", "the end"]},
    "unigram, spaces kept": {
        "model_type": "unigram",
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "identity",
    },
    "unigram, suffix": {
        "model_type": "unigram",
        "treat_whitespace_as_suffix": True,
        "normalization_rule_name": "nmt_nfkc_cf",
    },
    "bpe, bytes": {"model_type": "bpe", "byte_fallback": True},
    "bpe, symbols": {"model_type": "bpe", "user_defined_symbols": ["<en>", "<br>", "the"]},
    "bpe, spaces kept": {
        "model_type": "bpe",
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "nfkc",
        "split_by_whitespace": False,
    },
}


@pytest.mark.parametrize("options", _KINDS.values(), ids=_KINDS)
def test_ids_pieces_and_texts_are_those_of_sentencepiece(options: dict[str, Any], tmp_path: Path) -> None:
    path = train(tmp_path / "tokenizer.model", options)
    original, own = sentencepiece.SentencePieceProcessor(), PieceModel(path.read_bytes())
    original.LoadFromSerializedProto(path.read_bytes())
    for text in odd_texts(original, 300):
        found = own.encode(text)
        assert [id for _, id in found] == original.EncodeAsIds(text), text
        assert [piece.decode() for piece, _ in found] == original.EncodeAsPieces(text), text
        ids = [id for _, id in reversed(found)]
        assert own.decode([own.pieces[id] for id in ids]) == original.DecodeIds(ids), text
        pieces = [piece.decode() for piece, _ in found[::2]]
        assert own.decode([piece.encode() for piece in pieces]) == original.DecodePieces(pieces), text
