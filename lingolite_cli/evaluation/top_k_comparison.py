"""The best next tokens that a file gives a search, held against its own logits, which are held against the bundle's.

Owns the comparison. A file may compute its logits rightly and still choose from them wrongly. B batch, T target, V
vocabulary, k best tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.decoding.continuations import largest
from lingolite_cli.evaluation.exported import OperationDifference
from lingolite_cli.evaluation.logit_comparison import log_normalizers
from lingolite_cli.evaluation.operation_comparison import INCOMPARABLE, OperationReading

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray
    from lingolite_cli.plugins.interfaces import TopK, Trace

TOP_K = "top_k"
"""What the choice is called among operations."""

_WORDS = "the best next tokens, with their log-probabilities"

_LARGEST = 1e-4
"""Nats between a log-probability and that of the file's own logit: orders of summation explain a tenth of it."""


def compare_top_k(trace: Trace, *, rounding: float) -> list[OperationReading]:
    """The choice of a trace, as one more operation; none where the trace shows no choice, or no logits.

    Args:
        trace: what the file gave.
        rounding: largest difference of an operation that the engine's rounding explains.
    """
    logits, found = trace.values.get(OUTPUT_PROJECTION), trace.top_k
    if found is None or logits is None:
        return []
    nats, how = _difference(logits, found)
    times = min(nats / _LARGEST, INCOMPARABLE)
    relative = times * rounding
    if times <= 1:
        return [OperationReading(TOP_K, relative, None)]
    difference = OperationDifference(
        operation=TOP_K,
        what=_WORDS,
        part=trace.part,
        relative=relative,
        times=times,
        largest=min(nats, INCOMPARABLE),
        rows="all",
        positions="all",
        how=how,
    )
    return [OperationReading(TOP_K, relative, difference)]


def _difference(logits: FloatArray, found: TopK) -> tuple[float, str]:
    """How far the choice is from the right one in nats, and in words.

    Args:
        logits: [B, T, V].
        found: the choice.
    """
    ids, values = found.ids, found.log_probabilities
    num_tokens = logits.shape[-1]
    if ids.shape != values.shape or ids.shape[:2] != logits.shape[:2] or not 0 < ids.shape[2] <= num_tokens:
        return INCOMPARABLE, f"has the shape {list(ids.shape)} for logits of {list(logits.shape)}"
    if not np.isfinite(logits).all():
        return 0.0, ""  # the logits are named
    if not np.isfinite(values).all():
        return INCOMPARABLE, "is not finite"
    rows = logits.reshape(-1, num_tokens)
    best, logits_of_best = largest(rows, ids.shape[2])
    is_other = ids.reshape(best.shape) != best
    if is_other.any():
        return INCOMPARABLE, f"is not what the file's own logits rank first, in {is_other.mean():.0%} of all places"
    log_probabilities = logits_of_best - log_normalizers(rows)[:, None]
    nats = float(np.abs(values.reshape(best.shape) - log_probabilities).max())
    return nats, f"has log-probabilities that are {nats:.2g} nats from those of the file's own logits"
