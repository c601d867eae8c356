"""A metric whose score is not a number."""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.plugins.specs import NoOptions


class Unsure:
    """Divides by nothing."""

    def __init__(self, *, options: NoOptions) -> None:
        self._options = options

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
        """Not a number."""
        return Score(value=float("nan"), signature="unsure")
