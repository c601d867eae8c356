"""How intervals are written."""

from __future__ import annotations

import pytest

from lingolite_cli.evaluation.intervals import SIGNED, SIGNIFICANT, Write, bracketed, spelled, with_interval


@pytest.mark.parametrize(
    ("low", "high", "write", "expected"),
    [
        (-0.416, 0.104, SIGNED, "[-0.42, +0.10]"),
        (0.0, 12.3456, SIGNIFICANT, "[0, 12.35]"),
        (None, None, SIGNED, ""),
        (None, 0.5, SIGNED, ""),
    ],
)
def test_brackets_hold_both_ends_or_nothing(low: float | None, high: float | None, write: Write, expected: str) -> None:
    assert bracketed(low, high, write) == expected


def test_in_words_the_ends_are_joined_as_the_caller_says() -> None:
    assert spelled(-0.416, 0.104) == "-0.42 to +0.10"
    assert spelled(1.004, 1.256, "{:.2f}".format, between="–") == "1.00–1.26"
    assert spelled(None, None) == ""


def test_a_figure_without_an_interval_stands_alone() -> None:
    assert with_interval(-0.156, -0.416, 0.104) == "-0.16 [-0.42, +0.10]"
    assert with_interval(-0.156, None, None) == "-0.16"
    assert with_interval(1234.5, 1200.0, 1300.0, "{:,.1f}".format) == "1,234.5 [1,200.0, 1,300.0]"
