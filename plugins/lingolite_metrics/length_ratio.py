"""Length ratio: how long translations are, compared with their references. N sentences, R references, M sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.plugins.interfaces import Score
from lingolite_metrics.corpus import check_corpus
from lingolite_metrics.options import LengthRatioOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray


class LengthRatio:
    """The metric `length-ratio`: length of all hypotheses in per cent of that of their references; 100 is the goal.

    A sentence's statistics are [its length, that of the reference nearest to it], the shorter of two as near.
    """

    def __init__(self, *, options: LengthRatioOptions) -> None:
        self._unit = options.unit

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
        """The ratio for N hypotheses and R streams of N references, in per cent.

        Raises:
            LingoLiteError: there is nothing to score, or the streams differ in length.
        """
        totals = self.statistics(hypotheses, references).sum(axis=0, keepdims=True)
        return Score(
            value=float(self.from_statistics(totals)[0]),
            signature=f"nrefs:{len(references)}|unit:{self._unit}|metric:length-ratio",
            details={"sys_len": float(totals[0, 0]), "ref_len": float(totals[0, 1])},
        )

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> StatisticsArray:
        """[N, 2] float64. Raises as `score`."""
        check_corpus(hypotheses, references)
        rows = []
        for hypothesis, known in zip(hypotheses, zip(*references, strict=True), strict=True):
            length = self._length(hypothesis)
            rows.append([length, min(map(self._length, known), key=lambda other: (abs(other - length), other))])
        return np.array(rows, dtype=np.float64)

    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] per cent from [M, 2] sums. References without any text count as one long."""
        return 100.0 * totals[:, 0] / np.maximum(totals[:, 1], 1.0)

    def _length(self, text: str) -> int:
        return len(text.split()) if self._unit == "words" else len(text.strip())
