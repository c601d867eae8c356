"""Candidate tokens of rows: those of all rows together, for one product, and from them back to the vocabulary.

Which tokens are candidates is decided by `lingolite_cli.shortlist.candidates`. R rows, V vocabulary, N candidates of
a row, U of all rows, k best tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.shortlist.candidates import IMPOSSIBLE
from lingolite_cli.weights.activations import MIDDLE

if TYPE_CHECKING:
    from lingolite_cli.arrays import Array, FloatArray, IntArray


def join_candidates(ids: IntArray, *, vocab_size: int) -> tuple[IntArray, IntArray]:
    """The tokens of all rows of `ids` [R, N], each once, [U] ascending, and where those of each row are among them,
    [R, 1, N]."""
    if len(ids) == 1:
        return ids[0], np.arange(ids.shape[1])[None, None]
    is_there = np.zeros(vocab_size, np.bool_)
    is_there[ids] = True
    return np.flatnonzero(is_there), (np.cumsum(is_there) - 1)[ids][:, None]


def as_signed(rows: Array) -> Array:
    """Bytes with zero point 128 as the int8 that they stand for; floats as they are."""
    return (rows ^ np.uint8(MIDDLE)).view(np.int8) if rows.dtype == np.uint8 else rows


def logits_of_vocabulary(of_candidates: FloatArray, ids: IntArray, *, vocab_size: int) -> FloatArray:
    """[R, V] logits from those [R, N] of the tokens `ids` [R, N]; other tokens are impossible."""
    everywhere = np.full((len(of_candidates), vocab_size), IMPOSSIBLE, np.float32)
    np.put_along_axis(everywhere, ids, of_candidates, axis=1)
    return everywhere


def with_impossible_tokens(
    best: tuple[IntArray, FloatArray], ids: IntArray, *, count: int
) -> tuple[IntArray, FloatArray]:
    """The best tokens [R, N] of rows with the candidates `ids` [R, N] and their log-probabilities, as `count` a row.

    A host that asks for more than N gets other tokens, each impossible, so that beams have their width.
    """
    num_more = count - ids.shape[1]
    others = np.stack([np.setdiff1d(np.arange(count), row)[:num_more] for row in ids])
    impossible = np.pad(best[1], [(0, 0), (0, num_more)], constant_values=np.float32(IMPOSSIBLE))
    return np.concatenate([best[0], others], axis=1), impossible
