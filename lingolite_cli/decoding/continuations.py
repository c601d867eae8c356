"""The best next tokens of each row, selected by the engine, or here from its logits.

Owns top-k selection with its rule for ties, and log-softmax. B batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from lingolite_cli.errors import ExitCode, LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.plugins.interfaces import Backend, State, TopKBackend

    StepTopK: TypeAlias = Callable[[State, IntArray, int], tuple[IntArray, FloatArray]]


def continuations(backend: Backend, capabilities: frozenset[str], *, never_generated: tuple[int, ...] = ()) -> StepTopK:
    """`step_top_k` of a backend with the capability `top_k`; for another, the same derived from `step`.

    Args:
        backend: runs the model.
        capabilities: those that the backend declares.
        never_generated: ids that are left out. The others keep their log-probabilities.

    Returns:
        A function of (state, tokens [B] int64, k) that advances the state and returns ids [B, k] int64 and
        log-probabilities [B, k] float32, best first, ties towards the smaller id; fewer columns when fewer ids may be
        generated. It raises LingoLiteError when the engine computed NaN.
    """
    step_top_k = cast("TopKBackend", backend).step_top_k if "top_k" in capabilities else _derived(backend)
    num_barred = len(set(never_generated))
    is_barred = np.zeros(max(never_generated, default=0) + 2, np.bool_)  # the last stands for all larger ids
    is_barred[list(never_generated)] = True

    def checked(state: State, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        ids, log_probabilities = step_top_k(state, tokens, k + num_barred)
        if np.count_nonzero(np.isnan(log_probabilities)):  # of so few, a fifth of the time that `any` takes
            raise LingoLiteError(
                "the backend computed NaN instead of logits",
                hint="check the weights, or try another backend: `lingolite plugins list`",
                exit_code=ExitCode.PLUGIN,
            )
        return _without(is_barred, num_barred, ids, log_probabilities) if num_barred else (ids, log_probabilities)

    return checked


def _without(
    is_barred: BoolArray, num_barred: int, ids: IntArray, log_probabilities: FloatArray
) -> tuple[IntArray, FloatArray]:
    """The columns of `ids` [B, k + num_barred] that are not barred, in their order, [B, k]; see `continuations`."""
    count = ids.shape[1] - num_barred
    are_barred = is_barred.take(ids, mode="clip")
    if not np.count_nonzero(are_barred):  # nearly always, and a step of a small model takes as long as the sort
        return ids[:, :count], log_probabilities[:, :count]
    kept = np.argsort(are_barred, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(ids, kept, axis=1), np.take_along_axis(log_probabilities, kept, axis=1)


def _derived(backend: Backend) -> StepTopK:
    def step_top_k(state: State, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        return top_k(backend.step(state, tokens), k)

    return step_top_k


def top_k(logits: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k largest logits of each row, as log-probabilities.

    One argmax pass a rank: argmax takes the first of equal values, which is the rule for ties, and for the k of
    a beam search this is several times faster than a partition.

    Args:
        logits: [B, V] float32; not changed.
        k: at least 1.

    Returns:
        ids [B, min(k, V)] int64 and log-probabilities [B, min(k, V)] float32, best first, ties towards the
        smaller id.
    """
    ids, values = largest(logits, k)
    return ids, _log_softmax(values, logits)


def largest(logits: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    """The k largest logits of each row: ids and values [B, min(k, V)], as `top_k` has them."""
    if k > 1:
        return _several(logits, min(k, logits.shape[1]))
    ids = logits.argmax(axis=1, keepdims=True)
    # Not `take_along_axis`, which takes as long as the search among thousands.
    values: FloatArray = logits[np.arange(len(logits))[:, None], ids]
    return ids, values


def _several(logits: FloatArray, k: int) -> tuple[IntArray, FloatArray]:
    rest = logits.copy()
    rows = np.arange(len(logits))
    ids = np.empty((len(logits), k), np.int64)
    values = np.empty((len(logits), k), np.float32)
    for rank in range(k):
        ids[:, rank] = rest.argmax(axis=1)
        values[:, rank] = rest[rows, ids[:, rank]]
        rest[rows, ids[:, rank]] = -np.inf
    return ids, values


def _log_softmax(values: FloatArray, logits: FloatArray) -> FloatArray:
    """Log-probabilities of `values` [B, k], the largest of `logits` first, so that no exponential overflows."""
    largest = values[:, :1]
    with np.errstate(invalid="ignore"):  # infinite logits give NaN, which the caller refuses
        exponentials = np.exp(logits - largest)
        log_probabilities: FloatArray = (values - largest) - np.log(exponentials.sum(axis=1, keepdims=True))
    return log_probabilities
