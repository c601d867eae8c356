"""Statistics of a difference between two systems: bootstrap intervals, a guard for their tails, and randomization.

Owns the resampling. What the statistics of a sentence are, and how their sums become a score, is up to each metric.
N sentences, K statistics, M resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

if TYPE_CHECKING:
    from lingolite_cli.arrays import StatisticsArray

    ScoreFunction: TypeAlias = Callable[[StatisticsArray], StatisticsArray]
    Pairs: TypeAlias = tuple[StatisticsArray, StatisticsArray]

_CHUNK_CELLS = 4_000_000
"""Resampling weights held at a time (32 MB of float64), so that memory does not grow with the test set."""

_BLOCK = 4096
"""Sentences whose influence is computed at a time: scores of all at once would take the statistics several times."""

_SAME = 1e-9
"""Points of a metric: differences that are closer than this are equal, and only summed in another order."""


class Interval(msgspec.Struct, frozen=True):
    """Candidate minus reference on the whole test set, and the percentile interval of the resamples."""

    delta: float
    low: float
    high: float
    confidence: float


def paired_bootstrap(
    reference_statistics: StatisticsArray,
    candidate_statistics: StatisticsArray,
    score: ScoreFunction,
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
    both = _pairs(reference_statistics, candidate_statistics, resamples=resamples, confidence=confidence)
    generator = np.random.default_rng(seed)
    totals = [_drawn_counts(generator, rows, len(both)) @ both for rows in _chunks(resamples, len(both))]
    low, high = _percentiles(_differences(np.concatenate(totals), score), confidence)
    return Interval(_delta(both, score), low, high, confidence)


def guarded_interval(
    reference_statistics: StatisticsArray,
    candidate_statistics: StatisticsArray,
    score: ScoreFunction,
    *,
    unseen: Pairs | None = None,
    resamples: int = 1000,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """A wider interval for verdicts: as if the test set had one more sentence, the worst one that must be expected.

    Percentile intervals are too narrow where few sentences carry the difference, for another draw may hold more of
    them, or the first. Here resamples weigh N + 1 sentences by a flat Dirichlet distribution (Rubin 1981, "The Bayesian
    Bootstrap"): for the low end the last is the sentence whose presence lowers the difference most, for the high end
    that which raises it most, of those seen and of `unseen`. With the largest value that is possible this is
    Gaffke's bound of a mean (Learned-Miller and Thomas 2019, "A New Confidence Interval for the Mean of a Bounded
    Random Variable", section 3). Where no sentence differs, and failures in a share p of all would cost c each, it is
    about -log(tail) / N * c: Clopper and Pearson's bound of p for no failure in N.

    Args:
        reference_statistics: as of `paired_bootstrap`.
        candidate_statistics: as of `paired_bootstrap`.
        score: as of `paired_bootstrap`.
        unseen: [F, K] each, of reference and candidate: sentences that the test set may lack. Either system may be the
            one that translates them so.
        resamples: as of `paired_bootstrap`.
        seed: as of `paired_bootstrap`.
        confidence: as of `paired_bootstrap`.

    Raises:
        ValueError: as of `paired_bootstrap`.
    """
    both = _pairs(reference_statistics, candidate_statistics, resamples=resamples, confidence=confidence)
    generator = np.random.default_rng(seed)
    possible = [both[start : start + _BLOCK] for start in range(0, len(both), _BLOCK)]
    if unseen is not None:
        possible += [np.concatenate(unseen, axis=1), np.concatenate(unseen[::-1], axis=1)]
    worst = _extremes(possible, both.sum(axis=0), score)
    totals: tuple[list[StatisticsArray], list[StatisticsArray]] = ([], [])
    for rows in _chunks(resamples, len(both)):
        shared, last = _weighted(generator, rows, both)
        for end, sentence in zip(totals, worst, strict=True):
            end.append(shared + last * sentence)
    low, high = (_percentiles(_differences(np.concatenate(end), score), confidence) for end in totals)
    return Interval(_delta(both, score), low[0], high[1], confidence)


def paired_randomization(
    reference_statistics: StatisticsArray,
    candidate_statistics: StatisticsArray,
    score: ScoreFunction,
    *,
    trials: int = 1000,
    seed: int,
) -> float:
    """Two-sided p-value of approximate randomization (Riezler and Maxwell 2005, "On Some Pitfalls in Automatic
    Evaluation and Significance Testing for MT", W05-0908, section 4).

    If the systems are equal, it does not matter which of them made which translation. Each trial exchanges the two
    translations of every sentence with probability 1/2. The p-value is (c + 1) / (M + 1), with c trials whose
    difference is at least as large as the one seen. sacreBLEU counts larger ones only, so that equal systems get
    1 / (M + 1) there; here they get 1.

    Args:
        reference_statistics: as of `paired_bootstrap`.
        candidate_statistics: as of `paired_bootstrap`.
        score: as of `paired_bootstrap`.
        trials: how often translations are exchanged.
        seed: of the exchanges; the same seed gives the same p-value.

    Returns:
        in (0, 1]: how often equal systems would show such a difference by chance.

    Raises:
        ValueError: as of `paired_bootstrap`.
    """
    both = _pairs(reference_statistics, candidate_statistics, resamples=trials, confidence=0.5)
    generator = np.random.default_rng(seed)
    width = both.shape[1] // 2
    gain = both[:, width:] - both[:, :width]
    moved = [_exchanged(generator, rows, len(both)) @ gain for rows in _chunks(trials, len(both))]
    exchange = np.concatenate(moved)
    totals = both.sum(axis=0) + np.concatenate([exchange, -exchange], axis=1)
    as_large = np.abs(_differences(totals, score)) >= abs(_delta(both, score)) - _SAME
    return float((as_large.sum() + 1) / (trials + 1))


def _pairs(
    reference: StatisticsArray, candidate: StatisticsArray, *, resamples: int, confidence: float
) -> StatisticsArray:
    """[N, 2 K]: the statistics of both, side by side, once they are known to be pairs."""
    if reference.ndim != 2 or reference.shape != candidate.shape:
        raise ValueError(f"statistics of shapes {reference.shape} and {candidate.shape} are not pairs")
    if not reference.size:
        raise ValueError("no sentences to resample")
    if resamples < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(f"resamples {resamples} or confidence {confidence} is out of range")
    return np.concatenate([reference, candidate], axis=1)


def _chunks(resamples: int, num_sentences: int) -> Iterator[int]:
    """How many resamples are made at a time."""
    size = max(1, _CHUNK_CELLS // num_sentences)
    for start in range(0, resamples, size):
        yield min(size, resamples - start)


def _drawn_counts(generator: np.random.Generator, rows: int, num_sentences: int) -> StatisticsArray:
    """[rows, N]: how often each sentence is in each resample."""
    counts = np.empty((rows, num_sentences))
    for row in counts:  # drawn one by one: the integers of a whole chunk would take twice its memory besides
        row[:] = np.bincount(generator.integers(num_sentences, size=num_sentences), minlength=num_sentences)
    return counts


def _exchanged(generator: np.random.Generator, rows: int, num_sentences: int) -> StatisticsArray:
    """[rows, N]: 1 where a trial exchanges the translations of a sentence, else 0."""
    exchanged = np.empty((rows, num_sentences))
    for row in exchanged:
        row[:] = generator.integers(2, size=num_sentences)
    return exchanged


def _weighted(
    generator: np.random.Generator, rows: int, both: StatisticsArray
) -> tuple[StatisticsArray, StatisticsArray]:
    """Random weights of N + 1 sentences: [rows, 2 K] totals of all but the last, and [rows, 1] weights of the last."""
    weights = generator.exponential(size=(rows, len(both) + 1))
    weights *= (len(both) + 1) / weights.sum(axis=1, keepdims=True)
    return weights[:, :-1] @ both, weights[:, -1:].copy()


def _extremes(
    possible: Sequence[StatisticsArray], totals: StatisticsArray, score: ScoreFunction
) -> tuple[StatisticsArray, StatisticsArray]:
    """[2 K] each: the sentences that lower and raise the difference most where they are added to `totals` [2 K].

    Args:
        possible: the sentences in blocks of any size, of 2 K statistics each.
        totals: of the test set.
        score: as of `paired_bootstrap`.
    """
    influence = [_differences(totals + block, score) for block in possible]
    lowest = min(range(len(possible)), key=lambda number: influence[number].min())
    highest = max(range(len(possible)), key=lambda number: influence[number].max())
    return possible[lowest][influence[lowest].argmin()], possible[highest][influence[highest].argmax()]


def _differences(totals: StatisticsArray, score: ScoreFunction) -> StatisticsArray:
    """[M] candidate minus reference, from [M, 2 K] totals of both."""
    half = totals.shape[1] // 2
    return score(totals[:, half:]) - score(totals[:, :half])


def _delta(both: StatisticsArray, score: ScoreFunction) -> float:
    return float(_differences(both.sum(axis=0, keepdims=True), score)[0])


def _percentiles(differences: StatisticsArray, confidence: float) -> tuple[float, float]:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(differences, [tail, 1.0 - tail])
    return float(low), float(high)
