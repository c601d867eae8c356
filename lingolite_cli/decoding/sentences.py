"""Texts of several sentences for models of single ones: split, translated sentence by sentence, and joined again.

Owns where a text is split, by the library sentencex, and how translations are put together. A text of one sentence is
passed on as it is.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from lingolite_cli.decoding.hypothesis import Alternative
from lingolite_cli.decoding.translator import Translation, Translator
from lingolite_cli.text.languages import has_spaces, primary_language

_MAY_SPLIT = re.compile(r"[^\w\s,;:'\"()-][\"'”’»)\]]{0,4}\s+\S|[。！？｡．।॥។།]\s*\S|\n\s*\S|\u2028")
"""What every text of two sentences has; the rest needs no look at its language."""
_FULL_STOPS = "。！？｡．।॥។།"


class Layout(msgspec.Struct, frozen=True):
    """A text as sentences.

    Attributes:
        sentences: without the white space around them, where there are several.
        joints: what stands between them in the text, one fewer.
    """

    sentences: tuple[str, ...]
    joints: tuple[str, ...] = ()


def split_sentences(text: str, language: str) -> Layout:
    """The sentences of a text.

    A full stop without white space behind it, as in `pyopencl.array`, ends no sentence where the language writes
    spaces.

    Args:
        text: a line, or a paragraph.
        language: its tag.
    """
    if not _MAY_SPLIT.search(text):
        return Layout((text,))
    from sentencex import segment  # built for this machine: 1 ms, that most texts need not pay

    found: list[str] = []
    for piece in segment(primary_language(language), text):
        if found and not (_has_words(found[-1]) and _has_words(piece) and _is_ended(found[-1])):
            found[-1] += piece
        else:
            found.append(piece)
    if len(found) < 2 or "".join(found) != text:
        return Layout((text,))
    joints = tuple(piece[len(piece.rstrip()) :] for piece in found[:-1])
    return Layout(tuple(map(str.strip, found)), joints)


def _has_words(piece: str) -> bool:
    return any(character.isalnum() for character in piece)


def _is_ended(piece: str) -> bool:
    return piece[-1:].isspace() or piece.rstrip("”’」』）)\"'")[-1:] in _FULL_STOPS


class SentenceTranslator:
    """A translator of texts that may have several sentences each.

    Args:
        translator: of sentences.
        languages: source and target language.
        is_splitting: whether texts are split; without it, each goes to the model as a whole.
    """

    def __init__(self, translator: Translator, languages: tuple[str, str], *, is_splitting: bool) -> None:
        self._translator = translator
        self._languages = languages
        self._is_splitting = is_splitting

    def translate(self, texts: Iterable[str]) -> Iterator[Translation]:
        """Translate `texts` one after another; see `Translator.translate`.

        Args:
            texts: may be endless.
        """
        waiting: deque[Layout] = deque()

        def sentences() -> Iterator[str]:
            for text in texts:
                layout = self._layout(text)
                waiting.append(layout)
                yield from layout.sentences

        found = self._translator.translate(sentences())
        for first in found:
            layout = waiting.popleft()
            yield joined(layout, [first, *islice(found, len(layout.sentences) - 1)], self._languages)

    def translate_in_steps(self, text: str) -> Iterator[Translation]:
        """Translate one text by greedy search, token by token; see `Translator.translate_in_steps`."""
        layout = self._layout(text)
        done: list[Translation] = []
        for sentence in layout.sentences:
            for found in self._translator.translate_in_steps(sentence):
                yield joined(layout, [*done, found], self._languages)
            done.append(found)

    def _layout(self, text: str) -> Layout:
        return split_sentences(text, self._languages[0]) if self._is_splitting else Layout((text,))


def joined(layout: Layout, parts: Sequence[Translation], languages: tuple[str, str]) -> Translation:
    """The translation of a text from those of its sentences, of which the last ones may be missing.

    Args:
        layout: the text.
        parts: translations of its first sentences, at least one.
        languages: source and target language.
    """
    if len(layout.sentences) == 1:
        return parts[0]
    joints = [_joint(joint, languages) for joint in layout.joints[: len(parts) - 1]]
    text = "".join(part.text + joint for part, joint in zip(parts, [*joints, ""], strict=True))
    score = sum(part.score for part in parts)
    return Translation(
        text=text,
        tokens=tuple(token for part in parts for token in part.tokens),
        score=score,
        alternatives=(Alternative(text, score),),
        num_source_tokens=sum(part.num_source_tokens for part in parts),
        is_truncated=any(part.is_truncated for part in parts),
        is_finished=all(part.is_finished for part in parts),
    )


def _joint(space: str, languages: tuple[str, str]) -> str:
    """What stands between two translated sentences: what the source has there, but for spaces of its own writing."""
    source, target = map(has_spaces, languages)
    if source == target or "\n" in space:
        return space
    return space or " " if target else ""
