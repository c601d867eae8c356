"""Numbers as languages write them: what is the same, what is another, and at what cost."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from lingolite_cli.evaluation.numerals import SEPARATORS, same_numbers


def grouped(digits: str, separator: str, *, is_indian: bool = False) -> str:
    """Digits with a separator before each three from the end, or in India before each two above the last three."""
    head, tail = digits[:-3], digits[-3:]
    size = 2 if is_indian else 3
    parts = [tail]
    while head:
        parts.insert(0, head[-size:])
        head = head[:-size]
    return separator.join(parts)


def danish(whole: str, decimals: str) -> str:
    return grouped(whole, ".") + (f",{decimals}" if decimals else "")


def english(whole: str, decimals: str) -> str:
    return grouped(whole, ",") + (f".{decimals}" if decimals else "")


WAYS: dict[str, Callable[[str, str], str]] = {
    "English": english,
    "Danish": danish,
    "Indian": lambda whole, decimals: grouped(whole, ",", is_indian=True) + (f".{decimals}" if decimals else ""),
    "Swiss": lambda whole, decimals: grouped(whole, "'") + (f".{decimals}" if decimals else ""),
    "Swiss, typeset": lambda whole, decimals: grouped(whole, "’") + (f".{decimals}" if decimals else ""),
    "French": lambda whole, decimals: grouped(whole, "\u202f") + (f",{decimals}" if decimals else ""),
    "thin spaces": lambda whole, decimals: grouped(whole, "\u2009") + (f",{decimals}" if decimals else ""),
    "no-break spaces": lambda whole, decimals: grouped(whole, "\u00a0") + (f",{decimals}" if decimals else ""),
    "spaces": lambda whole, decimals: grouped(whole, " ") + (f",{decimals}" if decimals else ""),
    "plain": lambda whole, decimals: whole + (f".{decimals}" if decimals else ""),
    "Arabic": lambda whole, decimals: "".join(
        chr(0x660 + int(digit)) if digit.isdigit() else {",": "٬", ".": "٫"}[digit]
        for digit in english(whole, decimals)
    ),
}


def some_numbers(seed: int, count: int) -> list[tuple[str, str]]:
    """Whole parts and decimals, of one to nine digits and none to four."""
    draw = random.Random(seed)
    return [
        (str(draw.randrange(1, 10 ** draw.randrange(1, 10))), "".join(draw.choices("0123456789", k=draw.randrange(5))))
        for _ in range(count)
    ]


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_a_number_is_the_same_in_every_language(first: str, second: str) -> None:
    for whole, decimals in some_numbers(1, 150):
        one, other = WAYS[first](whole, decimals), WAYS[second](whole, decimals)
        assert same_numbers(f"Om {one} kr.", f"Of {other} kr"), (one, other)


@pytest.mark.parametrize("way", WAYS)
def test_a_decimal_point_that_moved_makes_another_number(way: str) -> None:
    """One, two and four decimals tell by themselves that they are some; three may be a group as well."""
    for whole, decimals in some_numbers(2, 300):
        if len(decimals) in (1, 2, 4):
            written, digits = WAYS[way](whole, decimals), whole + decimals
            for moved in range(1, len(digits) + 1):
                if moved != len(whole):
                    for other in (english, danish):
                        wrong = other(digits[:moved], digits[moved:])
                        assert not same_numbers(f"{written} kg", f"{wrong} kg"), (written, wrong)


@pytest.mark.parametrize("way", WAYS)
def test_another_digit_makes_another_number(way: str) -> None:
    draw = random.Random(3)
    for whole, decimals in some_numbers(4, 300):
        place = draw.randrange(len(whole))
        other = whole[:place] + str((int(whole[place]) + draw.randrange(1, 9)) % 10) + whole[place + 1 :]
        assert not same_numbers(WAYS[way](whole, decimals), WAYS[way](other, decimals))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.5", "1,5"),
        ("1,000 of 2.5", "2,5 af 1.000"),
        ("3.142", "3,142"),
        ("12,34,567.89", "1.234.567,89"),
        ("10 000", "10.000"),
        ("on 12/31/2024", "den 31.12.2024"),
        ("on 2024-02-01", "den 1.2.2024"),
        ("1,2,3", "1, 2, 3"),
        ("GIMP-2.10.10.", "GIMP 2.10.10,"),
        ("127.0.0.1:8080", "127.0.0.1: 8080"),
        ("0x1F", "0X1f"),
        ("１２３", "123"),
        ("१२३", "123"),
        ("5'6 tall", "5' 6 høj"),
        ("1_000_000", "1000000"),
        ("page 5 10", "side 10 5"),
        ("no number", "intet tal"),
    ],
)
def test_same(one: str, other: str) -> None:
    assert same_numbers(one, other)
    assert same_numbers(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1.5", "15"),
        ("1,234.5", "12,345"),
        ("1,234.5", "1.2345"),
        ("0.125", "125"),
        ("0.125", "0125"),
        ("1234.567", "1234567"),
        ("2.50", "2.5"),
        ("10.5 and 1.05", "1.05 and 1.05"),
        ("1.000 and 1.000", "1.000"),
        ("1.1.2", "1.2.1"),
        ("192.0.2.1", "192.0.21"),
        ("0x1F", "0x1E"),
        ("0x10", "10"),
        ("on 31.12.2024", "on 31.12.2023"),
        ("2 of 3", "3 of 3"),
        ("05", "5"),
    ],
)
def test_another(one: str, other: str) -> None:
    assert not same_numbers(one, other)
    assert not same_numbers(other, one)


def test_what_is_read_in_two_ways_stands_for_one_number_only() -> None:
    """1.234 and 1,234 may be the thousands or the decimals, so one of each may be paired, and no more."""
    assert same_numbers("1.234 and 1,234", "1234 and 1,234")
    assert same_numbers("1.234 1,234 5", "1234 1.234 5")
    assert not same_numbers("1234 and 1234", "1.234 and 1234.0")
    assert not same_numbers("0.125 and 0.125", "0.125 and 0125")


def test_whatever_separators_and_digits_come_together_is_the_same_as_itself() -> None:
    draw = random.Random(5)
    for _ in range(3000):
        text = "".join(draw.choices(f"0123456789 /-x%{SEPARATORS}", k=draw.randrange(1, 40)))
        assert same_numbers(text, text)
        assert same_numbers(text, f" {text} ")


@pytest.mark.parametrize(
    "unit", ["1", "1.", "1,2.3 ", "123 ", "0x", "1/1/", "1.1.2024 ", "QUJD", "12 ", "1'", "\u0661", "a1@"]
)
def test_a_long_text_is_read_in_one_go(unit: str) -> None:
    """Time that grew with the square of the length would keep this test for hours."""
    text = unit * (200_000 // len(unit))
    assert same_numbers(f"{text} 12", f"{text} 12")
    assert not same_numbers(f"{text} 77 ", f"{text} 78 ")
