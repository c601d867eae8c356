"""How a batch of sources is cut into chunks for the encoder."""

from __future__ import annotations

import numpy as np
import pytest
from lingolite_onnx.ort.encoding import CHUNK_TOKENS, chunks_of


def mask_of(lengths: list[int]) -> np.ndarray:
    return np.arange(max(lengths, default=0)) < np.array(lengths).reshape(-1, 1)


@pytest.mark.parametrize(
    "lengths",
    [[7], [3, 90, 12, 5, 88, 41], [CHUNK_TOKENS + 9, 2, 2], list(range(1, 60)), [0, 40, 0, 300]],
    ids=["one", "mixed", "longer than a chunk", "many", "rows of padding"],
)
def test_each_row_is_in_one_chunk_that_has_room_for_it(lengths: list[int]) -> None:
    chunks = chunks_of(mask_of(lengths))
    assert sorted(np.concatenate([chunk.rows for chunk in chunks]).tolist()) == list(range(len(lengths)))
    for chunk in chunks:
        assert chunk.length >= max(lengths[row] for row in chunk.rows)
        assert chunk.length * len(chunk.rows) <= CHUNK_TOKENS or len(chunk.rows) == 1


def test_rows_of_like_length_are_together() -> None:
    """Whoever is alone in a chunk of the longest would be padded to it."""
    chunks = chunks_of(mask_of([100, 20, 100, 20, 100, 20]))
    assert [sorted(chunk.rows.tolist()) for chunk in chunks] == [[0, 2], [1, 4], [3, 5]]
    assert [chunk.length for chunk in chunks] == [100, 100, 20]


def test_a_batch_that_fits_stays_in_its_order_and_an_empty_one_has_no_chunk() -> None:
    (chunk,) = chunks_of(mask_of([4, 30, 12]))
    assert (chunk.rows.tolist(), chunk.length) == ([0, 1, 2], 30)
    assert chunks_of(np.ones((0, 5), np.bool_)) == []
