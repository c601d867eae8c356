"""Loops: text that a model repeats without end.

Owns what a loop is and when a person's text excuses it. A loop is a unit that comes several times in a row: of words,
of letters with anything between them, or of any characters (dots, digits, emoji, spaces). People repeat too, in table
rules, dotted leaders and laughter: a source or a reference that does likewise excuses a loop.

The cost is linear in the length of the text: units are bounded, and each position tries each length of a unit once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from lingolite_cli.evaluation.numerals import SEPARATORS

MIN_WORD_REPEATS = 4
"""How often words must come in a row."""
MIN_REPEATS = 8
"""How often characters must, as units of up to seven."""
MIN_LONG_REPEATS = 4
"""How often units of eight characters or more must: so many are no accident."""
MIN_ZEROS = 16
"""Zeros in a row: billions and their fractions have up to fifteen."""
_SHORT, _LONG = 7, 48  # units, in characters or words
_SYMBOLS = 0x110000  # characters that there are to stand for words
_MAX_MORE, _MAX_LONGER = 2, 3  # times the repeats, and the length, of the loop that excuses another
_MIN_EXCUSE = 3  # repeats: two alike are in many a sentence
_GROUPED = re.compile(rf"(?<=\d)[{SEPARATORS}](?=\d{{3}})")
_GRAM, _MIN_EQUAL_GRAMS = 5, 3  # any loop of characters has so many n-grams that are there already


class Loop(NamedTuple):
    """A unit that comes `repeats` times in a row, `length` characters in all.

    `kind` is `letters`, `digits`, `zeros` or `other`, by what the unit has.
    """

    kind: str
    repeats: int
    length: int


class _View(NamedTuple):
    """One way to read a text: each character of `text` is a word, where there are `words`, or else itself."""

    text: str
    words: list[str]

    def loops(self) -> Iterator[Loop]:
        """What counts as a loop."""
        if not self._may_have_loops():
            return
        for loop in self._matches(MIN_WORD_REPEATS if self.words else MIN_REPEATS, MIN_LONG_REPEATS):
            if self.words or loop.kind != "zeros" or loop.repeats >= MIN_ZEROS:
                yield loop

    def excuses(self, loop: Loop) -> bool:
        """Whether a unit of the same kind repeats here about as often, over about the same length."""
        least = max(_MIN_EXCUSE, -(-loop.repeats // _MAX_MORE))
        return any(
            other.kind == loop.kind and other.length * _MAX_LONGER >= loop.length
            for other in self._matches(least, least)
        )

    def _may_have_loops(self) -> bool:
        """False for most sentences, at a tenth of the cost of a search."""
        if self.words:
            return len(self.text) - len(self.words) >= MIN_WORD_REPEATS - 1
        grams = {self.text[start : start + _GRAM] for start in range(len(self.text) - _GRAM + 1)}
        return len(self.text) - _GRAM + 1 - len(grams) >= _MIN_EQUAL_GRAMS

    def _matches(self, short: int, long: int) -> Iterator[Loop]:
        for found in _pattern(short, long).finditer(self.text):
            unit = found[1] or found[2]
            spelled = "".join(self.words[ord(symbol)] for symbol in unit) if self.words else unit
            repeats = len(found[0]) // len(unit)
            yield Loop(_kind(spelled), repeats, repeats * len(spelled))


def has_unexcused_loop(text: str, people: Iterable[str]) -> bool:
    """Whether `text` has a loop that no text of `people` has likewise.

    Args:
        text: the translation.
        people: its source and references.
    """
    found = [loop for view in _views(text) for loop in view.loops()]
    if not found:
        return False
    others = [view for other in people for view in _views(other)]
    return any(not any(view.excuses(loop) for view in others) for loop in _largest(found))


def _largest(loops: Sequence[Loop]) -> Iterator[Loop]:
    """Of each kind, the loop with most repeats and the longest: a long text may have a hundred thousand others."""
    for kind in dict.fromkeys(loop.kind for loop in loops):
        own = [loop for loop in loops if loop.kind == kind]
        yield from {max(own, key=lambda loop: loop.repeats), max(own, key=lambda loop: loop.length)}


def _views(text: str) -> tuple[_View, ...]:
    """By words, by letters with anything between them, and as it stands; in small letters."""
    text = _GROUPED.sub("", text.lower())  # 1,000,000,000 and 1000000000 are one number
    written = text.split()
    words = list(dict.fromkeys(written))
    symbols = {word: chr(index % _SYMBOLS) for index, word in enumerate(words)}
    by_words = _View("".join(map(symbols.__getitem__, written)), words)
    return by_words, _View("".join(filter(str.isalpha, text)), []), _View(text, [])


@lru_cache(maxsize=64)
def _pattern(short: int, long: int) -> re.Pattern[str]:
    """Group 1 or 2 is the unit, which repeats `short` times or `long` times at least; the shortest is found first."""
    return re.compile(rf"(.{{1,{_SHORT}}}?)\1{{{short - 1},}}|(.{{{_SHORT + 1},{_LONG}}}?)\2{{{long - 1},}}", re.DOTALL)


def _kind(unit: str) -> str:
    if any(map(str.isalpha, unit)):
        return "letters"
    if set(unit) == {"0"}:
        return "zeros"
    return "digits" if any(map(str.isdigit, unit)) else "other"
