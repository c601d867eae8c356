"""Words that differ: as `difflib` finds them in ordinary sentences, and bounded in loops and long texts."""

from __future__ import annotations

import random
from difflib import SequenceMatcher

import pytest

from lingolite_cli.evaluation.word_diff import Span, word_diff

WORDS = "the of a cat sat on mat dog ran to in fog red house blue boat and then it was".split()


def by_difflib(first: str, second: str) -> tuple[list[Span], list[Span]]:
    left, right = first.split(), second.split()
    spans: tuple[list[Span], list[Span]] = ([], [])
    for operation, *ends in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for side, (words, start, end) in enumerate(((left, *ends[:2]), (right, *ends[2:]))):
            if start < end:
                spans[side].append(Span(" ".join(words[start:end]), operation != "equal"))
    return spans


def kept(spans: list[Span]) -> list[str]:
    return [word for span in spans if not span.is_changed for word in span.text.split()]


def test_ordinary_sentences_are_compared_as_by_difflib() -> None:
    generator = random.Random(1)
    for _ in range(500):
        first = [generator.choice(WORDS) for _ in range(generator.randrange(60))]
        second = [word if generator.random() > 0.2 else generator.choice(WORDS) for word in first]
        texts = " ".join(first), " ".join(second)
        assert word_diff(*texts) == by_difflib(*texts)


UNLIKE = [f"u{number}" for number in range(8000)]
LOOPS = {
    "one word": (["the"] * 8000, ["the"] * 7990 + ["x"]),
    "words that take turns": (["a", "b"] * 4000, ["b", "a", "c"] * 3000),
    "one word among others": (["the"] * 4000, ["the", "x"] * 2000),
    "no word twice": (UNLIKE, UNLIKE[::-1]),
    "every other word": (
        [word for own in UNLIKE for word in (own, "x")],
        [word for own in UNLIKE for word in (own, "y")],
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_and_long_texts_are_compared_in_bounded_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    class Counted(SequenceMatcher):  # type: ignore[type-arg]
        def find_longest_match(self, *ends: int) -> object:  # type: ignore[override]
            compared.append(ends[1] - ends[0] + ends[3] - ends[2])
            return super().find_longest_match(*ends)

    monkeypatch.setattr("lingolite_cli.evaluation.word_diff.SequenceMatcher", Counted)
    first, second = LOOPS[name]
    found = word_diff(" ".join(first), " ".join(second))
    assert [" ".join(span.text for span in side).split() for side in found] == [first, second]
    assert kept(found[0]) == kept(found[1])
    assert sum(compared) <= 4 * (len(first) + len(second))


def test_long_text_is_compared_around_words_that_are_once_in_it() -> None:
    generator = random.Random(2)
    first = [f"{generator.choice(WORDS)}{generator.randrange(2000)}" for _ in range(5000)]
    second = [word if generator.random() > 0.05 else "changed" for word in first]
    found = word_diff(" ".join(first), " ".join(second))
    same = sum(one == other for one, other in zip(first, second, strict=True))
    assert len(kept(found[0])) >= 0.99 * same
    assert any(span.is_changed for span in found[1])


def test_both_ends_of_loops_are_found() -> None:
    loop = " ".join(["og"] * 3000)
    first, second = word_diff(f"Han gik {loop} hjem", f"Han gik ud {loop} {loop} hjem")
    assert (first[0], second[0]) == (Span("Han gik", False), Span("Han gik", False))
    assert first[-1].text.endswith("hjem")
    assert not first[-1].is_changed
