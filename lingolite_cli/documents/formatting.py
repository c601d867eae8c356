"""Sentences with inline tags: translated whole, with the tags put back where their words are certain to be.

Owns which texts are one sentence, and where in its translation a pair of tags belongs: around words that occur in it
exactly once, and are what the pair held, unchanged as a name, or translated by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from lingolite_cli.documents.spans import Span, wrapped

HTML = re.compile(r"</?(?:a|b|big|c|em|font|i|ins|mark|s|small|span|strong|u)(?=[\s>.])[^<>]*>", re.IGNORECASE)
"""Tags of HTML and of subtitles that enclose words of a sentence."""

MARKDOWN = re.compile(rf"\*{{1,3}}|~~|_{{1,3}}|{HTML.pattern}", re.IGNORECASE)
"""These, and the marks of emphasis."""

_FARTHEST = 500
"""Characters of tags before a sentence."""
_LINK = re.compile(r"</?a\b", re.IGNORECASE)
"""Tags that say more than how words look: a sentence does not lose them."""
_BETWEEN = re.compile(r"[\s\d.,:;!?()'\"–—-]*")
"""What may stand between two texts of one sentence, besides tags."""
_BEHIND = re.compile(r"[.,:;!?…]*")


class Pair(NamedTuple):
    """An opening tag, its closing one, and what stands between them.

    Attributes:
        opening: as it is written.
        closing: as it is written.
        words: between them, without tags.
        texts: which of the sentence's texts are between them.
    """

    opening: str
    closing: str
    words: str
    texts: range

    @property
    def is_held(self) -> bool:
        """Whether its words are translated by themselves, besides the texts between its tags."""
        return len(self.texts) > 1

    @property
    def is_link(self) -> bool:
        """Whether a sentence must not lose it."""
        return _LINK.match(self.opening) is not None


class Sentence(NamedTuple):
    """Texts that are one sentence.

    Attributes:
        start: in the file's text, of the first text or of the tags before it.
        end: behind the last one, its tags and its punctuation.
        text: the whole, without tags, on one line.
        parts: the texts.
        pairs: the tags, the outer ones first.
        glue: what stands between its lines in the file.
        shares: for each of these, what share of the characters stands before it.
    """

    start: int
    end: int
    text: str
    parts: tuple[Span, ...]
    pairs: tuple[Pair, ...]
    glue: tuple[str, ...]
    shares: tuple[float, ...]

    @property
    def texts(self) -> list[str]:
        """What is to be translated: the whole, and each part and what pairs hold, by which words are found again."""
        held = [pair.words for pair in self.pairs if pair.is_held]
        return [self.text, *(part.text for part in self.parts), *held]

    def written(self, translations: Sequence[str]) -> tuple[list[tuple[int, int, str]], int]:
        """What stands in the file instead, and how many pairs of tags were left out.

        Args:
            translations: of `texts`.
        """
        whole, parts = " ".join(translations[0].split()), translations[1 : len(self.parts) + 1]
        held = iter(translations[len(self.parts) + 1 :])
        own = [next(held) if pair.is_held else " ".join(parts[index] for index in pair.texts) for pair in self.pairs]
        places = [self._place(pair, whole, words) for pair, words in zip(self.pairs, own, strict=True)]
        kept: list[tuple[int, int, Pair]] = []
        for pair, place in zip(self.pairs, places, strict=True):
            if place is not None and not any(_cross(place, (start, end)) for start, end, _ in kept):
                kept.append((*place, pair))
            elif pair.is_link:
                apart = zip(self.parts, parts, strict=True)
                return [(part.start, part.end, part.written(text)) for part, text in apart], 0
        return [(self.start, self.end, self._with_tags(whole, kept))], len(self.pairs) - len(kept)

    def _place(self, pair: Pair, whole: str, own: str) -> tuple[int, int] | None:
        """Where in the translation the words of a pair are, if that is certain."""
        if pair.words == self.text:
            return 0, len(whole)
        if len(_found(pair.words, self.text)) != 1:
            return None
        for words in (pair.words, " ".join(own.split()).strip(" .,:;!?…")):
            matches = _found(words, whole)
            if len(matches) == 1:
                return matches[0]
        return None

    def _with_tags(self, whole: str, kept: Sequence[tuple[int, int, Pair]]) -> str:
        marks: list[tuple[int, int, str]] = []  # place, rank at that place, and what stands there
        for start, end, pair in kept:
            marks += [(start, 2, pair.opening)]
            marks.insert(0, (end, 0, pair.closing))  # the inner ones close first
        position, skipped = 0, set()
        for line, glue in zip(wrapped(whole, self.shares)[:-1], self.glue, strict=True):
            position += len(line)
            marks.append((position, 1, glue))
            if whole[position : position + 1] == " ":
                skipped.add(position)
                position += 1
        encode, written, before = self.parts[0].encode, [], 0
        for place, same in groupby(sorted(marks, key=lambda mark: mark[:2]), key=lambda mark: mark[0]):
            written += [encode(whole[before:place]), *(mark for _, _, mark in same)]
            before = place + (place in skipped)
        return "".join([*written, encode(whole[before:])])


def sentences_in(text: str, spans: Sequence[Span], tags: re.Pattern[str]) -> Iterator[Span | Sentence]:
    """The spans of a file, those that are one sentence together.

    Args:
        text: of the file.
        spans: in its order.
        tags: its inline tags.
    """
    together: list[Span] = []
    floor = 0  # a text before may be an attribute of a tag, which then stays where it is
    for span in spans:
        if together and not _goes_on(text[together[-1].end : span.start], tags):
            yield from _joined(text, together, tags, floor=floor)
            floor = together[-1].end
            together = []
        together.append(span)
    yield from _joined(text, together, tags, floor=floor)


def _goes_on(between: str, tags: re.Pattern[str]) -> bool:
    if tags.search(between) is None:
        return False
    rest = tags.sub("", between)
    if "\n" in rest:  # what a line begins with may be the mark of a list, or a speaker's
        return not rest.strip() and rest.count("\n") == 1
    return _BETWEEN.fullmatch(rest) is not None


def _joined(text: str, spans: list[Span], tags: re.Pattern[str], *, floor: int) -> list[Span | Sentence]:
    sentence = _sentence(text, spans, tags, floor=floor) if len(spans) > 1 else None
    return [*spans] if sentence is None else [sentence]


def _sentence(text: str, spans: list[Span], tags: re.Pattern[str], *, floor: int) -> Sentence | None:
    """One sentence, if its tags are pairs; None where they are not."""
    # Tags at the ends that have no other half in the sentence stand around more than it.
    for start in _before(text, spans[0].start, tags, floor=floor):
        for end in _behind(text, spans[-1].end, tags):
            found = _read(text, spans, start, end, tags)
            if found is not None:
                return found
    return None


def _before(text: str, place: int, tags: re.Pattern[str], *, floor: int) -> list[int]:
    """Where the opening tags begin that stand directly before a place, the outermost first; then the place itself."""
    begins = [place]
    for match in reversed(list(tags.finditer(text, max(floor, place - _FARTHEST), place))):
        if match.end() != begins[-1] or match.group().startswith("</"):
            break
        begins.append(match.start())
    return begins[::-1]


def _behind(text: str, place: int, tags: re.Pattern[str]) -> list[int]:
    """Where the closing tags and the punctuation end that stand directly behind a place, the outermost first."""
    ends = [place]
    while True:
        match = tags.match(text, ends[-1]) or _BEHIND.match(text, ends[-1])
        is_opening = match is not None and match.group().startswith("<") and not match.group().startswith("</")
        if match is None or match.end() == ends[-1] or is_opening:
            return ends[::-1]
        ends.append(match.end())


def _read(text: str, spans: list[Span], start: int, end: int, tags: re.Pattern[str]) -> Sentence | None:
    """The sentence between two places; None where its tags are not pairs."""
    words, glue, breaks = "", [], []
    open_tags: list[tuple[str, int, int]] = []  # the tag, and characters and texts before it
    pairs: list[tuple[int, Pair]] = []
    position = start
    for number, span in enumerate([*spans, None]):
        stop = end if span is None else span.start
        place = position
        for match in (*tags.finditer(text, position, stop), None):
            gap = text[place : stop if match is None else match.start()]
            if "\n" in gap:
                glue.append(gap)
                breaks.append(len(words))
                gap = " "
            words += gap
            if match is None:
                break
            place = match.end()
            if not _closes(match.group(), [tag for tag, _, _ in open_tags]):
                open_tags.append((match.group(), len(words), number))
                continue
            opening, before, first = open_tags.pop()
            held = " ".join(words[before:].split())
            pairs.append((before, Pair(opening, match.group(), held, range(first, number))))
        if span is not None:
            glue += span.glue
            breaks += [len(words) + round(share * len(span.text)) for share in span.shares]
            words += span.text
            position = span.end
    if open_tags:
        return None
    ordered = tuple(pair for _, pair in sorted(pairs, key=lambda one: (one[0], -len(one[1].words))) if pair.words)
    total = max(1, len(words))
    shares = tuple(place / total for place in breaks)
    return Sentence(start, end, " ".join(words.split()), tuple(spans), ordered, tuple(glue), shares)


def _closes(tag: str, open_tags: list[str]) -> bool:
    """Whether a tag is the other half of the last one. A mark of Markdown is its own other half."""
    if not tag.startswith("<"):
        return bool(open_tags) and open_tags[-1] == tag
    if not tag.startswith("</"):
        return False
    name = re.match(r"</?([a-z]+)", tag, re.IGNORECASE)
    last = re.match(r"<([a-z]+)", open_tags[-1], re.IGNORECASE) if open_tags else None
    return name is not None and last is not None and name[1].lower() == last[1].lower()


def _found(words: str, text: str) -> list[tuple[int, int]]:
    """Where words stand in a text as whole words, in small or capital letters."""
    if not any(character.isalnum() for character in words):
        return []
    pattern = rf"(?<!\w){re.escape(words)}(?!\w)"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _cross(place: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether one of two places begins in the other and ends outside of it."""
    (start, end), (begin, behind) = sorted([place, other])
    return start < begin < end < behind
