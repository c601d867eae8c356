"""The best next tokens that a file gives a search, held against its own logits, which are held against the bundle's.

Owns the comparison. A file may compute its logits rightly and still choose from them wrongly. B batch, T target, V
vocabulary, k best tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.evaluation.exported import OperationDifference
from lingolite_cli.evaluation.operation_comparison import INCOMPARABLE, OperationReading

if TYPE_CHECKING:
    from lingolite_cli.arrays import Array
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
    nats, how = _difference(np.asarray(logits, np.float64), found)
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


def _difference(logits: Array, found: TopK) -> tuple[float, str]:
    """How far the choice is from the right one in nats, and in words.

    Args:
        logits: [B, T, V] float64.
        found: the choice.
    """
    ids, values = found.ids, np.asarray(found.log_probabilities, np.float64)
    num_tokens = logits.shape[-1]
    if ids.shape != values.shape or ids.shape[:2] != logits.shape[:2] or not 0 < ids.shape[2] <= num_tokens:
        return INCOMPARABLE, f"has the shape {list(ids.shape)} for logits of {list(logits.shape)}"
    if not np.isfinite(logits).all():
        return 0.0, ""  # the logits are named
    if not np.isfinite(values).all():
        return INCOMPARABLE, "is not finite"
    log_probabilities = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    best = np.argsort(-logits, axis=-1, kind="stable")[..., : ids.shape[2]]
    if not np.array_equal(ids, best):
        return (
            INCOMPARABLE,
            f"is not what the file's own logits rank first, in {(ids != best).mean():.0%} of all places",
        )
    nats = float(np.abs(values - np.take_along_axis(log_probabilities, ids, axis=-1)).max())
    return nats, f"has log-probabilities that are {nats:.2g} nats from those of the file's own logits"
