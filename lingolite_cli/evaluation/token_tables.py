"""How the vocabularies of two tokenizers differ that should be the same."""

from __future__ import annotations

from collections.abc import Sequence

_MAX_SHIFT = 8


def describe_difference(reference: Sequence[str], candidate: Sequence[str]) -> str:
    """What differs, on one line.

    Args:
        reference: pieces by id.
        candidate: pieces by id.
    """
    if list(reference) == list(candidate):
        return "their pieces are the same, so it is scores or settings that differ"
    same = {shift: _num_same(reference, candidate, shift) for shift in range(-_MAX_SHIFT, _MAX_SHIFT + 1)}
    shift = max(same, key=lambda by: (same[by], -abs(by)))
    if shift and same[shift] > same[0]:
        return (
            f"token-table: {same[shift]:,} of {len(candidate):,} pieces have the id of the reference's {shift:+d}, "
            f"and {same[0]:,} have its own: the token table is shifted"
        )
    differing = max(len(reference), len(candidate)) - same[0]
    return f"{differing:,} of {len(candidate):,} pieces differ"


def _num_same(reference: Sequence[str], candidate: Sequence[str], shift: int) -> int:
    """Pieces that the candidate has `shift` ids after the reference."""
    moved = candidate[shift:] if shift > 0 else candidate
    original = reference[-shift:] if shift < 0 else reference
    return sum(one == other for one, other in zip(original, moved, strict=False))
