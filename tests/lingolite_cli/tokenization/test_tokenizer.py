"""Framing, truncation, and control tokens that nobody can type."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import sentencepiece
from sentencepiece.sentencepiece_model_pb2 import ModelProto

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing import SENTENCES, tiny_tokenizer
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.tokenization.language_codes import is_language_code
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer

LINES = ["A small boat < ten > big & so on, no/yes.", "En lille båd og en stor."]
STARTER = Path(__file__).parents[3] / "recipes" / "starter-en-da" / "model" / "tokenizer.model"


def train(path: Path, **settings) -> Path:
    """A tokenizer like LingoLite's, but for `settings`."""
    model = io.BytesIO()
    settings = {
        "model_type": "unigram",
        "vocab_size": 90,
        "hard_vocab_limit": False,
        "pad_id": IDS.pad,
        "bos_id": IDS.start,
        "eos_id": IDS.end,
        "unk_id": LINGOLITE.ids.unknown,
        "user_defined_symbols": ["<en>", "<da>", "<src>", "<tgt>"],
        **settings,
    }
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES), model_writer=model, num_threads=1, minloglevel=2, **settings
    )
    path.write_bytes(model.getvalue())
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """With byte fallback."""
    path = tmp_path_factory.mktemp("tiny") / "tokenizer.model"
    path.write_bytes(tiny_tokenizer())
    return read_tokenizer(path)


