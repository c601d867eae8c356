"""Loops of anything, what people repeat, and what it costs to tell."""

from __future__ import annotations

import random

import pytest

from lingolite_cli.evaluation.repetition import has_unexcused_loop

ALPHABETS = {
    "dots": ".",
    "dashes": "-–—_=*",
    "digits": "123456789",
    "emoji": "😀🎉👍🏽🇩🇰",
    "zero-width": "\u200b\u200d\ufeff",
    "spaces": " \u00a0\u3000",
    "letters": "abcdefghijklmnopqrstuvwxyzæøå",
    "Chinese": "的一是不了人我在有他",
    "Arabic": "ابتثجحخ",
    "anything": "ab1. -😀的",
}


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_any_characters_that_repeat_are_a_loop(alphabet: str) -> None:
    """Units of one to 48 characters, wherever they begin, and not one repeat fewer than asked for."""
    draw = random.Random(1)
    for _ in range(150):
        unit = "".join(draw.choices(ALPHABETS[alphabet], k=draw.randrange(1, 49)))
        loop = unit * (8 if len(unit) < 8 else 4)
        assert has_unexcused_loop(f"Gem filen {loop} nu", ["Save the file now"]), loop
        assert has_unexcused_loop(loop, ["Save the file now", "Gem filen nu"]), loop


def test_words_that_repeat_are_a_loop_whatever_stands_between_them() -> None:
    draw = random.Random(2)
    words = "den røde kat sad på en måtte og så efter fuglen i træet".split()
    for _ in range(300):
        phrase = draw.sample(words, k=draw.randrange(1, 12))
        loop = "".join(word + draw.choice([" ", "  ", "\t"]) for word in phrase * 4)
        assert has_unexcused_loop(f"Se {loop} her", ["The red cat sat"]), loop
    assert has_unexcused_loop("og! og, og. og - og; og: og og og og", ["The cat"])
    assert has_unexcused_loop("og, og. og! og; og: og (og) og", ["The cat"])


@pytest.mark.parametrize(
    "text",
    [
        "Vent …",
        "Vent...",
        "Vent ......",
        "-----",
        "-------",
        "1000000",
        "1.000.000.000.000",
        "1000000000000000",
        "0,00000000001",
        "ha ha ha",
        "hahaha",
        "Nej, nej, nej!",
        "Så så så!",
        "255.255.255.255",
        "00:00:00:00:00:00",
        "00000000-0000-0000-0000-000000000001"[9:],
        "#ffffff",
        "www.example.dk",
        "IIIIIII",
        "den røde kat og den røde kat og den røde kat",
        "",
        " ",
    ],
)
def test_what_people_write_is_no_loop(text: str) -> None:
    assert not has_unexcused_loop(text, ["The cat"])


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("-" * 40, "-" * 36),
        ("| a | b |\n|---|---|---|---|---|---|---|---|", "| a | b |\n|---|---|---|---|---|---|---|---|"),
        ("+---+---+---+---+", "+---+---+---+---+"),
        ("Chapter 1 ............ 5", "Kapitel 1 ................ 5"),
        ("Name: ________", "Navn: ____________"),
        ("no no no no", "nej nej nej nej"),
        ("ha ha ha", "ha ha ha ha"),
        ("Nooooo!", "Neeeeeeeej!"),
        ("==== Results =====", "======== Resultater ========"),
        ("😀😀😀😀😀", "😀😀😀😀😀😀😀😀"),
        ("11111111", "11111111"),
        ("0x00000000000000000000", "0x00000000000000000000"),
        ("        indented", "        indrykket"),
        ("1 0 0 0 0 1", "1 0 0 0 0 1"),
    ],
)
def test_a_source_that_repeats_likewise_excuses(source: str, text: str) -> None:
    assert not has_unexcused_loop(text, [source])
    assert not has_unexcused_loop(text, ["Something else", source])


def test_a_text_excuses_itself() -> None:
    draw = random.Random(5)
    for _ in range(300):
        units = ["".join(draw.choices("ab-.1 😀", k=draw.randrange(1, 50))) for _ in range(3)]
        text = " og ".join(unit * draw.randrange(1, 40) for unit in units)
        assert not has_unexcused_loop(text, [text])


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Wait...", "Vent..........."),
        ("-----", "-" * 40),
        ("-" * 40, "og og og og og"),
        ("no no no no", "-" * 40),
        ("no no no no", "nej " * 40),
        ("12121212", "1" * 60),
        ("the the", "den den den den den"),
        ("Chapter 1 ............ 5", "Kapitel 1 " + "." * 400),
    ],
)
def test_a_source_that_repeats_otherwise_or_far_less_does_not(source: str, text: str) -> None:
    assert has_unexcused_loop(text, [source])


def test_sentences_of_random_words_have_none() -> None:
    draw = random.Random(3)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvæøå", k=draw.randrange(1, 12))) for _ in range(400)]
    for _ in range(2000):
        assert not has_unexcused_loop(" ".join(draw.choices(words, k=draw.randrange(1, 40))), [])


def _near_loops(draw: random.Random, length: int) -> str:
    """Units that come as often as they may, and are then broken off."""
    parts: list[str] = []
    while sum(map(len, parts)) < length:
        unit = "".join(draw.choices("abcdefgh", k=draw.randrange(1, 49)))
        parts.append(unit * (6 if len(unit) < 8 else 2) + draw.choice("xyz") * 2)
    return "".join(parts)


@pytest.mark.parametrize("kind", ["one token", "one character", "one word", "near", "numbers", "few letters"])
def test_a_long_text_is_searched_in_one_go(kind: str) -> None:
    """Time that grew with the square of the length would keep this test for hours."""
    draw = random.Random(4)
    text = {
        "one token": "".join(draw.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=200_000)),
        "one character": "." * 200_000,
        "one word": "og " * 60_000,
        "near": _near_loops(draw, 200_000),
        "numbers": " ".join(map(str, range(40_000))),
        "few letters": "".join(draw.choices("abcdef ", k=200_000)),
    }[kind]
    has_unexcused_loop(text, ["The cat"])
    assert not has_unexcused_loop(text, [text])
