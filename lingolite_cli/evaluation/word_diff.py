"""Where two hypotheses differ, by words.

Owns the bounds of the comparison: texts that loop, or are as long as books, are compared in a time that grows about
as they do. Ordinary sentences are compared as `difflib` does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import TypeAlias

import msgspec

_MOST_WORDS = 2_000
"""Of both texts together; `difflib` takes a time that grows with the square of them."""
_MOST_PAIRS = 50_000
"""Of equal words, one from each text; of two loops, all words are equal, and the time grows with the cube."""

_Match: TypeAlias = tuple[int, int, int]
"""The first word in each text, and how many words from there on are equal."""


class Span(msgspec.Struct, frozen=True):
    """A stretch of words, and whether the other text lacks it."""

    text: str
    is_changed: bool


def word_diff(first: str, second: str) -> tuple[list[Span], list[Span]]:
    """The spans of both texts, with what only one of them has marked.

    Of texts beyond the bounds, the equal words at both ends are found, and between them those around words that are
    once in each text; what else there is between two of these is marked where it is beyond the bounds itself.
    """
    left, right = first.split(), second.split()
    spans: tuple[list[Span], list[Span]] = ([], [])
    ends = [0, 0]
    for *starts, size in [*_joined(_matches(left, right)), (len(left), len(right), 0)]:
        for side, words in enumerate((left, right)):
            if ends[side] < starts[side]:
                spans[side].append(Span(" ".join(words[ends[side] : starts[side]]), is_changed=True))
            if size:
                spans[side].append(Span(" ".join(words[starts[side] : starts[side] + size]), is_changed=False))
            ends[side] = starts[side] + size
    return spans


def _matches(left: Sequence[str], right: Sequence[str]) -> Iterator[_Match]:
    """Stretches of equal words, in order."""
    if _is_within_bounds(left, right):
        yield from _blocks(left, right, 0, 0)
        return
    start = _num_equal(left, right)
    rest = min(len(left), len(right)) - start
    end = min(_num_equal(left[::-1], right[::-1]), rest)
    middle = left[start : len(left) - end], right[start : len(right) - end]
    yield 0, 0, start
    places = (0, 0)
    for anchor in [*_anchors(*middle), (len(middle[0]), len(middle[1]))]:
        between = middle[0][places[0] : anchor[0]], middle[1][places[1] : anchor[1]]
        if _is_within_bounds(*between):
            yield from _blocks(*between, start + places[0], start + places[1])
        if anchor[0] < len(middle[0]):
            yield start + anchor[0], start + anchor[1], 1
        places = anchor[0] + 1, anchor[1] + 1
    yield len(left) - end, len(right) - end, end


def _is_within_bounds(left: Sequence[str], right: Sequence[str]) -> bool:
    if len(left) + len(right) > _MOST_WORDS:
        return False
    counts = Counter(right)
    return sum(number * counts[word] for word, number in Counter(left).items()) <= _MOST_PAIRS


def _blocks(left: Sequence[str], right: Sequence[str], left_start: int, right_start: int) -> Iterator[_Match]:
    for block in SequenceMatcher(None, left, right, autojunk=False).get_matching_blocks():
        yield left_start + block.a, right_start + block.b, block.size


def _num_equal(left: Sequence[str], right: Sequence[str]) -> int:
    """How many words are equal from the beginning on."""
    pairs = zip(left, right, strict=False)
    return next((place for place, (one, other) in enumerate(pairs) if one != other), min(len(left), len(right)))


def _anchors(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Places of words that are once in each text, as many as are in the same order in both.

    As in patience diff: the longest rising sequence of their places on the right, by the places on the left.
    """
    once = [Counter(words) for words in (left, right)]
    where = {word: place for place, word in enumerate(right) if once[1][word] == 1}
    shared = [(place, where[word]) for place, word in enumerate(left) if once[0][word] == 1 and word in where]
    last: list[int] = []  # of each length, the smallest place on the right that a sequence ends with
    ending: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(shared):
        length = bisect_left(last, place)
        last[length:], ending[length:] = [place, *last[length + 1 :]], [number, *ending[length + 1 :]]
        before.append(ending[length - 1] if length else -1)
    chain, number = [], ending[-1] if ending else -1
    while number >= 0:
        chain.append(shared[number])
        number = before[number]
    return chain[::-1]


def _joined(matches: Iterator[_Match]) -> list[_Match]:
    """Neighbouring stretches as one, and none that is empty."""
    found: list[_Match] = []
    for one, other, size in matches:
        if found and (found[-1][0] + found[-1][2], found[-1][1] + found[-1][2]) == (one, other):
            found[-1] = (found[-1][0], found[-1][1], found[-1][2] + size)
        elif size:
            found.append((one, other, size))
    return found
