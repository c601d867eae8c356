"""Foreign tokenizers: ids as in the model, moved, or of a list; one vocabulary or two; typed control tokens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sentencepiece

from lingolite_cli.artifact import (
    TARGET_TOKENIZER_NAME,
    TARGET_VOCABULARY_NAME,
    TOKENIZER_NAME,
    VOCABULARY_NAME,
)
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import (
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
from lingolite_cli.tokenization.tokenizer import Tokenizer
from tests.lingolite_cli.tokenization.foreign_texts import SENTENCES, odd_texts, train_model

TEXTS = odd_texts(400)
MARIAN = {"unk_id": 1, "bos_id": -1, "eos_id": 0, "pad_id": -1}


@pytest.fixture(scope="module")
def unigram() -> bytes:
    """Ids as in Marian's files, with bytes for what no piece spells."""
    return train_model(**MARIAN, vocab_size=500, byte_fallback=True)


@pytest.fixture(scope="module")
def bpe() -> bytes:
    """Another model, without bytes."""
    return train_model(**MARIAN, model_type="bpe")


def opened(description: TokenizerDescription, languages: tuple[str, ...] = ("en", "pt"), **files: bytes) -> Tokenizer:
    names = {
        "source": TOKENIZER_NAME,
        "target": TARGET_TOKENIZER_NAME,
        "pieces": VOCABULARY_NAME,
        "target_pieces": TARGET_VOCABULARY_NAME,
    }
    contents = {names[name]: content for name, content in files.items()}
    return build_tokenizer(TokenizerFiles(path=Path("here/tokenizer.model"), contents=contents), description, languages)


def processor(model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def pieces_of(model: bytes) -> list[str]:
    known = processor(model)
    return [known.IdToPiece(id) for id in range(known.GetPieceSize())]


def marian(model: bytes, **rules: object) -> TokenizerDescription:
    start = len(pieces_of(model))
    return TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=SpecialIds(pad=start, start=start, end=0, unknown=1),
        frame=Frame(source_prefix=(), source_suffix=("</s>",)),
        never_generated=(1, start),
        pieces=PieceRules(added=("<s>",), source_languages=("en",), target_languages=("pt",), **rules),
    )


def test_ids_are_those_of_the_model_and_the_added_start_comes_after_them(unigram: bytes) -> None:
    tokenizer, own = opened(marian(unigram), source=unigram), processor(unigram)
    for text in TEXTS:
        assert tokenizer.encode(text) == own.EncodeAsIds(text), text
        assert tokenizer.encode_source(text, ("en", "pt"), max_length=1 << 16).ids == [*own.EncodeAsIds(text), 0]
    assert tokenizer.source_pieces == (*pieces_of(unigram), "<s>")
    ids = tokenizer.decoding_ids(("en", "pt"))
    assert (ids.start, ids.end, ids.prefix) == (len(pieces_of(unigram)), 0, ())
    assert tokenizer.decode([*own.EncodeAsIds(SENTENCES[1]), 0]) == own.DecodeIds(own.EncodeAsIds(SENTENCES[1]))


def test_a_model_without_tags_translates_one_way(unigram: bytes) -> None:
    tokenizer = opened(marian(unigram), source=unigram)
    tokenizer.check_languages(("en", "pt"))
    with pytest.raises(LingoLiteError, match="the model does not translate from `pt`") as caught:
        tokenizer.encode_source("Olá", ("pt", "en"), max_length=20)
    assert "it translates from en" in str(caught.value.hint)


def test_two_models_read_sources_and_targets(unigram: bytes, bpe: bytes) -> None:
    described = marian(bpe)
    tokenizer = opened(described, source=unigram, target=bpe)
    for text in TEXTS[:200]:
        assert tokenizer.encode(text) == processor(unigram).EncodeAsIds(text)
        assert tokenizer.encode_target(text) == processor(bpe).EncodeAsIds(text)
    assert len(tokenizer.source_pieces) != len(tokenizer.target_pieces)
    ids = tokenizer.encode_target(SENTENCES[0])
    assert tokenizer.decode(ids) == processor(bpe).DecodeIds(ids)


def test_pieces_before_those_of_the_model_move_their_ids() -> None:
    model = train_model(unk_id=0, bos_id=1, eos_id=2, pad_id=-1, model_type="bpe")
    description = TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=SpecialIds(pad=1, start=2, end=2, unknown=3),
        frame=Frame(
            source_prefix=(SOURCE_TAG,), source_suffix=("</s>",), target_prefix=(TARGET_TAG,), language_tag="{language}"
        ),
        pieces=PieceRules(
            first=("<s>", "<pad>", "</s>", "<unk>"),
            num_replaced=3,
            added=("eng_Latn", "por_Latn", "<mask>"),
            num_unused=2,
            strips=True,
        ),
    )
    languages = ("eng_Latn", "por_Latn")
    tokenizer, own = opened(description, languages, source=model), processor(model)
    size = own.GetPieceSize()
    for text in TEXTS:
        moved = [3 if id == 0 else id + 1 for id in own.EncodeAsIds(text)]
        assert tokenizer.encode(text) == moved, text
        framed = tokenizer.encode_source(text, languages, max_length=1 << 16)
        assert framed.ids == [size + 1, *moved, 2]
        assert tokenizer.framed_languages(framed.ids) == ("eng_Latn", None)
    assert tokenizer.decoding_ids(languages).prefix == (size + 2,)
    assert tokenizer.source_pieces[-2:] == ("<unused_0>", "<unused_1>")
    assert tokenizer.decode([size + 2, *tokenizer.encode(SENTENCES[0]), 2, size + 5]) == own.DecodeIds(
        own.EncodeAsIds(SENTENCES[0])
    )


