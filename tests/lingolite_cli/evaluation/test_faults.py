"""What is a fault of a translation and what is none, kind by kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from lingolite_cli.evaluation.faults import FAULT_KINDS, FAULTS, TranslatedSentence, compare_faults, find_faults

FAULTY = [
    ("loops", "The cat sat.", "Katten sad.", "den røde kat den røde kat den røde kat den røde kat"),
    ("loops", "The cat sat.", "Katten sad.", "og og og og"),
    ("loops", "the cat sat", "kat", "hahahahahahahahahaha"),
    ("loops", "Wait…", "Vent…", "Vent...................."),
    ("loops", "In 1999", "I 1999", "I 1999 1111111111111111111"),
    ("loops", "Well done!", "Godt gået!", "Godt gået! 🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉"),
    ("loops", "Save the file", "Gem filen", "Gem filen" + "\u200b" * 40),
    ("loops", "保存文件", "Gem filen", "保存该文件到磁盘上去吧" * 5),
    ("copies", "Open the red door now", "Åbn den røde dør nu", "open the red  door now"),
    ("empty", "Hello", "Hej", "  "),
    ("empty", "Hello", "Hej", ""),
    ("empty", "Hello", "Hej", "\u200b\u200d\ufeff"),
    ("empty", "Hello", "Hej", "\x00\x07\x1b\x9b"),
    ("empty", "Hello", "Hej", "\u00a0\u3000\u2009\n\t"),
    ("empty", "Hello", "Hej", "\u3164\u2800\ufe0f\u034f\U000e0041"),
    ("lengths", "Open the door", "Åbn døren", "Åbn døren " * 5),
    ("lengths", "Open the old red door now", "Åbn den gamle røde dør nu", "Dør"),
    ("scripts", "Open the door", "Åbn døren", "Åbn дверь"),
    ("scripts", "Open the door", "Åbn døren", "门 døren"),
    ("numbers", "Wait 10 minutes", "Vent 10 minutter", "Vent 100 minutter"),
    ("numbers", "Wait 10 minutes", "Vent 10 minutter", "Vent minutter"),
    ("numbers", "In 1 of 3 cases", "I 1 af 3", "I 1 af 3 af 3"),
    ("numbers", "1.5 litres", "1,5 liter", "15 liter"),
    ("numbers", "It costs 1,234.5 kr", "Det koster 1.234,5 kr", "Det koster 12.345 kr"),
    ("urls", "See https://a.example/b.", "Se https://a.example/b.", "Se https://a.example/c."),
    ("urls", "Ask me@a.example", "Spørg me@a.example", "Spørg"),
    ("placeholders", "%d of %s", "%d af %s", "%d af s"),
    ("placeholders", "%(name)s is here", "%(name)s er her", "%(navn)s er her"),
    ("placeholders", "Hello {name}", "Hej {name}", "Hej {navn}"),
    ("placeholders", "In ${HOME}", "I ${HOME}", "I HOME"),
    ("placeholders", "%1 of %2", "%1 af %2", "%1 af %1"),
    ("placeholders", "%1$s here", "%1$s her", "%2$s her"),
    ("tags", "A <b>bold</b> cat", "En <b>fed</b> kat", "En <b>fed<b> kat"),
    ("tags", "Line<br/>break", "Linje<br/>skift", "Linjeskift"),
]
SOUND = [
    ("loops", "no no no no", "nej nej nej nej", "nej nej nej nej"),
    ("loops", "The cat sat.", "Katten sad.", "den røde kat og den røde kat og den røde kat"),
    ("copies", "GNU Image Manipulation Program", "GNU Image Manipulation Program", "GNU Image Manipulation Program"),
    ("copies", "LibreOffice Writer Calc", "x", "LibreOffice Writer Calc"),
    ("lengths", "OK", "Godkend", "Godkend dette"),
    ("scripts", "The letter Ω", "Bogstavet Ω", "Bogstavet Ω"),
    ("scripts", "5 µm", "5 µm", "5 µm"),
    ("numbers", "1,000 cats in 2.5 s", "1.000 katte på 2,5 s", "1.000 katte på 2,5 s"),
    ("numbers", "Two cats", "2 katte", "2 katte"),
    ("numbers", "12,345.5 km", "12.345,5 km", "12\u202f345,5 km"),
    ("numbers", "12,345.5 km", "12'345.5 km", "12 345,5 km"),
    ("empty", " ", "", ""),
    ("empty", "Yes", "Ja", "·"),
    ("empty", "Fine", "Fint", "👍🏽"),
    ("empty", "Price", "Pris", "\ue000"),
    ("urls", "See https://a.example/b.", "Se https://a.example/b", "Se »https://a.example/b«".replace("«", " ")),
    ("placeholders", "100% of cats", "100 % af katte", "100 % af katte"),
    ("placeholders", "50% discount", "50 % rabat", "50 % rabat"),
    ("tags", "a < b > c", "a < b > c", "a større end b"),
]


def translation(source: str, reference: str, hypothesis: str) -> TranslatedSentence:
    return TranslatedSentence(source, [reference], hypothesis, is_finished=True)


@pytest.mark.parametrize(("kind", "source", "reference", "hypothesis"), FAULTY)
def test_fault_is_found_and_a_reference_excuses_it(kind: str, source: str, reference: str, hypothesis: str) -> None:
    assert FAULTS[kind](translation(source, reference, hypothesis))
    assert not FAULTS[kind](translation(source, reference, reference))
    if kind in ("copies", "lengths", "scripts", "numbers", "urls", "placeholders", "tags"):
        assert not FAULTS[kind](translation(source, hypothesis, hypothesis))


@pytest.mark.parametrize(("kind", "source", "reference", "hypothesis"), SOUND)
def test_sound_translation_has_no_fault(kind: str, source: str, reference: str, hypothesis: str) -> None:
    assert not FAULTS[kind](translation(source, reference, hypothesis))


LONG_TOKENS = [
    "QUJD",
    "a",
    "a.",
    "a@",
    "a@b.",
    "@",
    "0",
    "%0",
    "%1",
    "%1$",
    "%(",
    "{{",
    "${a",
    "<a ",
    "<",
    "www.",
    "ħ-",
    "og ",
]


@pytest.mark.parametrize("unit", LONG_TOKENS)
@pytest.mark.parametrize("start", ["", "%"])
def test_a_long_token_is_tested_in_one_go(unit: str, start: str) -> None:
    """Time that grew with the square of the length would keep this test for hours."""
    text = start + unit * (60_000 // len(unit))
    own = TranslatedSentence("The cat sat.", ["Katten sad."], text, is_finished=True)
    assert "lengths" in find_faults([own])[0]
    assert find_faults([translation(text, text, text)]) == [()]


def test_faults_of_the_same_translations_are_looked_for_once() -> None:
    """As each reporter of a run asks for them, besides `verify`; of other translations they are looked for anew."""
    visited: list[str] = []

    def track(translations: Sequence[TranslatedSentence]) -> Iterator[TranslatedSentence]:
        for one in translations:
            visited.append(one.hypothesis)
            yield one

    def asked(*hypotheses: str) -> list[tuple[str, ...]]:
        own = [translation("Wait 12 seconds", "Vent 12 sekunder", hypothesis) for hypothesis in hypotheses]
        return find_faults(own, track=track)

    assert asked("Vent 12 sekunder", "Vent 1.2 sekunder") == [(), ("numbers",)]
    assert asked("Vent 12 sekunder", "Vent 1.2 sekunder") == [(), ("numbers",)]
    assert visited == ["Vent 12 sekunder", "Vent 1.2 sekunder"]
    assert asked("Vent 12 sekunder", "") == [(), ("empty", "numbers")]
    assert visited[2:] == ["Vent 12 sekunder", ""]


def test_unfinished_is_what_the_search_says() -> None:
    assert FAULTS["unfinished"](TranslatedSentence("a", ["b"], "b", is_finished=False))
    assert not FAULTS["unfinished"](TranslatedSentence("a", ["b"], "b", is_finished=True))


def test_new_faults_are_those_of_the_candidate_alone() -> None:
    texts = [
        ("Wait 10 s", "Vent 10 s"),
        ("Wait 11 s", "Vent 11 s"),
        ("Wait 12 s", "Vent 12 s"),
        ("Wait 13 s", "Vent 13 s"),
    ]
    reference = [translation(*texts[0], "Vent 1 s"), *(translation(*text, text[1]) for text in texts[1:])]
    candidate = [
        translation(*texts[0], "Vent s"),
        translation(*texts[1], "Vent s"),
        translation(*texts[2], "Vent 12 s"),
        translation(*texts[3], ""),
    ]
    found = {fault.kind: fault for fault in compare_faults(reference, candidate)}
    assert tuple(found) == FAULT_KINDS
    numbers = found["numbers"]
    assert (numbers.reference, numbers.candidate, numbers.new) == (1, 3, [1, 3])
    assert (found["empty"].reference, found["empty"].candidate, found["empty"].new) == (0, 1, [3])
    assert found["tags"].new == []
