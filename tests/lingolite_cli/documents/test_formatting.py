"""A sentence with inline tags is translated whole; its tags stand around the words that they belong to, or nowhere."""

from __future__ import annotations

import pytest

from lingolite_cli.documents.document import WrittenDocument, read
from lingolite_cli.documents.recognition import DocumentKind

HTML, MARKDOWN, SUBTITLES = DocumentKind.HTML, DocumentKind.MARKDOWN, DocumentKind.SUBTITLES

WORDS = {
    "The file is open": "Filen er åben",
    "The file": "Filen",
    "file": "fil",
    "The ship sails today.": "Skibet sejler i dag.",
    "today": "i dag",
    "Open LingoLite now": "Åbn LingoLite nu",
    "See the file now.": "Se nu filen.",
    "See it now.": "Se det nu.",
    "the file": "filen",
    "See": "Se",
    "it": "den",
    "now.": "nu.",
    "A man and a man": "En mand og en mand",
    "a man": "en mand",
    "A boat & a ship": "En båd & et skib",
    "a ship": "et skib",
    "The red boat sails": "Den røde båd sejler",
    "red boat": "røde båd",
    "boat": "båd",
    "The 2 ships sail": "De 2 skibe sejler",
}


def translated(kind: DocumentKind, text: str) -> WrittenDocument:
    """With the translations above; what is not among them stays."""
    document = read(text.encode(), kind, name="a", languages=("en", "da"))
    return document.written([WORDS.get(words, words) for words in document.texts])


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (HTML, "<p><b>The file is</b> <b>open</b></p>", "<p>Filen er åben</p>"),
        (HTML, "<p>The ship sails <b>today</b>.</p>", "<p>Skibet sejler <b>i dag</b>.</p>"),
        (HTML, "<p>Open <i class='x'>LingoLite</i> now</p>", "<p>Åbn <i class='x'>LingoLite</i> nu</p>"),
        (HTML, "<p><b>The <i>file</i> is open</b></p>", "<p><b>Filen er åben</b></p>"),
        (HTML, '<p>See <a href="x">the file</a> now.</p>', '<p>Se nu <a href="x">filen</a>.</p>'),
        (HTML, "<p>A boat &amp; <b>a ship</b></p>", "<p>En båd &amp; <b>et skib</b></p>"),
        (HTML, "<p>The <b>red <i>boat</i></b> sails</p>", "<p>Den <b>røde <i>båd</i></b> sejler</p>"),
        (HTML, "<p>The <b>2</b> ships sail</p>", "<p>De <b>2</b> skibe sejler</p>"),
        (HTML, "<div><em>Kept</em> <span>The ship\n  sails <b>today</b>.", None),
        (MARKDOWN, "The ship sails **today**.\n", "Skibet sejler **i dag**.\n"),
        (MARKDOWN, "The _red boat_ sails\n", "Den _røde båd_ sejler\n"),
        (
            SUBTITLES,
            "1\n00:00:01,000 --> 00:00:02,000\nThe ship sails <i>today</i>.\n",
            "Skibet sejler <i>i dag</i>.\n",
        ),
    ],
)
def test_tags_stand_around_the_words_that_they_belong_to(kind: DocumentKind, text: str, expected: str | None) -> None:
    written = translated(kind, text).text
    assert written.endswith(expected) if expected is not None else "<b>i dag</b>" in written


@pytest.mark.parametrize(
    ("text", "expected", "num_dropped"),
    [
        ("<p>The <b>file</b> is open</p>", "<p>Filen er åben</p>", 1),
        ("<p>A man and <b>a man</b></p>", "<p>En mand og en mand</p>", 1),
        ("<p>The ship sails <b>today</b>.</p>", "<p>Skibet sejler <b>i dag</b>.</p>", 0),
    ],
)
def test_a_pair_whose_words_are_not_certain_is_left_out_and_counted(text: str, expected: str, num_dropped: int) -> None:
    assert translated(HTML, text) == WrittenDocument(expected, num_dropped)


def test_a_link_is_never_lost_the_sentence_is_translated_in_parts_instead() -> None:
    text = '<p>See <a href="x">it</a> now.</p>'
    assert translated(HTML, text) == WrittenDocument('<p>Se <a href="x">den</a> nu.</p>')


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (HTML, "<p>One <b>two</p><p>three</b> four</p>"),
        (HTML, "<p>Two<br><b>lines</b> here</p>"),
        (HTML, '<p><b>One</b> <a title="Two">three</a>, <i>four</i></p>'),
        (HTML, "<p>H<sub>two</sub>O is water</p>"),
        (HTML, "<p><b>One</b> <code>x</code> <i>two</i></p>"),
        (MARKDOWN, "- *one*\n- *two*\n"),
        (MARKDOWN, "**one**\n\n**two**\n"),
        (MARKDOWN, "One **two `x` three\n"),
        (SUBTITLES, "1\n00:00:01,000 --> 00:00:02,000\n<i>One</i>\n- <b>Two</b>\n"),
    ],
)
def test_what_is_not_one_sentence_stays_apart_and_the_same(kind: DocumentKind, text: str) -> None:
    assert translated(kind, text) == WrittenDocument(text)
