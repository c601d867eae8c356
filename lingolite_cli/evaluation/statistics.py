"""How sure a difference between two systems is: paired bootstrap resampling.

Owns the resampling. What the statistics of a sentence are, and how their sums become a score, is the business
of each metric. N sentences, K statistics, M resamples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import StatisticsArray

_CHUNK_CELLS = 4_000_000
"""Resampling counts held at a time (32 MB of float64), so that memory does not grow with the test set."""


class Interval(msgspec.Struct, frozen=True):
    """Candidate minus reference on the whole test set, and the percentile interval of the resamples."""

    delta: float
    low: float
    high: float
    confidence: float


def paired_bootstrap(
    reference_statistics: StatisticsArray,
    candidate_statistics: StatisticsArray,
    score: Callable[[StatisticsArray], StatisticsArray],
    *,
    resamples: int = 1000,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Interval of a difference in corpus scores (Koehn 2004, "Statistical Significance Tests for Machine
    Translation Evaluation", W04-3250, section 3).

    Each resample draws N sentences with replacement, the same ones for both systems, and scores both. Where
    Koehn counts which system wins, this takes percentiles of the difference.

    Args:
        reference_statistics: [N, K] float64, one row of additive statistics a sentence.
        candidate_statistics: [N, K] float64, of the same sentences in the same order.
        score: [M, K] summed statistics to [M] corpus scores.
        resamples: how many test sets are drawn.
        seed: of the draws; the same seed gives the same interval.
        confidence: the share of resamples inside the interval, in (0, 1).

    Raises:
        ValueError: the two have different shapes, there are no sentences, or a number is out of its range.
    """
    _check(reference_statistics, candidate_statistics, resamples=resamples, confidence=confidence)
    both = np.concatenate([reference_statistics, candidate_statistics], axis=1)
    differences = _differences(_resampled_totals(both, resamples=resamples, seed=seed), score)
    delta = _differences(both.sum(axis=0, keepdims=True), score)[0]
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(differences, [tail, 1.0 - tail])
    return Interval(float(delta), float(low), float(high), confidence)


def _check(reference: StatisticsArray, candidate: StatisticsArray, *, resamples: int, confidence: float) -> None:
    if reference.ndim != 2 or reference.shape != candidate.shape:
        raise ValueError(f"statistics of shapes {reference.shape} and {candidate.shape} are not pairs")
    if not reference.size:
        raise ValueError("no sentences to resample")
    if resamples < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(f"resamples {resamples} or confidence {confidence} is out of range")


def _resampled_totals(statistics: StatisticsArray, *, resamples: int, seed: int) -> StatisticsArray:
    """[resamples, K] sums over N sentences drawn with replacement."""
    num_sentences = len(statistics)
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // num_sentences)
    totals = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = generator.integers(num_sentences, size=(rows, num_sentences))
        drawn += np.arange(rows)[:, None] * num_sentences
        counts = np.bincount(drawn.ravel(), minlength=rows * num_sentences).reshape(rows, num_sentences)
        totals.append(counts.astype(np.float64) @ statistics)
    return np.concatenate(totals)


def _differences(totals: StatisticsArray, score: Callable[[StatisticsArray], StatisticsArray]) -> StatisticsArray:
    """[M] candidate minus reference, from [M, 2 K] totals of both."""
    half = totals.shape[1] // 2
    return score(totals[:, half:]) - score(totals[:, :half])
