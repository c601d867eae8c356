"""The numbers in a text, whichever way its language writes them.

Owns what is one number and when two texts have the same. Languages group digits and mark decimals differently: 1,234.5
in English is 1.234,5 in Danish and German, 1 234,5 in French, 1'234.5 in Switzerland; India groups as 12,34,567.
A separator may go, come or be another, but a decimal point stays where it is: 1.5 is not 15. Where one text can be read
both ways (1.234), either reading will do. Versions and IP addresses keep their order; dates may change theirs.

The cost is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

_SPACES = "\u00a0\u2002-\u200a\u202f"
_APOSTROPHES = "'’ʼ＇"
_DECIMALS = ".,·٫．，"
_GROUPS_ONLY = "٬_"
SEPARATORS = f"{_SPACES}{_APOSTROPHES}{_DECIMALS}{_GROUPS_ONLY}"
"""Between digits, as the inside of a character class: what may group them or mark decimals."""
AMBIGUOUS = -1
"""Decimals of what is read as grouped or as three decimals, such as 1.234."""

_TOKEN = re.compile(
    r"(?P<hex>\b0[xX][0-9a-fA-F]+)"
    r"|(?P<date>(?<![\d.,/])(?:"
    r"\d{1,2}\.\d{1,2}\.\d{4}|\d{4}\.\d{1,2}\.\d{1,2}|\d\d\.\d\d\.\d\d"
    r"|\d{1,2}([/-])\d{1,2}\3(?:\d{4}|\d{2})|\d{4}([/-])\d{1,2}\4\d{1,2})(?![./-]?\d))"
    rf"|(?P<number>\d+(?:[{SEPARATORS}]\d+)*)"
)
_SEPARATOR = re.compile(rf"[{SEPARATORS}]")
# No start inside a run of such groups: else a long run would be tried from each of them.
_SPACED = re.compile(r"(?<![\d.,])(?<!\d )(\d{1,3}(?: \d{3})+)(?! ?\d)")


class Number(NamedTuple):
    """The digits of a number without separators, and how many of them are decimals."""

    digits: str
    decimals: int


Numbers = Counter[Number]


def find_numbers(text: str) -> Numbers:
    """The numbers of a text and how often each is there, with digits of any script as 0 to 9."""
    return Counter(number for token in _TOKEN.finditer(_plain_digits(text)) for number in _read(token))


def same_numbers(first: str, second: str) -> bool:
    """Whether two texts have the same numbers as often, in any order, in one way of reading them.

    A space may group digits as well (10 000), or part two numbers: with spaces there are two ways.
    """
    numbers = [find_numbers(text) for text in (first, second)]
    if _agree(*numbers):
        return True
    joined = [_SPACED.sub(_joined, text) for text in (first, second)]
    if joined == [first, second]:
        return False
    ways = [[own, find_numbers(text)] for own, text in zip(numbers, joined, strict=True)]
    return any(_agree(one, other) for one in ways[0] for other in ways[1])


def _joined(spaced: re.Match[str]) -> str:
    return spaced[1].replace(" ", "")


def _plain_digits(text: str) -> str:
    return text if text.isascii() else re.sub(r"[^\D0-9]", lambda digit: str(int(digit[0])), text)


def _read(token: re.Match[str]) -> Iterator[Number]:
    """One number, or those that a list or a date has."""
    text = token[0]
    if token["hex"]:
        yield Number(text.lower(), 0)
    elif token["date"]:
        yield from (Number(part.lstrip("0") or "0", 0) for part in re.split(r"[./-]", text))
    else:
        yield from _read_number(_SEPARATOR.split(text), _SEPARATOR.findall(text))


def _read_number(parts: list[str], marks: list[str]) -> Iterator[Number]:
    """From groups of digits, and the separators between them."""
    digits, last = "".join(parts), len(parts[-1])
    can_end_in_decimals = bool(marks) and marks[-1] in _DECIMALS
    if not marks or (len(marks) > 1 and _is_grouped(parts, marks)):
        yield Number(digits, 0)
    elif len(marks) == 1:
        is_grouped = _is_grouped(parts, marks)
        if can_end_in_decimals:
            yield Number(digits, AMBIGUOUS if is_grouped else last)
        else:
            yield from [Number(digits, 0)] if is_grouped else [Number(part, 0) for part in parts]
    elif can_end_in_decimals and marks[-1] not in marks[:-1] and _is_grouped(parts[:-1], marks[:-1]):
        yield Number(digits, last)
    elif set(marks) == {"."}:
        yield Number(".".join(parts), 0)  # a version or an address: parts may not change places
    else:
        yield from (Number(part, 0) for part in parts)


def _is_grouped(parts: list[str], marks: list[str]) -> bool:
    """Whether separators group digits: by three, or by two before the last three as in India."""
    first, *middle, last = parts
    if len(set(marks)) > 1 or first.startswith("0") or len(last) != 3:
        return False
    by_three = len(first) <= 3 and all(len(part) == 3 for part in middle)
    return by_three or (len(first) <= 2 and all(len(part) == 2 for part in middle))


def _agree(first: Numbers, second: Numbers) -> bool:
    """Whether the numbers can be paired: those read in two ways go with either (Hall's condition)."""
    if first == second:
        return True
    spelled = [Counter(number.digits for number in numbers.elements()) for numbers in (first, second)]
    return spelled[0] == spelled[1] and _covers(first, second) and _covers(second, first)


def _covers(first: Numbers, second: Numbers) -> bool:
    """Whether numbers that `first` reads in one way are in `second` as often, read so or in two ways."""
    return all(
        count <= second[number] + (second[Number(number.digits, AMBIGUOUS)] if number.decimals in (0, 3) else 0)
        for number, count in first.items()
        if number.decimals != AMBIGUOUS
    )
