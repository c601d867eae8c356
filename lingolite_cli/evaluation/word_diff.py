"""Where two hypotheses differ, by words."""

from __future__ import annotations

from difflib import SequenceMatcher

import msgspec


class Span(msgspec.Struct, frozen=True):
    """A stretch of words, and whether the other text lacks it."""

    text: str
    is_changed: bool


def word_diff(first: str, second: str) -> tuple[list[Span], list[Span]]:
    """The spans of both texts, with what only one of them has marked."""
    left, right = first.split(), second.split()
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    spans: tuple[list[Span], list[Span]] = ([], [])
    for operation, left_start, left_end, right_start, right_end in matcher.get_opcodes():
        is_changed = operation != "equal"
        for words, side in ((left[left_start:left_end], 0), (right[right_start:right_end], 1)):
            if words:
                spans[side].append(Span(" ".join(words), is_changed))
    return spans
