"""Texts to translations: order, streaming, empty and overlong texts. On a table of logits that echoes the source."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.decoding.translator import WINDOW_BATCHES, Translation, Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing import SENTENCES
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.description import DecodingIds
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer

LANGUAGES = ("en", "da")
POSITIONS = 40


@pytest.fixture
def echo(table, tokenizer: Tokenizer):
    """A backend whose best hypothesis is the source's text, and whose second best differs in one token."""

    def logits_of(source: tuple[int, ...], prefix: tuple[int, ...]) -> np.ndarray:
        body = source[2:-3]
        position = len(prefix) - 1
        logits = np.zeros(len(tokenizer.target_pieces))
        logits[body[position] if position < len(body) else IDS.end] = 25.0
        logits[50] += 20.0
        return logits

    return table(logits_of)


@pytest.fixture
def translator(echo, tokenizer: Tokenizer):
    """Makes a translator over the echo."""

    def make(**settings) -> Translator:
        model = Architecture(vocab_size=len(tokenizer.target_pieces), max_seq_len=POSITIONS)
        settings = {"options": DecodingOptions(max_length=128), **settings}
        return Translator(echo, tokenizer, model, LANGUAGES, **settings)

    return make


def texts_of(translations: Iterator[Translation]) -> list[str]:
    return [translation.text for translation in translations]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 32])
@pytest.mark.parametrize("max_batch_tokens", [1, 50, 4096])
def test_translations_come_in_the_order_of_their_texts(translator, batch_size: int, max_batch_tokens: int) -> None:
    texts = [*SENTENCES, "", *SENTENCES[::-1], "  "] * (WINDOW_BATCHES if batch_size == 1 else 3)
    made = translator(batch_size=batch_size, max_batch_tokens=max_batch_tokens).translate(texts)
    assert texts_of(made) == [text.strip() for text in texts]


def test_batches_keep_to_both_limits(translator, echo) -> None:
    list(translator(batch_size=3, max_batch_tokens=60).translate(SENTENCES * 2))
    assert max(rows for rows, _ in echo.source_shapes) == 3
    assert all(rows * length <= 60 or rows == 1 for rows, length in echo.source_shapes)


class Pool:
    """Searches at once, and remembers what it was given: (rows, length) of each batch."""

    num_workers = 2

    def __init__(self, backend: object) -> None:
        self.backend = backend
        self.shapes: list[tuple[int, ...]] = []

    def submit(
        self, source_ids: np.ndarray, source_mask: np.ndarray, options: DecodingOptions, ids: DecodingIds
    ) -> Future:
        self.shapes.append(source_ids.shape)
        done: Future = Future()
        done.set_result(search(self.backend, source_ids, source_mask, ids=ids, options=options))
        return done


def test_a_pool_is_given_the_batches_of_one_worker_the_longest_first(translator, echo, tokenizer: Tokenizer) -> None:
    texts = [*SENTENCES, "", *SENTENCES[::-1]] * 2
    expected = texts_of(translator(batch_size=3).translate(texts))
    alone = list(echo.source_shapes)
    pool = Pool(echo)
    model = Architecture(vocab_size=len(tokenizer.target_pieces), max_seq_len=POSITIONS)
    settings = {"options": DecodingOptions(max_length=128), "batch_size": 3, "capabilities": frozenset({"submit"})}
    assert texts_of(Translator(pool, tokenizer, model, LANGUAGES, **settings).translate(texts)) == expected
    assert sorted(pool.shapes) == sorted(alone)
    sizes = [rows * length for rows, length in pool.shapes]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes != [rows * length for rows, length in alone]


def test_with_a_batch_of_one_each_sentence_is_yielded_before_the_next_is_read(translator) -> None:
    events = []

    def typed() -> Iterator[str]:
        for text in SENTENCES:
            events.append(("read", text))
            yield text

    for translation in translator(batch_size=1).translate(typed()):
        events.append(("yielded", translation.text))
    assert events == [(event, text) for text in SENTENCES for event in ("read", "yielded")]


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_each_batch_is_told_when_it_is_done(translator, echo, batch_size: int) -> None:
    """A window's sentences are sorted by length, so those that were yielded do not tell how much is left."""
    made = translator(batch_size=batch_size)
    texts = ["a b c d e f g h", "a", "", "b", "c d", "e"]
    told: list[tuple[int, int]] = []
    list(made.translate(texts, observe=lambda *done: told.append(done)))
    assert sum(sentences for sentences, _ in told) == len(texts)
    assert sum(tokens for _, tokens in told) == sum(map(made.num_tokens, texts))
    if batch_size == 3:
        (first, *_), (_, *later) = [made.num_tokens(texts[0])], told
        assert (1, made.num_tokens("")) == told[0]
        assert len(later) == 2
        assert any(tokens >= first for _, tokens in later)


def test_an_endless_input_streams(translator) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield from SENTENCES

    made = translator(batch_size=2).translate(endless())
    assert [next(made).text for _ in range(3 * WINDOW_BATCHES)] == [
        SENTENCES[index % len(SENTENCES)] for index in range(3 * WINDOW_BATCHES)
    ]


def test_no_more_than_a_window_is_read_before_the_first_translation(translator) -> None:
    texts = iter(SENTENCES * 20)
    next(translator(batch_size=3).translate(texts))
    assert len(SENTENCES) * 20 - len(list(texts)) == 3 * WINDOW_BATCHES


def test_a_sentence_is_yielded_before_the_rest_of_its_window_is_translated(translator, echo) -> None:
    texts = [SENTENCES[0]] * 2 + [SENTENCES[5]] * 8
    made = translator(batch_size=2).translate(texts)
    first = next(made)
    steps = len(echo.batch_sizes)
    assert first.text == SENTENCES[0]
    assert steps == len(first.tokens)
    assert texts_of(made) == texts[1:]
    assert len(echo.batch_sizes) > steps


