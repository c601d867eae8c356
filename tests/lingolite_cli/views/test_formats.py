"""Numbers and marked words of reports."""

from __future__ import annotations

import pytest

from lingolite_cli.evaluation.word_diff import word_diff
from lingolite_cli.views import formats


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (formats.megabytes(7_801_550), "7.80"),
        (formats.megabytes(28_934_112), "28.9"),
        (formats.megabytes(1_234_000_000), "1,234"),
        (formats.significant(0.01234), "0.0123"),
        (formats.limit(-0.25), "−0.25"),
        (formats.seen(None, 1.0), "–"),
        (formats.seen(7.80155, 12.0), "7.802"),
        (formats.seen(0.0065501, 0.5), "0.00655"),
        (formats.seen(12.00004, 12.0), "12.00004"),
        (formats.signed(-0.244), "−0.24"),
        (formats.signed(0.3), "+0.30"),
        (formats.signed(-0.001), "0.00"),
        (formats.percent(1.0), "100 %"),
        (formats.percent(0.99996), "99.9 %"),
        (formats.percent(0.5), "50 %"),
        (formats.duration(0.04), "0.0 s"),
        (formats.duration(61.25), "1 min 1 s"),
        (formats.duration(7325), "2 h 2 min"),
    ],
)
def test_numbers_read_well(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("en kat sad på måtten", "en hund sad ned på måtten"),
        ("", "noget"),
        ("ens", "ens"),
        ("alt er nyt", "intet gammelt"),
        (" ".join("ab" * 150), " ".join("ba" * 150)),
    ],
)
def test_marked_words_are_those_that_only_one_text_has(first: str, second: str) -> None:
    left, right = word_diff(first, second)
    assert " ".join(span.text for span in left) == first
    assert " ".join(span.text for span in right) == second
    kept = [[word for span in side if not span.is_changed for word in span.text.split()] for side in (left, right)]
    assert kept[0] == kept[1]
    if first == second:
        assert not any(span.is_changed for span in left + right)


def test_common_words_around_a_change_are_not_marked() -> None:
    left, right = word_diff("en kat sad", "en hund sad")
    assert [(span.text, span.is_changed) for span in left] == [("en", False), ("kat", True), ("sad", False)]
    assert [(span.text, span.is_changed) for span in right] == [("en", False), ("hund", True), ("sad", False)]
