"""What sacreBLEU's metrics share: sacreBLEU's statistics of each sentence, and the score it makes of their sums.

A metric here never computes a figure of its own: `score` is sacreBLEU's, on sacreBLEU's statistics. Only
`from_statistics`, which resampling calls for thousands of sums at once, is written in numpy, by each metric.
N sentences, R reference streams, K statistics, M sums.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lingolite_cli.plugins.interfaces import Score
from lingolite_metrics.corpus import check_corpus

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray


class CorpusMetric(ABC):
    """A sacreBLEU metric behind the `Metric` interface.

    Args:
        metric: a `sacrebleu.metrics.Metric`; Any, as sacreBLEU is checked as untyped.
    """

    def __init__(self, metric: Any) -> None:
        self._metric = metric

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
        """The corpus score of N hypotheses against R streams of N references.

        Raises:
            LingoLiteError: there is nothing to score, or the streams differ in length.
        """
        result = self._metric._aggregate_and_compute(self._extract(hypotheses, references))
        return Score(
            value=float(result.score),
            signature=str(self._metric.get_signature()),
            details=self.details(result),
        )

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> StatisticsArray:
        """[N, K] float64: sacreBLEU's own sufficient statistics, one row a sentence. Raises as `score`."""
        return np.asarray(self._extract(hypotheses, references), dtype=np.float64)

    @abstractmethod
    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] float64 corpus scores from [M, K] summed statistics, equal to sacreBLEU's to 1e-9."""

    def details(self, result: Any) -> dict[str, float]:
        """Named parts of a score, from sacreBLEU's own result object; most metrics have none."""
        return {}

    def _extract(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Any:
        check_corpus(hypotheses, references)
        return self._metric._extract_corpus_statistics(hypotheses, references)
