"""Teacher forcing: the logits of a backend at each position of given targets.

Owns the loop; what the logits mean is the business of `lingolite_cli.evaluation`. B rows, R of them still running,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import msgspec
import numpy as np

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.plugins.interfaces import Backend, ScoringBackend, State
    from lingolite_cli.tokenization.description import DecodingIds


class ForcedStep(msgspec.Struct, frozen=True):
    """One step of all targets that are longer than `position`.

    Attributes:
        position: of the tokens, from 0.
        rows: [R] int64, which rows of the batch these are.
        tokens: [R] int64, the targets' tokens at this position.
        logits: [R, V] float32, of this position; the next step may overwrite them.
    """

    position: int
    rows: IntArray
    tokens: IntArray
    logits: FloatArray


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How often a backend ranks the tokens of given targets first.

    Attributes:
        num_tokens: those of the targets.
        num_agreed: those that are ranked first, ties towards the smaller id.
        max_margin: largest lead of a token that is ranked first over the target's; 0 where all agree.
    """

    num_tokens: int = 0
    num_agreed: int = 0
    max_margin: float = 0.0

    @classmethod
    def at(cls, step: ForcedStep) -> Agreement:
        """Of one step."""
        best, rows = step.logits.argmax(axis=1), np.arange(len(step.rows))
        is_missed = best != step.tokens
        margins = step.logits[rows, best] - step.logits[rows, step.tokens]
        return cls(
            num_tokens=len(best),
            num_agreed=int(len(best) - is_missed.sum()),
            max_margin=max([0.0, *margins[is_missed].tolist()]),
        )

    def __add__(self, other: Agreement) -> Agreement:
        """Of the tokens of both."""
        return Agreement(
            num_tokens=self.num_tokens + other.num_tokens,
            num_agreed=self.num_agreed + other.num_agreed,
            max_margin=max(self.max_margin, other.max_margin),
        )


def read_prefix(backend: Backend, state: State, num_rows: int, *, ids: DecodingIds) -> IntArray:
    """Let the decoder read the start token and the forced prefix, all but the last of them.

    Args:
        backend: runs the model.
        state: before the first target token; this call advances it.
        num_rows: B.
        ids: start token and prefix.

    Returns:
        [B] int64, the last of them: what the decoder reads before the first token of a hypothesis.
    """
    *read, last = (ids.start, *ids.prefix)
    for token in read:
        backend.step(state, np.full(num_rows, token, np.int64))
    return np.full(num_rows, last, np.int64)


def forced_steps(
    backend: Backend,
    source_ids: IntArray,
    source_mask: BoolArray,
    *,
    targets: Sequence[Sequence[int]],
    ids: DecodingIds,
) -> Iterator[ForcedStep]:
    """Feed the start token and each target's tokens but the last, whatever the backend would have generated.

    Rows leave the batch where their target ends. Only one step's logits [R, V] are held at a time.

    Args:
        backend: runs the model.
        source_ids: [B, S] int64, padded on the right.
        source_mask: [B, S] bool, True on real tokens.
        targets: B lists of ids, without start token and prefix; each at least one and at most the model's positions.
        ids: of the model's tokenizer.
    """
    padded, lengths = _side_by_side(targets, ids.pad)
    state = backend.encode(source_ids, source_mask)
    rows = np.arange(len(targets))
    tokens = read_prefix(backend, state, len(targets), ids=ids)
    for position in range(padded.shape[1]):
        logits = backend.step(state, tokens)
        tokens = padded[rows, position]
        yield ForcedStep(position, rows, tokens, logits)
        kept = np.flatnonzero(lengths[rows] > position + 1)
        if len(kept) < len(rows) and len(kept):
            state, rows, tokens = backend.select(state, kept), rows[kept], tokens[kept]


def forced_agreement(
    backend: Backend,
    source_ids: IntArray,
    source_mask: BoolArray,
    *,
    targets: Sequence[Sequence[int]],
    ids: DecodingIds,
) -> Agreement:
    """How often a backend ranks the tokens of given targets first; see `forced_steps`."""
    steps = forced_steps(backend, source_ids, source_mask, targets=targets, ids=ids)
    return sum(map(Agreement.at, steps), Agreement())


def target_log_probabilities(
    backend: Backend,
    source_ids: IntArray,
    source_mask: BoolArray,
    *,
    targets: Sequence[Sequence[int]],
    ids: DecodingIds,
    capabilities: frozenset[str],
) -> list[FloatArray]:
    """The log-probability of each token of given targets after the ones before it.

    A backend with the capability `score` reads each target at once; others read it token by token.

    Args:
        backend: runs the model.
        source_ids: [B, S] int64, padded on the right.
        source_mask: [B, S] bool, True on real tokens.
        targets: B lists of ids, without start token and prefix; each at least one and at most the model's positions.
        ids: of the model's tokenizer.
        capabilities: those that the backend declares.

    Returns:
        B arrays, [length of the target] float32 each.
    """
    padded, lengths = _side_by_side(targets, ids.pad)
    if "score" in capabilities:
        prefix = np.broadcast_to(np.array(ids.prefix, np.int64), (len(targets), len(ids.prefix)))
        whole = np.concatenate([prefix, padded], axis=1)
        scores = cast("ScoringBackend", backend).score(source_ids, source_mask, whole)[:, len(ids.prefix) :]
    else:
        scores = _scores_by_steps(backend, source_ids, source_mask, padded, ids=ids)
    return [row[:length] for row, length in zip(scores, lengths, strict=True)]


def _scores_by_steps(
    backend: Backend, source_ids: IntArray, source_mask: BoolArray, target_ids: IntArray, *, ids: DecodingIds
) -> FloatArray:
    """[B, T] float32, as `ScoringBackend.score`, of targets [B, T] without prefix."""
    scores = np.empty(target_ids.shape, np.float32)
    state = backend.encode(source_ids, source_mask)
    tokens = read_prefix(backend, state, len(target_ids), ids=ids)
    for position in range(target_ids.shape[1]):
        logits = backend.step(state, tokens)
        tokens = np.ascontiguousarray(target_ids[:, position])
        shifted = logits - logits.max(axis=1, keepdims=True)
        chosen = np.take_along_axis(shifted, tokens[:, None], axis=1)[:, 0]
        scores[:, position] = chosen - np.log(np.exp(shifted).sum(axis=1))
    return scores


def _side_by_side(targets: Sequence[Sequence[int]], pad_id: int) -> tuple[IntArray, IntArray]:
    """[B, T] int64 padded on the right, and the lengths [B]."""
    lengths = np.array([len(target) for target in targets])
    if not lengths.all():
        raise ValueError("a target to force must hold at least one token")
    padded = np.full((len(targets), lengths.max()), pad_id, np.int64)
    for row, target in enumerate(targets):
        padded[row, : len(target)] = target
    return padded, lengths
