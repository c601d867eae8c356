"""Tokenizers and odd strings that one written in another language is held to, with what Python makes of them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import TARGET_TOKENIZER_NAME, TOKENIZER_NAME, VOCABULARY_NAME
from lingolite_cli.testing import tiny_tokenizer
from lingolite_cli.tokenization.description import (
    LINGOLITE,
    PIECES_AND_VOCABULARY,
    SENTENCEPIECE,
    SOURCE_TAG,
    TARGET_TAG,
    Frame,
    PieceRules,
    SpecialIds,
    TokenizerDescription,
)
from lingolite_cli.tokenization.opening import TokenizerFiles, build_tokenizer
from lingolite_cli.tokenization.ported import PortedTokenizer, describe_port
from tests.lingolite_cli.tokenization.foreign_texts import odd_texts, train_model
from tests.lingolite_cli.tokenization.test_foreign import MARIAN, listed, marian

STARTER = Path(__file__).parents[3] / "recipes/starter-en-da/model" / TOKENIZER_NAME
MAX_LENGTH = 100


class PortedCase(msgspec.Struct, frozen=True):
    """A text with the ids of its framed source, and target ids with their text."""

    text: str
    source_ids: list[int]
    target_ids: list[int]
    target_text: str


class PortedCases(msgspec.Struct, frozen=True):
    """A tokenizer as data, its files, and cases."""

    tokenizer: PortedTokenizer
    contents: dict[str, bytes]
    cases: list[PortedCase]


def _lists() -> tuple[dict[str, bytes], TokenizerDescription]:
    unigram, bpe = train_model(**MARIAN, vocab_size=500, byte_fallback=True), train_model(**MARIAN, model_type="bpe")
    vocabulary = listed(unigram, bpe, tags=(">>pt<<",))
    last = len(vocabulary) - 1
    description = TokenizerDescription(
        kind=PIECES_AND_VOCABULARY,
        ids=SpecialIds(pad=last, start=last, end=0, unknown=1),
        frame=Frame(source_prefix=(TARGET_TAG,), source_suffix=("</s>",), language_tag=">>{language}<<"),
        pieces=PieceRules(source_languages=("en",), target_languages=("pt",)),
    )
    pieces = json.dumps(vocabulary).encode()
    return {TOKENIZER_NAME: unigram, TARGET_TOKENIZER_NAME: bpe, VOCABULARY_NAME: pieces}, description


def _moved() -> tuple[dict[str, bytes], TokenizerDescription]:
    model = train_model(unk_id=0, bos_id=1, eos_id=2, pad_id=-1, model_type="bpe")
    description = TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=SpecialIds(pad=1, start=2, end=2, unknown=3),
        frame=Frame(
            source_prefix=(SOURCE_TAG,),
            source_suffix=("</s>",),
            target_prefix=(TARGET_TAG,),
            language_tag="__{language}__",
        ),
        pieces=PieceRules(
            first=("<s>", "<pad>", "</s>", "<unk>"),
            num_replaced=3,
            added=("__en__", "__pt__"),
            num_unused=2,
            strips=True,
        ),
    )
    return {TOKENIZER_NAME: model}, description


def _text_before() -> tuple[dict[str, bytes], TokenizerDescription]:
    model = train_model(unk_id=2, bos_id=-1, eos_id=1, pad_id=0, user_defined_symbols=["<2pt>", "<2en>"])
    description = TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=SpecialIds(pad=0, start=0, end=1, unknown=2),
        frame=Frame(source_prefix=(), source_suffix=("</s>",)),
        pieces=PieceRules(text_prefix="translate {source} to <2{target}>: ", strips=True),
    )
    return {TOKENIZER_NAME: model}, description


def _marian(**settings: Any) -> Callable[[], tuple[dict[str, bytes], TokenizerDescription]]:
    def make() -> tuple[dict[str, bytes], TokenizerDescription]:
        model = train_model(**MARIAN, **settings)
        return {TOKENIZER_NAME: model}, marian(model)

    return make


TOKENIZERS: dict[str, Callable[[], tuple[dict[str, bytes], TokenizerDescription]]] = {
    "starter": lambda: ({TOKENIZER_NAME: STARTER.read_bytes()}, LINGOLITE),
    "tiny": lambda: ({TOKENIZER_NAME: tiny_tokenizer()}, LINGOLITE),
    "unigram with bytes": _marian(vocab_size=500, byte_fallback=True),
    "bpe": _marian(model_type="bpe"),
    "bpe with bytes and symbols": _marian(
        model_type="bpe", byte_fallback=True, user_defined_symbols=["<br>", "ox ju"], vocab_size=520
    ),
    "every space kept": _marian(remove_extra_whitespaces=False, normalization_rule_name="identity", vocab_size=400),
    "spaces as suffixes": _marian(treat_whitespace_as_suffix=True, vocab_size=400),
    "no first space, case folded": _marian(
        add_dummy_prefix=False,
        normalization_rule_name="nfkc_cf",
        user_defined_symbols=["<br>", "ox ju"],
        vocab_size=400,
    ),
    "ids of a list, two models": _lists,
    "ids moved": _moved,
    "text before a source": _text_before,
}


def ported_cases(name: str, *, count: int, seed: int = 3) -> PortedCases:
    """Cases for one of `TOKENIZERS`: half of the target ids are those of the text, half are random."""
    contents, description = TOKENIZERS[name]()
    pair = ("en", "da") if description is LINGOLITE else ("en", "pt")
    files = TokenizerFiles(path=Path("here") / TOKENIZER_NAME, contents=contents)
    tokenizer = build_tokenizer(files, description, pair)
    chance, num_ids = random.Random(seed), len(tokenizer.target_pieces)
    cases = []
    for text in odd_texts(count):
        spoken = text if text.strip() else ""
        ids = tokenizer.encode_target(text)
        if chance.random() < 0.5:
            ids = [chance.randrange(num_ids) for _ in range(chance.randrange(9))]
        source_ids = tokenizer.encode_source(spoken, pair, max_length=MAX_LENGTH).ids
        cases.append(PortedCase(text, source_ids, ids, tokenizer.decode(ids)))
    port = describe_port(tokenizer, files, pairs=[pair], max_length=MAX_LENGTH)
    return PortedCases(port, dict(contents), cases)
