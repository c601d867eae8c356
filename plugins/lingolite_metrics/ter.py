"""TER (Snover et al. 2006, "A Study of Translation Edit Rate"), as sacreBLEU's port of Tercom computes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sacrebleu.metrics import TER

from lingolite_metrics.corpus_metric import CorpusMetric
from lingolite_metrics.options import TerOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray


class Ter(CorpusMetric):
    """The metric `ter`: edits per 100 reference words; 0 is perfect and lower is better.

    A sentence's statistics are [edits to the nearest reference, mean reference length in words].
    """

    def __init__(self, *, options: TerOptions) -> None:
        super().__init__(
            TER(
                case_sensitive=options.case_sensitive,
                normalized=options.normalized,
                no_punct=options.no_punct,
                asian_support=options.asian_support,
            )
        )

    def details(self, result: Any) -> dict[str, float]:
        """The number of edits and the mean reference length in words."""
        return {"num_edits": float(result.num_edits), "ref_len": float(result.ref_length)}

    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] scores from [M, 2] sums. Edits against empty references count as 100."""
        edits, length = totals[:, 0], totals[:, 1]
        against_nothing = np.where(edits > 0, 1.0, 0.0)
        return 100.0 * np.divide(edits, length, out=against_nothing, where=length > 0)
