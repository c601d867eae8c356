"""What sacreBLEU's metrics share: sacreBLEU's statistics of each sentence, and the score it makes of their sums.

A metric here never computes a figure of its own: `score` is sacreBLEU's, on sacreBLEU's statistics. Only
`from_statistics`, which resampling calls for thousands of sums at once, is written in numpy, by each metric.
N sentences, R reference streams, K statistics, M sums.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from logging import getLogger
from typing import TYPE_CHECKING, Any

import numpy as np

from lingolite_cli.plugins.interfaces import Score
from lingolite_metrics.corpus import check_corpus

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray


_BLOCK = 1000
"""Sentences of which sacreBLEU's statistics are taken at a time."""
_MIN_TOKENIZED = 100


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
        totals: list[Any] = []
        for rows in self._extract(hypotheses, references):
            # Summed row by row as sacreBLEU does, so that what is no whole number (TER) rounds as there.
            columns = list(zip(*rows, strict=True))
            totals = [sum(column, start) for column, start in zip(columns, totals or [0] * len(columns), strict=True)]
        result = self._metric._compute_score_from_stats(totals)
        return Score(
            value=float(result.score),
            signature=str(self._metric.get_signature()),
            details=self.details(result),
        )

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> StatisticsArray:
        """[N, K] float64: sacreBLEU's own sufficient statistics, one row a sentence. Raises as `score`."""
        blocks = [np.asarray(rows, dtype=np.float64) for rows in self._extract(hypotheses, references)]
        return np.concatenate(blocks)

    @abstractmethod
    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] float64 corpus scores from [M, K] summed statistics, equal to sacreBLEU's to 1e-9."""

    def details(self, result: Any) -> dict[str, float]:
        """Named parts of a score, from sacreBLEU's own result object; most metrics have none."""
        return {}

    def _extract(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> Iterator[Sequence[Sequence[float]]]:
        """sacreBLEU's statistics in blocks of rows.

        For a whole corpus at once sacreBLEU keeps the n-grams of all references: 25 kB a sentence.
        """
        check_corpus(hypotheses, references)
        self._warn_of_tokenized_text(hypotheses)
        for start in range(0, len(hypotheses), _BLOCK):
            block = slice(start, start + _BLOCK)
            yield self._metric._extract_corpus_statistics(hypotheses[block], [stream[block] for stream in references])

    def _warn_of_tokenized_text(self, hypotheses: Sequence[str]) -> None:
        """sacreBLEU's own warning, which it would repeat for each block."""
        if not self._metric._force and sum(text.endswith(" .") for text in hypotheses) >= _MIN_TOKENIZED:
            getLogger("sacrebleu").warning(
                f"{_MIN_TOKENIZED} lines or more end in a tokenized period ('.'): was the text not detokenized? "
                "That may lower the score."
            )
        self._metric._force = True
