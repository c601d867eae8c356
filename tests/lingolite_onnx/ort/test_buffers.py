"""Rows and the slots they lie in: what is selected, and what is left where it is."""

from __future__ import annotations

import numpy as np
import pytest
from lingolite_onnx.ort.buffers import Buffers

HEADS, WIDTH, SOURCE = 2, 3, 5


def buffers(rows: int, *, length: int, capacity: int = 4) -> Buffers:
    """Arrays that say which row and position each number belongs to; beyond `length` they are NaN."""
    past = np.full((rows, HEADS, capacity, WIDTH), np.nan, np.float32)
    past[:, :, :length] = 10 * np.arange(rows)[:, None, None, None] + np.arange(length)[None, None, :, None]
    source = np.repeat(100.0 + np.arange(rows)[:, None], SOURCE, axis=1).astype(np.float32)
    return Buffers(np.arange(rows), np.arange(rows), {"source": source}, past[None], length)


def rows_of(state: Buffers) -> tuple[list[float], list[float]]:
    """The first number of each row's past, and of its source."""
    return state.past[0, state.slots, 0, 0, 0].tolist(), state.source["source"][state.slots, 0].tolist()


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_those_that_were_selected_however_often(seed: int) -> None:
    random = np.random.default_rng(seed)
    state, expected = buffers(5, length=2), np.arange(5)
    for _ in range(6):
        rows = random.integers(0, len(expected), random.integers(1, 9))
        state.select(rows)
        expected = expected[rows]
        assert sorted(state.slots.tolist()) == list(range(len(rows)))
        past, source = rows_of(state)
        assert past == (10.0 * expected).tolist()
        assert source == (100.0 + expected).tolist()


def test_only_rows_that_must_move_are_copied() -> None:
    """Of six rows, 0 and 4 end: only the last must move."""
    state = buffers(6, length=2)
    for array in (state.past, state.source["source"]):
        array.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        state.select(np.array([1, 2, 3, 5]))
    state = buffers(6, length=2)
    state.past[0, 4] = -1
    state.select(np.array([1, 2, 3, 5]))
    assert state.slots.tolist() == [1, 2, 3, 0]
    assert rows_of(state)[0] == [10.0, 20.0, 30.0, 50.0]
    assert (state.past[0, 4] == -1).all()


def test_the_same_rows_in_another_order_touch_nothing() -> None:
    state = buffers(4, length=3)
    state.past.flags.writeable = state.source["source"].flags.writeable = False
    state.select(np.array([2, 0, 3, 1]))
    assert rows_of(state)[0] == [20.0, 0.0, 30.0, 10.0]


def test_beams_of_one_sentence_leave_its_source_alone() -> None:
    state = buffers(2, length=1)
    state.select(np.array([0, 0, 1, 1]))
    state.source["source"].flags.writeable = False
    state.select(np.array([1, 1, 2, 2]))
    assert rows_of(state)[1] == [100.0, 100.0, 101.0, 101.0]


def test_growth_keeps_what_was_read_and_stops_at_the_limit() -> None:
    state = buffers(3, length=4)
    before = state.past.copy()
    state.grow(100)
    assert state.capacity == 8
    np.testing.assert_array_equal(state.past[:, :, :, :4], before)
    state.grow(9)
    assert state.capacity == 9


def test_states_of_recurrent_units_are_kept_before_the_first_token_and_after_it() -> None:
    for length in (0, 5):
        past = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 1, 1, 4)
        buffers = Buffers(np.arange(3), np.arange(3), {}, past.copy(), length=length, grows=False)
        assert not buffers.is_full
        buffers.select(np.array([2, 0, 0, 1]))
        np.testing.assert_array_equal(buffers.past[:, buffers.slots], past[:, [2, 0, 0, 1]])
        buffers.select(np.array([3, 1]))
        np.testing.assert_array_equal(buffers.past[:, buffers.slots], past[:, [1, 0]])