@pytest.mark.parametrize("text", ["", "   ", "\t\n", "\u00a0", "\u200b"])
def test_an_empty_text_is_translated_without_the_model(translator, echo, text: str) -> None:
    [translation] = translator().translate([text])
    assert translation.text == ""
    assert translation.tokens == ()
    assert translation.is_finished
    assert not translation.is_truncated
    assert [alternative.text for alternative in translation.alternatives] == [""]
    assert echo.batch_sizes == []


def test_white_space_that_has_pieces_is_no_text_either(echo, tmp_path: Path) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a  b", "b   a"]),
        model_writer=model,
        vocab_size=20,
        hard_vocab_limit=False,
        remove_extra_whitespaces=False,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        user_defined_symbols=["<en>", "<da>", "<src>", "<tgt>"],
        minloglevel=2,
    )
    (tmp_path / "tokenizer.model").write_bytes(model.getvalue())
    keeps_space = read_tokenizer(tmp_path / "tokenizer.model")
    assert keeps_space.encode("   ")
    translator = Translator(echo, keeps_space, Architecture(), LANGUAGES, options=DecodingOptions())
    assert [translation.tokens for translation in translator.translate(["   "])] == [()]
    assert echo.batch_sizes == []


def test_no_text_is_no_translation(translator) -> None:
    assert list(translator().translate([])) == []


def test_a_source_beyond_the_positions_is_cut_and_said_to_be(translator, tokenizer: Tokenizer) -> None:
    text = " ".join(SENTENCES)
    [cut] = translator().translate([text])
    assert cut.is_truncated
    assert cut.num_source_tokens == len(tokenizer.encode(text)) + 5
    assert cut.tokens == (*tokenizer.encode(text)[: POSITIONS - 5], IDS.end)
    assert cut.is_finished


def test_a_hypothesis_cut_at_max_length_is_not_finished(translator) -> None:
    [cut] = translator(options=DecodingOptions(max_length=4)).translate([SENTENCES[2]])
    assert len(cut.tokens) == 4
    assert not cut.is_finished


def test_max_length_stays_within_the_positions(translator) -> None:
    assert translator(options=DecodingOptions(max_length=128)).options.max_length == POSITIONS
    assert translator(options=DecodingOptions(max_length=7)).options.max_length == 7


def test_a_min_length_beyond_the_positions_is_refused(translator) -> None:
    with pytest.raises(LingoLiteError, match=f"min_length 41 .* {POSITIONS} positions"):
        translator(options=DecodingOptions(min_length=41, max_length=50))


def test_a_language_without_a_tag_is_refused_before_anything_runs(echo, tokenizer: Tokenizer) -> None:
    with pytest.raises(LingoLiteError, match="`sv`"):
        Translator(echo, tokenizer, Architecture(), ("en", "sv"), options=DecodingOptions())


def test_the_n_best_are_given_with_their_scores(translator) -> None:
    options = DecodingOptions(beam_size=4, n_best=3, max_length=30)
    [translation, empty] = translator(options=options).translate([SENTENCES[4], ""])
    texts = [alternative.text for alternative in translation.alternatives]
    scores = [alternative.score for alternative in translation.alternatives]
    assert texts[0] == translation.text == SENTENCES[4]
    assert len(set(texts)) == 3
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == translation.score
    assert len(empty.alternatives) == 1


@pytest.mark.parametrize("min_length", [0, 12])
def test_a_translation_in_steps_grows_to_the_whole_one(translator, min_length: int) -> None:
    made = translator(options=DecodingOptions(max_length=20, min_length=min_length))
    [whole] = made.translate([SENTENCES[0]])
    steps = list(made.translate_in_steps(SENTENCES[0]))
    assert [len(step.tokens) for step in steps] == list(range(1, len(whole.tokens) + 1))
    assert all(later.text.startswith(step.text) for step, later in pairwise(steps))
    assert [step.is_finished for step in steps] == [False] * (len(steps) - 1) + [whole.is_finished]
    last = steps[-1]
    assert (last.text, last.tokens, last.score) == (whole.text, whole.tokens, pytest.approx(whole.score))


def test_a_character_of_several_bytes_is_held_back_until_it_is_whole(translator, tokenizer: Tokenizer) -> None:
    text = "a 😀 b"
    num_tokens = len(tokenizer.encode_source(text, LANGUAGES, max_length=POSITIONS).ids)
    steps = [step.text for step in translator().translate_in_steps(text)]
    assert steps[-1] == text
    assert len(steps) < num_tokens - 5, "four bytes are four tokens"
    assert all(text.startswith(step) for step in steps)


def test_text_that_ends_in_half_a_character_is_told_in_the_end(translator) -> None:
    made = translator(options=DecodingOptions(max_length=4))
    [whole] = made.translate(["😀😀😀"])
    assert "\ufffd" in whole.text
    assert [step.text for step in made.translate_in_steps("😀😀😀")][-1] == whole.text


def test_an_empty_text_has_one_step(translator) -> None:
    assert [(step.text, step.tokens) for step in translator().translate_in_steps("  ")] == [("", ())]


def test_beams_and_engines_that_search_by_themselves_have_no_steps(translator) -> None:
    with pytest.raises(LingoLiteError, match="token by token with beam_size 2"):
        list(translator(options=DecodingOptions(beam_size=2)).translate_in_steps("She reads."))
    with pytest.raises(LingoLiteError, match="gives whole translations only"):
        list(translator(capabilities=frozenset({"translate"})).translate_in_steps("She reads."))