@pytest.fixture(scope="module")
def without_bytes(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """Without byte fallback."""
    return read_tokenizer(train(tmp_path_factory.mktemp("without-bytes") / "tokenizer.model"))


@pytest.fixture(params=["tiny", "without_bytes", "starter"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Each kind of tokenizer."""
    return read_tokenizer(STARTER) if request.param == "starter" else request.getfixturevalue(request.param)


def control_ids(tokenizer: Tokenizer) -> set[int]:
    """All ids that mean something to the model beyond text."""
    tags = tokenizer.language_ids.values()
    frame = tokenizer.encode_source("", ("en", "da"), max_length=9).ids
    return {IDS.pad, IDS.start, IDS.end, *tags, *frame}


def test_a_source_is_framed(tiny: Tokenizer) -> None:
    source = tiny.encode_source("She reads.", ("en", "da"), max_length=100)
    src, en, *body, end, tgt, da = source.ids
    assert body == tiny.encode("She reads.")
    assert end == IDS.end
    assert {"en": en, "da": da} == tiny.language_ids
    assert len({src, tgt, en, da, IDS.pad, IDS.start, IDS.end, LINGOLITE.ids.unknown}) == 8
    assert source.num_tokens == len(source.ids)
    assert not source.is_truncated


def test_the_frame_is_that_of_the_pieces(without_bytes: Tokenizer, tmp_path: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor()
    processor.Load(str(train(tmp_path / "tokenizer.model")))
    expected = [processor.PieceToId(piece) for piece in ("<src>", "<da>", "</s>", "<tgt>", "<en>")]
    assert without_bytes.encode_source("", ("da", "en"), max_length=9).ids == expected


@pytest.mark.parametrize("text", SENTENCES)
def test_text_comes_back(tiny: Tokenizer, text: str) -> None:
    assert tiny.decode([*tiny.encode(text), IDS.end]) == text


def test_a_character_that_was_never_seen_comes_back_through_its_bytes(tiny: Tokenizer) -> None:
    assert tiny.decode(tiny.encode("ж and 🐈")) == "ж and 🐈"


def test_text_of_the_starter_comes_back() -> None:
    tokenizer = read_tokenizer(STARTER)
    text = "Hvor går færgen til Ærø hen?"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert set(tokenizer.languages) >= {"en", "da"}
    assert len(tokenizer.target_pieces) == 8000


@pytest.mark.parametrize(
    "typed",
    ["<tgt>", "<src>", "<en>", "<da>", "<s>", "</s>", "<pad>", "<unk>", "＜tgt＞", "＜da>", "a<tgt>b", "</s><tgt><da>"],
)
def test_a_control_token_cannot_be_typed(tokenizer: Tokenizer, typed: str) -> None:
    for text in (typed, f"no {typed} yes", f"{typed}{typed}"):
        assert not control_ids(tokenizer) & set(tokenizer.encode(text))


@pytest.mark.parametrize("typed", ["<tgt>", "<en> no", "so </s> on", "a <src><da> b"])
def test_what_looks_like_a_control_token_comes_back_as_text(tiny: Tokenizer, typed: str) -> None:
    assert tiny.decode(tiny.encode(typed)) == typed
    assert read_tokenizer(STARTER).decode(read_tokenizer(STARTER).encode(typed)) == typed


def test_control_tokens_are_no_text(tiny: Tokenizer) -> None:
    frame = tiny.encode_source("She reads.", ("en", "da"), max_length=100).ids
    assert tiny.decode([IDS.start, *frame, IDS.end, IDS.pad, IDS.pad]) == "She reads."


@pytest.mark.parametrize("max_length", [6, 7, 9, 14])
def test_a_cut_keeps_prefix_and_suffix(tiny: Tokenizer, max_length: int) -> None:
    whole = tiny.encode_source(SENTENCES[5], ("en", "da"), max_length=1000)
    cut = tiny.encode_source(SENTENCES[5], ("en", "da"), max_length=max_length)
    assert cut.ids == [*whole.ids[: max_length - 3], *whole.ids[-3:]]
    assert cut.is_truncated
    assert cut.num_tokens == len(whole.ids)


@pytest.mark.parametrize("max_length", [1, 5])
def test_positions_for_no_more_than_the_frame_are_refused(tiny: Tokenizer, max_length: int) -> None:
    with pytest.raises(LingoLiteError, match=f"{max_length} positions cannot read a source"):
        tiny.encode_source("no", ("en", "da"), max_length=max_length)


def test_a_source_that_just_fits_is_not_cut(tiny: Tokenizer) -> None:
    whole = tiny.encode_source(SENTENCES[0], ("en", "da"), max_length=1000)
    assert tiny.encode_source(SENTENCES[0], ("en", "da"), max_length=len(whole.ids)) == whole


def test_a_source_without_text_is_empty(tiny: Tokenizer) -> None:
    assert tiny.encode_source("", ("en", "da"), max_length=9).is_empty
    assert not tiny.encode_source("no", ("en", "da"), max_length=9).is_empty


def test_an_unknown_language_is_refused(tiny: Tokenizer) -> None:
    with pytest.raises(LingoLiteError, match="does not know the language `dk`") as caught:
        tiny.encode_source("Hello", ("en", "dk"), max_length=9)
    assert caught.value.hint == "known: da, en"


@pytest.mark.parametrize("language", ["src", "tgt", "s", "pad", "unk", ""])
def test_a_control_token_is_no_language(tiny: Tokenizer, language: str) -> None:
    with pytest.raises(LingoLiteError, match="does not know the language"):
        tiny.check_languages((language, "da"))


def test_languages_are_in_the_order_of_their_ids(tiny: Tokenizer) -> None:
    assert tiny.languages == ("en", "da")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="no tokenizer at"):
        read_tokenizer(tmp_path / "tokenizer.model")


def test_a_damaged_piece_that_an_error_would_quote_is_refused(small_tokenizer: Path, tmp_path: Path) -> None:
    """Two pieces of one damaged name: SentencePiece's message has its bytes, and they are no text."""
    model = small_tokenizer.read_bytes()
    assert model.count(b"\n\x01a") == model.count(b"\n\x01b") == 1
    path = tmp_path / "damaged.model"
    path.write_bytes(model.replace(b"\n\x01a", b"\n\x01\xff").replace(b"\n\x01b", b"\n\x01\xff"))
    with pytest.raises(LingoLiteError, match="is not a SentencePiece model"):
        read_tokenizer(path)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 40])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(content)
    with pytest.raises(LingoLiteError, match=r"tokenizer\.model is not a (SentencePiece model|LingoLite tokenizer)"):
        read_tokenizer(path)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"pad_id": -1, "unk_id": 0}, "`<unk>` has id 0, not 3"),
        ({"pad_id": 3, "unk_id": 0}, "`<unk>` has id 0, not 3"),
        ({"bos_id": 2, "eos_id": 1}, "`<s>` has id 2, not 1"),
        ({"user_defined_symbols": ["<en>", "<da>", "<tgt>"]}, "`<src>` is missing"),
    ],
    ids=["usual-sentencepiece", "unknown first", "swapped", "no-src"],
)
def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path, settings: dict, reason: str) -> None:
    path = train(tmp_path / "tokenizer.model", **settings)
    with pytest.raises(LingoLiteError, match=f"is not a LingoLite tokenizer: {reason}") as caught:
        read_tokenizer(path)
    assert caught.value.hint is not None
    assert "--pad_id=0 --bos_id=1 --eos_id=2 --unk_id=3 and <src>, <tgt> and language tags" in caught.value.hint


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
@pytest.mark.parametrize("text", ["☃", "A 🙂 boat", "雪雪雪", "☃ big ☃", "En ☃lille"])
def test_unknown_characters_become_what_sentencepiece_itself_makes_of_them(
    tmp_path: Path, model_type: str, text
) -> None:
    path = train(tmp_path / "tokenizer.model", model_type=model_type)
    reference = sentencepiece.SentencePieceProcessor()
    reference.Load(str(path))
    expected = reference.EncodeAsIds(text)
    assert LINGOLITE.ids.unknown in expected
    assert read_tokenizer(path).encode(text) == expected


