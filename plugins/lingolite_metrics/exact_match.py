"""Exact match: how many translations are, character for character, a reference. N sentences, R references, M sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.plugins.interfaces import Score
from lingolite_metrics.corpus import check_corpus
from lingolite_metrics.options import ExactMatchOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray


class ExactMatch:
    """The metric `exact-match`: per cent of hypotheses that equal a reference, ignoring white space at the ends.

    A sentence's statistics are [1 if it is, 1].
    """

    def __init__(self, *, options: ExactMatchOptions) -> None:
        self._options = options

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
        """The share of N hypotheses that are among R references, in per cent.

        Raises:
            LingoLiteError: there is nothing to score, or the streams differ in length.
        """
        totals = self.statistics(hypotheses, references).sum(axis=0, keepdims=True)
        case = "lc" if self._options.lowercase else "mixed"
        return Score(
            value=float(self.from_statistics(totals)[0]),
            signature=f"nrefs:{len(references)}|case:{case}|metric:exact-match",
            details={"num_matches": float(totals[0, 0])},
        )

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> StatisticsArray:
        """[N, 2] float64. Raises as `score`."""
        check_corpus(hypotheses, references)
        alternatives = zip(*references, strict=True)
        is_match = [
            self._plain(text) in map(self._plain, known) for text, known in zip(hypotheses, alternatives, strict=True)
        ]
        return np.stack([np.array(is_match, dtype=np.float64), np.ones(len(is_match))], axis=1)

    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] per cent from [M, 2] sums."""
        return 100.0 * totals[:, 0] / totals[:, 1]

    def _plain(self, text: str) -> str:
        return text.strip().lower() if self._options.lowercase else text.strip()
