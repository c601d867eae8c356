"""Translations left in the source's language, told by the test set's own two languages."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from lingolite_cli.evaluation.faults import TranslatedSentence, compare_faults
from lingolite_cli.evaluation.language import LanguagePair

STARTER = Path(__file__).parents[3] / "recipes" / "starter-en-da"


def pairs(name: str) -> list[tuple[str, str]]:
    """Sources and references of one of the starter's sets."""
    rows = [line.split("\t") for line in (STARTER / f"{name}.en-da.tsv").read_text(encoding="utf-8").splitlines()]
    return [(row[0], row[1]) for row in rows]


@pytest.fixture(scope="module")
def english_danish() -> LanguagePair:
    """Learnt from the test set."""
    return LanguagePair(*zip(*pairs("test"), strict=True))


def test_evidence_is_that_of_naive_bayes() -> None:
    """Words of one letter pair each, counted by hand: n-grams of ` ab `, those of four letters included."""
    pair = LanguagePair(["ab ab", "ab"], ["ac"])
    first, second = Counter({"ab": 3}), Counter({"ac": 1})

    def ngrams(word: str) -> list[str]:
        padded = f" {word} "
        return [padded[start : start + n] for n in (1, 2, 3, 4) for start in range(len(padded) - n + 1)]

    counts = [Counter(gram for word in side.elements() for gram in ngrams(word)) for side in (first, second)]
    size = len({*counts[0], *counts[1]})

    def probability(gram: str, side: int) -> float:
        return (counts[side][gram] + 0.5) / (sum(counts[side].values()) + 0.5 * size)

    for word in ("ab", "ac", "abc", "xyz"):
        known = [gram for gram in ngrams(word) if gram in counts[0] or gram in counts[1]]
        expected = sum(math.log(probability(gram, 0) / probability(gram, 1)) for gram in known) / 4
        assert pair._evidence(word) == pytest.approx(expected, abs=1e-12)


def test_english_is_told_from_danish_on_text_that_it_was_not_learnt_from(english_danish: LanguagePair) -> None:
    """Short strings of software, by people: hardly a Danish one is taken for English, most English ones are found."""
    unseen = [pair for pair in pairs("dev") if pair[0] != pair[1]]
    assert len(unseen) > 900
    false = sum(english_danish.is_source_language(danish) for _, danish in unseen)
    found = sum(english_danish.is_source_language(english, [danish]) for english, danish in unseen)
    assert false / len(unseen) < 0.01
    assert found / len(unseen) > 0.95


def test_the_other_direction_is_told_too() -> None:
    danish_english = LanguagePair(*reversed(list(zip(*pairs("test"), strict=True))))
    unseen = [pair for pair in pairs("dev") if pair[0] != pair[1]][:300]
    assert sum(danish_english.is_source_language(english) for english, _ in unseen) <= 3
    assert sum(danish_english.is_source_language(danish, [english]) for english, danish in unseen) > 270


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("Open the selected file in another window", "Åbn den valgte fil i et andet vindue", True),
        ("Åbn den valgte fil i et andet vindue", "Åbn den valgte fil i et nyt vindue", False),
        ("Open the selected file in another window", "Open the selected file in another window", False),
        ("Choose whether these settings should be remembered", "Show the selected file in another window", False),
        ("WHETHER THE SELECTED FILE SHOULD OpenAnother WindowThrough", "Programmer", False),
        (
            "should another window whether remembered",
            "Skriv should another window whether remembered efter de ord, som du gerne vil have oversat til dansk, når "
            "de ikke allerede står her",
            False,
        ),
        ("See https://a.example/this/should/not/be/counted/whether/or/not", "Se", False),
        ("", "Intet", False),
        ("OK", "O.k.", False),
    ],
    ids=[
        "English",
        "Danish",
        "as the reference",
        "English reference",
        "names",
        "words of the reference",
        "address",
        "empty",
        "short",
    ],
)
def test_names_and_what_a_reference_says_are_no_evidence(
    english_danish: LanguagePair, text: str, reference: str, expected: bool
) -> None:
    assert english_danish.is_source_language(text, [reference]) is expected


def test_one_language_on_both_sides_shows_nothing() -> None:
    texts = [source for source, _ in pairs("test")[:50]]
    pair = LanguagePair(texts, texts)
    assert not any(pair.is_source_language(text) for text in texts)
    assert pair._evidence(texts[0]) == pytest.approx(0.0, abs=1e-9)


def test_untranslated_sentences_are_new_faults_of_the_candidate() -> None:
    rows = [pair for pair in pairs("test") if pair[0] != pair[1]][:120]
    reference = [TranslatedSentence(source, [danish], danish, is_finished=True) for source, danish in rows]
    other = "Choose whether these settings should be remembered"
    candidate = [
        TranslatedSentence(one.source, one.references, other, is_finished=True) if index in (7, 41) else one
        for index, one in enumerate(reference)
    ]
    found = {fault.kind: fault for fault in compare_faults(reference, candidate)}["languages"]
    assert (found.reference, found.candidate, found.new) == (0, 2, [7, 41])
