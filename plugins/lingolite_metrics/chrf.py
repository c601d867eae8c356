"""chrF and chrF++ (Popović 2015, W15-3049; 2017, W17-4770), as sacreBLEU computes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sacrebleu.metrics import CHRF

from lingolite_metrics.corpus_metric import CorpusMetric
from lingolite_metrics.options import ChrfOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray


class Chrf(CorpusMetric):
    """The metrics `chrf` and `chrfpp`, 0 to 100.

    A sentence's statistics are [hypothesis, reference, match] counts for each n-gram order, characters first.
    Against several references they are those of the reference with the best score.
    """

    def __init__(self, *, options: ChrfOptions) -> None:
        super().__init__(
            CHRF(
                char_order=options.char_order,
                word_order=options.word_order,
                beta=options.beta,
                lowercase=options.lowercase,
                whitespace=options.whitespace,
            )
        )
        self._beta_squared = float(options.beta**2)

    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] scores from [M, 3 · orders] sums: the F-score of precision and recall averaged over the orders
        that occur in hypotheses and references.
        """
        hypothesis, reference, match = totals[:, 0::3], totals[:, 1::3], totals[:, 2::3]
        occurs = (hypothesis > 0) & (reference > 0)
        zeros = np.zeros_like(match)
        precision = np.divide(match, hypothesis, out=zeros.copy(), where=occurs).sum(axis=1)
        recall = np.divide(match, reference, out=zeros, where=occurs).sum(axis=1)
        num_orders = np.maximum(occurs.sum(axis=1), 1)
        precision, recall = precision / num_orders, recall / num_orders
        weighted = self._beta_squared * precision + recall
        product = 100.0 * (1.0 + self._beta_squared) * precision * recall
        scores: StatisticsArray = np.divide(product, weighted, out=np.zeros_like(weighted), where=weighted > 0)
        return scores
