"""Values of single steps, joined: rows one after the other, and caches as they were last."""

from __future__ import annotations

import numpy as np

from lingolite_cli.evaluation.traced_steps import TracedSteps


def row(value: float) -> np.ndarray:
    return np.full((2, 1, 3), value, np.float32)


def test_rows_follow_one_another_and_a_cache_is_that_of_the_last_step() -> None:
    steps = TracedSteps()
    for position in range(4):
        growing = np.full((2, position + 1, 5), position, np.float32)
        steps.add({"norm": row(position), "growing": growing, "whole": np.full((2, 4, 5), position, np.float32)})
    joined = steps.joined()
    np.testing.assert_array_equal(joined["norm"], np.concatenate([row(position) for position in range(4)], axis=1))
    for name in ("growing", "whole"):
        np.testing.assert_array_equal(joined[name], np.full((2, 4, 5), 3))


def test_an_operation_that_a_step_lacks_is_left_out() -> None:
    steps = TracedSteps()
    steps.add({"norm": row(0), "sum": row(1)})
    steps.add({"norm": row(2)})
    assert list(steps.joined()) == ["norm"]


def test_caches_of_earlier_steps_are_not_held() -> None:
    steps = TracedSteps()
    arrays = [np.zeros((1, position + 2, 5), np.float32) for position in range(3)]
    for array in arrays:
        steps.add({"cache": array})
    assert steps.joined()["cache"] is arrays[-1]
    assert [len(kept) for kept in steps._kept.values()] == [1]
