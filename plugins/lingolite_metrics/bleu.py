"""BLEU (Papineni et al. 2002, P02-1040), as sacreBLEU computes it (Post 2018, W18-6319)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sacrebleu.metrics import BLEU

from lingolite_metrics.corpus_metric import CorpusMetric
from lingolite_metrics.options import BleuOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray

MAX_ORDER = 4


class Bleu(CorpusMetric):
    """The metric `bleu`, 0 to 100.

    A sentence's statistics are [hypothesis length, reference length, 4 match counts, 4 n-gram counts].
    """

    def __init__(self, *, options: BleuOptions) -> None:
        super().__init__(
            BLEU(
                tokenize=options.tokenize,
                lowercase=options.lowercase,
                smooth_method=options.smooth_method,
                smooth_value=options.smooth_value,
                max_ngram_order=MAX_ORDER,
            )
        )
        self._smooth_method = options.smooth_method
        default = BLEU.SMOOTH_DEFAULTS[options.smooth_method] or 0.0
        self._smooth_value = default if options.smooth_value is None else options.smooth_value

    def details(self, result: Any) -> dict[str, float]:
        """N-gram precisions in per cent, the brevity penalty, and lengths in tokens of the tokenizer."""
        precisions = {f"bleu_{n}": float(value) for n, value in enumerate(result.precisions, start=1)}
        return {**precisions, "bp": float(result.bp), "sys_len": result.sys_len, "ref_len": result.ref_len}

    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] scores from [M, 10] sums, as `sacrebleu.metrics.BLEU.compute_bleu` computes one."""
        precisions = self._precisions(totals[:, 2 : 2 + MAX_ORDER], totals[:, 2 + MAX_ORDER :])
        with np.errstate(divide="ignore"):  # a precision of 0 makes the score 0: exp(-inf)
            scores = _brevity_penalty(totals[:, 0], totals[:, 1]) * np.exp(np.log(precisions).mean(axis=1))
        has_match = totals[:, 2 : 2 + MAX_ORDER].any(axis=1)
        return np.where(has_match, scores, 0.0)

    def _precisions(self, matches: StatisticsArray, counts: StatisticsArray) -> StatisticsArray:
        """[M, 4] smoothed n-gram precisions in per cent; 0 for an order without n-grams."""
        if self._smooth_method == "add-k":
            added = np.array([0.0, *[self._smooth_value] * (MAX_ORDER - 1)])
            matches, counts = matches + added, counts + added
        smoothed = matches.copy()
        if self._smooth_method == "floor":
            smoothed[matches == 0] = self._smooth_value
        elif self._smooth_method == "exp":  # the k-th order without a match counts as 1 / 2^k of a match
            is_zero = matches == 0
            smoothed[is_zero] = (0.5 ** np.cumsum(is_zero, axis=1))[is_zero]
        return np.divide(100.0 * smoothed, counts, out=np.zeros_like(smoothed), where=counts > 0)


def _brevity_penalty(hypothesis_length: StatisticsArray, reference_length: StatisticsArray) -> StatisticsArray:
    """[M] in (0, 1]: exp(1 - r/h) where the hypotheses are shorter than the references."""
    ratio = np.divide(
        reference_length,
        hypothesis_length,
        out=np.full_like(reference_length, np.inf),
        where=hypothesis_length > 0,
    )
    return np.exp(np.minimum(1.0 - ratio, 0.0))
