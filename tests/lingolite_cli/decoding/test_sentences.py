"""Texts of several sentences: where they are split, and how they are joined again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from lingolite_cli.decoding.hypothesis import Alternative
from lingolite_cli.decoding.sentences import SentenceTranslator, split_sentences
from lingolite_cli.decoding.translator import Translation, Translator


class Capitals:
    """Stands for a translator of sentences: it has seen what it was given, one after another."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def translate(self, texts: Iterable[str]) -> Iterator[Translation]:
        for text in texts:
            self.seen.append(text)
            yield _said(text.upper())

    def translate_in_steps(self, text: str) -> Iterator[Translation]:
        self.seen.append(text)
        for end in range(1, len(text) + 1):
            yield _said(text[:end].upper())


def _said(text: str) -> Translation:
    return Translation(
        text=text,
        tokens=(7,),
        score=-1.0,
        alternatives=(Alternative(text, -1.0),),
        num_source_tokens=3,
        is_truncated=False,
        is_finished=True,
    )


def translator(languages: tuple[str, str] = ("en", "da"), *, is_splitting: bool = True) -> tuple[Capitals, Any]:
    capitals = Capitals()
    return capitals, SentenceTranslator(cast("Translator", capitals), languages, is_splitting=is_splitting)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Good morning. How are you?  Fine!", ["Good morning.", "How are you?", "Fine!"]),
        ("One sentence, with a comma.", ["One sentence, with a comma."]),
        ("Dr. Smith has come, e.g. at 5 p.m. today", ["Dr. Smith has come, e.g. at 5 p.m. today"]),
        ("Inspired by .NET, and pyopencl.array is there", ["Inspired by .NET, and pyopencl.array is there"]),
        ("  A space before. And behind.  ", ["A space before.", "And behind."]),
        ("First.\n\nSecond.", ["First.", "Second."]),
        ("", [""]),
        ("...", ["..."]),
        ("?! ?!", ["?! ?!"]),
    ],
)
def test_sentences_are_told_from_abbreviations_and_names(text: str, sentences: list[str]) -> None:
    layout = split_sentences(text, "en")
    assert list(layout.sentences) == sentences
    if len(sentences) > 1:
        between = zip(layout.sentences, (*layout.joints, ""), strict=True)
        assert "".join(sentence + space for sentence, space in between) == text.strip()


def test_chinese_needs_no_spaces() -> None:
    assert split_sentences("你好。你好吗？", "zh-CN").sentences == ("你好。", "你好吗？")


def test_a_text_is_translated_sentence_by_sentence_and_joined_as_it_was() -> None:
    capitals, sentences = translator()
    texts = ["Yes. No.", "", "Only one", "  A.  Big b!\tC? "]
    found = list(sentences.translate(texts))
    assert [one.text for one in found] == [text.strip().upper() for text in texts]
    assert capitals.seen[:4] == ["Yes.", "No.", "", "Only one"]
    assert (found[0].tokens, found[0].score, found[0].num_source_tokens) == ((7, 7), -2.0, 6)


def test_one_sentence_reaches_the_model_as_it_is() -> None:
    capitals, sentences = translator()
    list(sentences.translate([" Only one. "]))
    assert capitals.seen == [" Only one. "]


def test_without_splitting_a_text_is_one() -> None:
    capitals, sentences = translator(is_splitting=False)
    list(sentences.translate(["Yes. No."]))
    assert capitals.seen == ["Yes. No."]


def test_spaces_between_sentences_are_those_of_the_target() -> None:
    _, to_english = translator(("zh", "en"))
    assert [one.text for one in to_english.translate(["你好。你好吗？"])] == ["你好。 你好吗？"]
    _, to_chinese = translator(("en", "zh"))
    assert [one.text for one in to_chinese.translate(["Yes. No.\nWell."])] == ["YES.NO.\nWELL."]


def test_each_text_is_done_before_the_next_is_read() -> None:
    capitals, sentences = translator()

    def texts() -> Iterator[str]:
        yield "Yes. No."
        assert capitals.seen == ["Yes.", "No."]
        yield "Well."

    assert len(list(sentences.translate(texts()))) == 2


def test_steps_go_on_from_sentence_to_sentence() -> None:
    _, sentences = translator()
    steps = [one.text for one in sentences.translate_in_steps("Yes. No. ")]
    assert steps == ["Y", "YE", "YES", "YES.", "YES. N", "YES. NO", "YES. NO."]
