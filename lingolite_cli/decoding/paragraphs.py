"""Texts of several paragraphs: cut into the sentences that a model translates, and put together as they were.

Owns what stays as it is around and between paragraphs: line breaks, blank lines, indents. Sentences inside of a
paragraph are the business of `sentences`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from lingolite_cli.decoding.sentences import Layout, joined, split_sentences
from lingolite_cli.decoding.translator import Translation

_WHITE_SPACE = re.compile(r"\s+")
_LINE_BREAKS = frozenset("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029")


class TextLayout(msgspec.Struct, frozen=True):
    """A text as paragraphs.

    Attributes:
        paragraphs: the sentences of each.
        spaces: white space before, between and after them, one more than there are paragraphs.
    """

    paragraphs: tuple[Layout, ...]
    spaces: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Those of all paragraphs, in order."""
        return tuple(sentence for layout in self.paragraphs for sentence in layout.sentences)

    def joined(self, parts: Sequence[Translation], languages: tuple[str, str]) -> str:
        """The text that translations of the first sentences make; those of the last ones may be missing.

        Args:
            parts: in the order of `sentences`.
            languages: source and target language.
        """
        text, due = [self.spaces[0]], 0
        for layout, space in zip(self.paragraphs, self.spaces[1:], strict=True):
            own = parts[due : due + len(layout.sentences)]
            due += len(layout.sentences)
            if own:
                text.append(joined(layout, own, languages).text)
            if len(own) == len(layout.sentences):
                text.append(space)
        return "".join(text)


def split_text(text: str, language: str, *, is_splitting: bool) -> TextLayout:
    """The paragraphs of a text, which are its lines, and their sentences.

    Args:
        text: any text.
        language: its tag.
        is_splitting: whether paragraphs are split into sentences.
    """
    paragraphs, spaces = [], [""]
    for piece, space in _lines(text):
        if piece:
            paragraphs.append(split_sentences(piece, language) if is_splitting else Layout((piece,)))
            spaces.append(space)
        else:
            spaces[-1] += space
    return TextLayout(tuple(paragraphs), tuple(spaces))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Each line without the white space around it, and the white space that follows."""
    begin = 0
    for run in _WHITE_SPACE.finditer(text):
        is_at_an_end = run.start() == 0 or run.end() == len(text)
        if is_at_an_end or not _LINE_BREAKS.isdisjoint(run[0]):
            yield text[begin : run.start()], run[0]
            begin = run.end()
    if begin < len(text):
        yield text[begin:], ""
