"""Texts of several paragraphs: what stands around and between them stays as it is."""

from __future__ import annotations

import pytest

from lingolite_cli.decoding.paragraphs import split_text
from lingolite_cli.decoding.translator import Alternative, Translation


def shouted(
    text: str, *, languages: tuple[str, str] = ("en", "da"), is_splitting: bool = True
) -> tuple[list[str], str]:
    """The sentences of a text, and the text with each of them in capitals."""
    layout = split_text(text, languages[0], is_splitting=is_splitting)
    return list(layout.sentences), layout.joined([said(one.upper()) for one in layout.sentences], languages)


def said(text: str) -> Translation:
    return Translation(
        text=text,
        tokens=(7,),
        score=-1.0,
        alternatives=(Alternative(text, -1.0),),
        num_source_tokens=3,
        is_truncated=False,
        is_finished=True,
    )


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("  One.\n\n\tTwo.  Three.\r\n", ["One.", "Two.", "Three."]),
        ("a\n b", ["a", "b"]),
        ("\u00a0a b\u2028c", ["a b", "c"]),
        ("", []),
        (" \n ", []),
        ("a" + " " * 5, ["a"]),
    ],
)
def test_white_space_around_and_between_paragraphs_is_kept(text: str, sentences: list[str]) -> None:
    assert shouted(text) == (sentences, text.upper())


def test_paragraphs_of_a_model_of_documents_are_not_split() -> None:
    assert shouted("One. Two.\n\nThree.", is_splitting=False)[0] == ["One. Two.", "Three."]


def test_sentences_of_languages_without_spaces_are_joined_as_their_target_writes() -> None:
    assert shouted("你好。再见。\n\n谢谢。", languages=("zh", "en"))[1] == "你好。 再见。\n\n谢谢。"


def test_what_is_not_translated_yet_is_left_out() -> None:
    layout = split_text("  One. Two.\n\nThree.\n", "en", is_splitting=True)
    parts = [said("1."), said("2."), said("3.")]
    begun = [layout.joined(parts[:count], ("en", "da")) for count in range(4)]
    assert begun == ["  ", "  1.", "  1. 2.\n\n", "  1. 2.\n\n3.\n"]


def test_a_long_run_of_spaces_takes_no_more_time_than_its_length() -> None:
    """A pattern that looks for line breaks among spaces would try each of them as a beginning."""
    text = "a" + " " * 200_000 + "b"
    assert split_text(text, "en", is_splitting=False).sentences == (text,)
