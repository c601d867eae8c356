"""Teacher forcing: what a backend would have said at each position of given targets.

Owns the loop; what the answers mean is the business of `lingolite_cli.evaluation.parity` and `cross_entropy`. B rows,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

from lingolite_cli.tokenizer import BOS_ID, PAD_ID

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import Backend, BoolArray, FloatArray, IntArray, ScoringBackend


class ForcedTarget(msgspec.Struct, frozen=True):
    """One target as a backend sees it; both tuples have one entry a target token.

    Attributes:
        best_ids: the id with the largest logit, ties towards the smaller.
        margins: the largest logit minus the logit of the target's token; 0 where the target's token is as good.
    """

    best_ids: tuple[int, ...]
    margins: tuple[float, ...]


def force_decode(
    backend: Backend, source_ids: IntArray, source_mask: BoolArray, *, targets: Sequence[Sequence[int]]
) -> list[ForcedTarget]:
    """Feed `<s>` and each target's tokens but the last, whatever the backend would have said itself.

    Rows leave the batch where their target ends. Only one step's logits [B, V] are held at a time.

    Args:
        backend: runs the model.
        source_ids: [B, S] int64, padded on the right.
        source_mask: [B, S] bool, True on real tokens.
        targets: B lists of ids, without `<s>`; each at least one and at most the model's positions.
    """
    padded, lengths = _side_by_side(targets)
    best_ids = np.empty(padded.shape, np.int64)
    margins = np.empty(padded.shape, np.float32)

    state = backend.encode(source_ids, source_mask)
    rows = np.arange(len(targets))
    tokens = np.full(len(targets), BOS_ID, np.int64)
    for position in range(padded.shape[1]):
        logits = backend.step(state, tokens)
        tokens = padded[rows, position]
        best = logits.argmax(axis=1)
        batch = np.arange(len(rows))
        best_ids[rows, position] = best
        margins[rows, position] = logits[batch, best] - logits[batch, tokens]
        kept = np.flatnonzero(lengths[rows] > position + 1)
        if not len(kept):
            break
        if len(kept) < len(rows):
            state, rows, tokens = backend.select(state, kept), rows[kept], tokens[kept]
    return [
        ForcedTarget(tuple(best_ids[row, :length].tolist()), tuple(margins[row, :length].tolist()))
        for row, length in enumerate(lengths)
    ]


def target_log_probabilities(
    backend: Backend,
    source_ids: IntArray,
    source_mask: BoolArray,
    *,
    targets: Sequence[Sequence[int]],
    capabilities: frozenset[str],
) -> list[FloatArray]:
    """The log-probability of each token of given targets after the ones before it.

    A backend with the capability `score` reads each target at once; others read it token by token.

    Args:
        backend: runs the model.
        source_ids: [B, S] int64, padded on the right.
        source_mask: [B, S] bool, True on real tokens.
        targets: B lists of ids, without `<s>`; each at least one and at most the model's positions.
        capabilities: those that the backend declares.

    Returns:
        B arrays, [length of the target] float32 each.
    """
    padded, lengths = _side_by_side(targets)
    if "score" in capabilities:
        scores = cast("ScoringBackend", backend).score(source_ids, source_mask, padded)
    else:
        scores = _scores_by_steps(backend, source_ids, source_mask, padded)
    return [row[:length] for row, length in zip(scores, lengths, strict=True)]


def _scores_by_steps(
    backend: Backend, source_ids: IntArray, source_mask: BoolArray, target_ids: IntArray
) -> FloatArray:
    """[B, T] float32, as `ScoringBackend.score`."""
    scores = np.empty(target_ids.shape, np.float32)
    state = backend.encode(source_ids, source_mask)
    tokens = np.full(len(target_ids), BOS_ID, np.int64)
    for position in range(target_ids.shape[1]):
        logits = backend.step(state, tokens)
        tokens = np.ascontiguousarray(target_ids[:, position])
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = np.take_along_axis(shifted, tokens[:, None], axis=1)[:, 0]
        scores[:, position] = chosen - np.log(np.exp(shifted).sum(axis=1))
    return scores


def _side_by_side(targets: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """[B, T] int64 padded on the right, and the lengths [B]."""
    lengths = np.array([len(target) for target in targets])
    if not lengths.all():
        raise ValueError("a target to force must hold at least one token")
    padded = np.full((len(targets), lengths.max()), PAD_ID, np.int64)
    for row, target in enumerate(targets):
        padded[row, : len(target)] = target
    return padded, lengths
