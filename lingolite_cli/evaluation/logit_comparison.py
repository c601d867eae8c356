"""Two systems' logits side by side: differences, KL, agreement, by position and by length.

Owns the arithmetic; what is fed to whom is `parity_measurement`'s and `probes`'. R rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.evaluation.parity import LogitParity, ParityBucket, ParitySentence

if TYPE_CHECKING:
    import numpy.typing as npt

    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray

    DoubleArray = npt.NDArray[np.float64]

LENGTH_BUCKET = 8
"""Source tokens that a bucket of lengths spans."""

_BLOCK = 1 << 17
"""Logits that are compared at once: what is computed from them stays in the cache of a core. Measured on 256 rows of
32,000, KL takes half as long as over all rows at once."""


class LogitDifferences(msgspec.Struct, frozen=True):
    """Candidate minus reference, an entry a row of logits; each [R].

    Attributes:
        largest: float64, largest absolute difference.
        mean: float64, mean absolute difference over the vocabulary.
        kl: float64, KL(reference ‖ candidate) in nats.
        is_agreed: bool, both rank the same token first, as `ranks_first`.
    """

    largest: DoubleArray
    mean: DoubleArray
    kl: DoubleArray
    is_agreed: BoolArray


def compare_logits(reference: FloatArray, candidate: FloatArray, *, near_tie: float = 0.0) -> LogitDifferences:
    """Compare rows of logits.

    Args:
        reference: [R, V] float32.
        candidate: [R, V] float32.
        near_tie: as `ranks_first`.

    Raises:
        LingoLiteError: the candidate's are not finite.
    """
    return _joined(
        [_compare_block(reference[rows], candidate[rows], near_tie=near_tie) for rows in row_blocks(*candidate.shape)]
    )


def _compare_block(reference: FloatArray, candidate: FloatArray, *, near_tie: float) -> LogitDifferences:
    require_finite(candidate)
    distance = np.abs(candidate - reference)
    return LogitDifferences(
        distance.max(axis=1).astype(np.float64),
        distance.mean(axis=1, dtype=np.float64),
        _kl_of_block(reference, candidate),
        ranks_first(reference, candidate.argmax(axis=1), near_tie=near_tie),
    )


def row_blocks(num_rows: int, width: int) -> Iterator[slice]:
    """Rows of logits, a few at a time. What is computed of a row does not depend on those beside it."""
    size = max(1, _BLOCK // width)
    return (slice(start, start + size) for start in range(0, num_rows, size))


def ranks_first(reference: FloatArray, tokens: IntArray, *, near_tie: float = 0.0) -> BoolArray:
    """Whether the reference ranks a token first, ties towards the smaller id.

    Args:
        reference: [R, V] logits.
        tokens: [R] a token a row.
        near_tie: a token counts as first, too, where the first one leads it by less than so many nats.

    Returns:
        [R] bool.
    """
    leads = reference.max(axis=1) - reference[np.arange(len(tokens)), tokens]
    found: BoolArray = (reference.argmax(axis=1) == tokens) | (leads < near_tie)
    return found


def require_finite(candidate: FloatArray) -> None:
    """Raises LingoLiteError when a logit of the candidate is infinite or no number."""
    if not np.isfinite(candidate).all():
        raise LingoLiteError(
            "parity cannot be measured: the candidate gives logits that are not finite",
            hint="look for infinite or missing weights in it",
            exit_code=ExitCode.PLUGIN,
        )


def kl_divergence(reference: FloatArray, candidate: FloatArray) -> DoubleArray:
    """KL(softmax(reference) ‖ softmax(candidate)) of each row, [R] float64 in nats.

    Kullback and Leibler 1951, eq. 2.4. Sums are float32, so that equal rows may come out a little below 0; they are 0.
    """
    blocks = row_blocks(*candidate.shape)
    return np.concatenate([_kl_of_block(reference[rows], candidate[rows]) for rows in blocks])


def _kl_of_block(reference: FloatArray, candidate: FloatArray) -> DoubleArray:
    log_reference, log_candidate = _log_softmax(reference), _log_softmax(candidate)
    terms = np.exp(log_reference) * (log_reference - log_candidate)
    kl: DoubleArray = np.maximum(terms.sum(axis=1, dtype=np.float64), 0.0)
    return kl


def _log_softmax(logits: FloatArray) -> FloatArray:
    shifted: FloatArray = logits - logits.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def log_normalizers(logits: FloatArray) -> DoubleArray:
    """What the log-probabilities of each row are less than its logits [R, V]: log of the sum of exponentials, [R]."""
    found = []
    for rows in row_blocks(*logits.shape):
        wide = logits[rows].astype(np.float64)
        largest = wide.max(axis=1)
        found.append(largest + np.log(np.exp(wide - largest[:, None]).sum(axis=1)))
    return np.concatenate(found)


class LogitComparison:
    """Gathers differences token by token, and sums them up.

    Args:
        near_tie: as `ranks_first`.
    """

    def __init__(self, *, near_tie: float = 0.0) -> None:
        self._near_tie = near_tie
        self._sentences: list[IntArray] = []
        self._positions: list[IntArray] = []
        self._differences: list[LogitDifferences] = []
        self._max_logit = 0.0

    def add(self, sentences: IntArray, position: int, reference: FloatArray, candidate: FloatArray) -> None:
        """One step of several sentences.

        Args:
            sentences: [R] int64, which sentences these are.
            position: of the target token, from 0.
            reference: [R, V] its logits.
            candidate: [R, V] the candidate's.
        """
        self._sentences.append(sentences)
        self._positions.append(np.full(len(sentences), position))
        self._differences.append(compare_logits(reference, candidate, near_tie=self._near_tie))
        self._max_logit = max(self._max_logit, float(reference.max()), -float(reference.min()))

    def summarize(
        self, source_lengths: Sequence[int], first_divergences: Sequence[int | None], *, worst: int
    ) -> LogitParity:
        """All that was added.

        Args:
            source_lengths: of all N sentences of the text, in tokens.
            first_divergences: of all N, see `parity.first_divergence`.
            worst: how many sentences to list.
        """
        sentences = np.concatenate(self._sentences)
        positions = np.concatenate(self._positions)
        tokens = _joined(self._differences)
        lengths = np.array(source_lengths)[sentences]
        starts = (lengths - 1) // LENGTH_BUCKET * LENGTH_BUCKET + 1
        return LogitParity(
            num_sentences=len(np.unique(sentences)),
            num_tokens=len(sentences),
            max_logit=self._max_logit,
            max_difference=float(tokens.largest.max()),
            mean_difference=float(tokens.mean.mean()),
            kl_mean=float(tokens.kl.mean()),
            kl_p95=float(np.percentile(tokens.kl, 95)),
            kl_max=float(tokens.kl.max()),
            top1_agreement=float(tokens.is_agreed.mean()),
            by_position=_buckets(positions, tokens, width=1),
            by_source_length=_buckets(starts, tokens, width=LENGTH_BUCKET),
            worst=_worst(sentences, positions, tokens, source_lengths, first_divergences)[:worst],
        )


def _joined(parts: Sequence[LogitDifferences]) -> LogitDifferences:
    return LogitDifferences(
        np.concatenate([part.largest for part in parts]),
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.kl for part in parts]),
        np.concatenate([part.is_agreed for part in parts]),
    )


def _buckets(keys: IntArray, tokens: LogitDifferences, *, width: int) -> list[ParityBucket]:
    """A bucket for each key that occurs, which is the first value of its range."""
    buckets = []
    for key in np.unique(keys).tolist():
        chosen = keys == key
        buckets.append(
            ParityBucket(
                first=key,
                last=key + width - 1,
                num_tokens=int(chosen.sum()),
                max_difference=float(tokens.largest[chosen].max()),
                mean_difference=float(tokens.mean[chosen].mean()),
                kl_mean=float(tokens.kl[chosen].mean()),
                top1_agreement=float(tokens.is_agreed[chosen].mean()),
            )
        )
    return buckets


def _worst(
    sentences: IntArray,
    positions: IntArray,
    tokens: LogitDifferences,
    source_lengths: Sequence[int],
    first_divergences: Sequence[int | None],
) -> list[ParitySentence]:
    """All sentences, those with the largest mean KL first."""
    found = []
    for index in np.unique(sentences).tolist():
        own = np.flatnonzero(sentences == index)
        found.append(
            ParitySentence(
                index=index,
                num_source_tokens=source_lengths[index],
                num_tokens=len(own),
                max_difference=float(tokens.largest[own].max()),
                kl_mean=float(tokens.kl[own].mean()),
                worst_position=int(positions[own[tokens.kl[own].argmax()]]),
                first_divergence=first_divergences[index],
            )
        )
    return sorted(found, key=lambda sentence: (-sentence.kl_mean, sentence.index))
