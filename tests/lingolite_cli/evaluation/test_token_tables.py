"""How two tables of pieces differ."""

from __future__ import annotations

import pytest

from lingolite_cli.evaluation.token_tables import describe_difference

PIECES = ["<pad>", "<s>", *(f"piece {number}" for number in range(50))]


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (PIECES, "their pieces are the same, so it is scores or settings that differ"),
        ([*PIECES[:9], "another", *PIECES[10:]], "1 of 52 pieces differ"),
        (
            [*PIECES[:9], "more", *PIECES[9:]],
            "token-table: 43 of 53 pieces have the id of the reference's +1, and 9 have its own: "
            "the token table is shifted",
        ),
        (
            [*PIECES[:9], *PIECES[11:]],
            "token-table: 41 of 50 pieces have the id of the reference's -2, and 9 have its own: "
            "the token table is shifted",
        ),
    ],
    ids=["same", "one piece", "one more", "two less"],
)
def test_a_constant_shift_is_told_from_other_differences(candidate: list[str], expected: str) -> None:
    assert describe_difference(PIECES, candidate) == expected