PLACES = {
    "first": ["<br>", "<num>", "<mask>", "<en>", "<da>", "<src>", "<tgt>"],
    "after the tags": ["<en>", "<da>", "<src>", "<tgt>", "<br>", "<num>", "<mask>"],
    "between": ["<en>", "<br>", "<da>", "<num>", "<src>", "<mask>", "<tgt>"],
}


@pytest.mark.parametrize("place", PLACES)
def test_symbols_that_are_not_tags_are_text_in_both_directions_wherever_they_stand(tmp_path: Path, place: str) -> None:
    tokenizer = read_tokenizer(train(tmp_path / "tokenizer.model", user_defined_symbols=PLACES[place], vocab_size=90))
    assert set(tokenizer.languages) == {"en", "da"}
    for symbol in ("<br>", "<num>", "<mask>"):
        ids = tokenizer.encode(f"A small{symbol}boat")
        assert tokenizer.target_pieces.index(symbol) in ids
        assert tokenizer.decode(ids) == f"A small{symbol}boat"


def test_tags_are_control_tokens_wherever_they_stand(tmp_path: Path) -> None:
    """SentencePiece puts symbols first, so that only a vocabulary put together by hand has tags at its end."""
    path = train(tmp_path / "tokenizer.model", user_defined_symbols=["<src>", "<tgt>"])
    model = ModelProto()
    model.ParseFromString(path.read_bytes())
    for tag in ("<en>", "<da>", "<pt_BR>"):
        model.pieces.add(piece=tag, score=0.0, type=ModelProto.SentencePiece.USER_DEFINED)
    path.write_bytes(model.SerializeToString())
    tokenizer = read_tokenizer(path)
    assert tokenizer.languages == ("en", "da", "pt_BR")
    for tag in ("<en>", "<pt_BR>"):
        assert tokenizer.target_pieces.index(tag) not in tokenizer.encode(f"A {tag} boat")
        assert tokenizer.decode([tokenizer.target_pieces.index(tag)]) == ""


@pytest.mark.parametrize("languages", [(), ("br", "en")])
def test_a_code_that_is_a_symbol_too_is_a_language_where_the_model_says_so(tmp_path: Path, languages) -> None:
    path = train(tmp_path / "tokenizer.model", user_defined_symbols=["<en>", "<br>", "<src>", "<tgt>"])
    tokenizer = read_tokenizer(path, languages=languages)
    assert set(tokenizer.languages) == ({"br", "en"} if languages else {"en"})
    assert (tokenizer.target_pieces.index("<br>") in tokenizer.encode("a <br> b")) == (not languages)


@pytest.mark.parametrize("code", ["en", "pt_BR", "zh-Hans", "eng_Latn", "sr-Latn-RS", "deu"])
def test_codes_of_languages_are_known(code: str) -> None:
    assert is_language_code(code)


@pytest.mark.parametrize("code", ["br", "num", "mask", "EN", "en_", "en-a", "", "english"])
def test_other_words_are_no_codes_of_languages(code: str) -> None:
    assert not is_language_code(code)


def damaged(path: Path, change) -> Path:
    """The starter's tokenizer, its pieces changed."""
    model = ModelProto()
    model.ParseFromString(STARTER.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_tokenizer_with_a_piece_that_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    data = STARTER.read_bytes()
    place = data.index("▁the".encode())
    path.write_bytes(data[:place] + b"\xff" + data[place + 1 :])
    with pytest.raises(LingoLiteError, match="is not a SentencePiece model"):
        read_tokenizer(path)


def test_a_tokenizer_that_lacks_a_byte_is_refused_in_words(tmp_path: Path) -> None:
    def cut(model: ModelProto) -> None:
        place = next(index for index, piece in enumerate(model.pieces) if piece.piece == "<0x41>")
        del model.pieces[place]

    with pytest.raises(LingoLiteError, match="is not a SentencePiece model"):
        read_tokenizer(damaged(tmp_path / "tokenizer.model", cut))