def listed(*models: bytes, tags: tuple[str, ...] = (), seed: int = 3) -> list[str]:
    """A vocabulary in another order than the models', without some of their pieces, and with tags."""
    pieces = list(dict.fromkeys(piece for model in models for piece in pieces_of(model)[2:]))
    kept = [piece for place, piece in enumerate(pieces) if place % 17 != seed]
    return ["</s>", "<unk>", *reversed(kept), *tags, "<pad>"]


def test_pieces_have_the_ids_of_a_list(unigram: bytes, bpe: bytes) -> None:
    vocabulary = listed(unigram, bpe, tags=(">>por<<", ">>glg<<"))
    description = TokenizerDescription(
        kind=PIECES_AND_VOCABULARY,
        ids=SpecialIds(pad=len(vocabulary) - 1, start=len(vocabulary) - 1, end=0, unknown=1),
        frame=Frame(source_prefix=(TARGET_TAG,), source_suffix=("</s>",), language_tag=">>{language}<<"),
        pieces=PieceRules(source_languages=("en",), target_languages=("por", "glg")),
    )
    languages = ("en", "por", "glg")
    tokenizer = opened(description, languages, source=unigram, target=bpe, pieces=json.dumps(vocabulary).encode())
    controls = {0, len(vocabulary) - 1, vocabulary.index(">>por<<"), vocabulary.index(">>glg<<")}
    ids = {piece: id for id, piece in enumerate(vocabulary) if id not in controls}
    for text in TEXTS:
        expected = [ids.get(piece, 1) for piece in processor(unigram).EncodeAsPieces(text)]
        assert tokenizer.encode(text) == expected, text
        framed = tokenizer.encode_source(text, ("en", "por"), max_length=1 << 16)
        assert framed.ids == [vocabulary.index(">>por<<"), *expected, 0]
        assert tokenizer.framed_languages(framed.ids) == (None, "por")
    with pytest.raises(LingoLiteError, match="does not translate to `en`"):
        tokenizer.check_languages(("en", "en"))
    target = tokenizer.encode_target(SENTENCES[1])
    assert tokenizer.decode([*target, 0]) == processor(bpe).DecodePieces([vocabulary[id] for id in target if id != 1])


def test_text_before_a_source_goes_through_the_tokenizer_with_it() -> None:
    model = train_model(unk_id=2, bos_id=-1, eos_id=1, pad_id=0, user_defined_symbols=["<2pt>", "<2en>"])
    own = processor(model)
    for prefix, shown in (
        ("<2{target}> ", "<2pt> "),
        ("translate {source} to {target}: ", "translate English to pt: "),
    ):
        description = TokenizerDescription(
            kind=SENTENCEPIECE,
            ids=SpecialIds(pad=0, start=0, end=1, unknown=2),
            frame=Frame(source_prefix=(), source_suffix=("</s>",)),
            pieces=PieceRules(text_prefix=prefix, language_names={"en": "English"} if "translate" in prefix else {}),
        )
        tokenizer = opened(description, source=model)
        for text in ("the fox", *SENTENCES):
            found = tokenizer.encode_source(text, ("en", "pt"), max_length=999)
            assert found.ids == [*own.EncodeAsIds(shown + text), 1]
            assert 0 < found.num_text_tokens < len(found.ids)
        assert tokenizer.encode_source("", ("en", "pt"), max_length=99).is_empty


def test_a_control_token_that_is_typed_is_text(unigram: bytes) -> None:
    model = train_model(unk_id=2, bos_id=-1, eos_id=1, pad_id=0, user_defined_symbols=["<2pt>", "<2en>"])
    description = TokenizerDescription(
        kind=SENTENCEPIECE,
        ids=SpecialIds(pad=0, start=0, end=1, unknown=2),
        frame=Frame(source_prefix=(), source_suffix=("</s>",)),
        pieces=PieceRules(text_prefix="<2{target}> "),
    )
    for tokenizer in (opened(description, source=model), opened(marian(unigram), source=unigram)):
        for text in TEXTS:
            typed = set(tokenizer.encode(text)) - {tokenizer.description.ids.unknown}
            assert not typed & tokenizer.source_control_ids, text
    tag = opened(description, source=model).encode_source("to <2en> now", ("en", "pt"), max_length=99).ids
    assert [id for id in tag if processor(model).IdToPiece(id) in ("<2pt>", "<2en>")] == [
        processor(model).PieceToId("<2pt>")
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"pieces": b'["</s>", "<unk>", "a", "a"]'}, "has the piece 'a' twice"),
        ({"pieces": b'["</s>", "a", "b"]'}, "has no piece <unk>"),
        ({"pieces": b'["<unk>", "a", "b"]'}, "has no piece </s>"),
        ({"pieces": b'{"</s>": 0}'}, "is not a list of pieces"),
        ({"pieces": b"[" * 100_000}, "is not JSON"),
        ({"pieces": None}, "vocabulary.json is missing"),
        ({"target": b"no model"}, "target_tokenizer.model is not a SentencePiece model"),
    ],
)
def test_files_that_do_not_fit_are_refused(unigram: bytes, change: dict[str, bytes | None], reason: str) -> None:
    description = TokenizerDescription(
        kind=PIECES_AND_VOCABULARY,
        ids=SpecialIds(pad=2, start=2, end=0, unknown=1),
        frame=Frame(source_prefix=(), source_suffix=("</s>",)),
    )
    files = {"source": unigram, "pieces": b'["</s>", "<unk>", "<pad>"]', **change}
    with pytest.raises(LingoLiteError, match=reason):
        opened(description, **{name: content for name, content in files.items() if content is not None})


def test_lingolites_own_kind_takes_no_rules() -> None:
    with pytest.raises(ValueError, match="has no entry `pieces`"):
        TokenizerDescription(pieces=PieceRules())
