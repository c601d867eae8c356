"""The best next tokens, from logits and from an engine."""

from __future__ import annotations

import numpy as np
import pytest

from lingolite_cli.decoding.continuations import continuations, top_k
from lingolite_cli.errors import ExitCode, LingoLiteError


def expected_top_k(logits: np.ndarray, k: int) -> tuple[list[list[int]], np.ndarray]:
    """By a full sort in Python, and log-softmax in float64."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    ids = [sorted(range(len(row)), key=lambda id: (-row[id], id))[:k] for row in logits.tolist()]
    return ids, np.take_along_axis(log_probabilities, np.array(ids), axis=1)


@pytest.mark.parametrize("k", [1, 2, 5, 11])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_the_k_largest_in_order_with_their_log_probabilities(k: int, scale: float) -> None:
    logits = (np.random.default_rng(1).normal(0, scale, (3, 11)) + 40).astype(np.float32)
    before = logits.copy()
    ids, log_probabilities = top_k(logits, k)
    expected_ids, expected = expected_top_k(logits, k)
    assert ids.tolist() == expected_ids
    assert ids.dtype == np.int64
    assert log_probabilities.dtype == np.float32
    np.testing.assert_allclose(log_probabilities, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.parametrize("k", [1, 3, 8])
def test_equal_logits_are_ordered_by_id(k: int) -> None:
    logits = np.random.default_rng(2).integers(0, 3, (50, 8)).astype(np.float32)
    ids, _ = top_k(logits, k)
    assert ids.tolist() == expected_top_k(logits, k)[0]


def test_more_than_the_vocabulary_is_all_of_it() -> None:
    ids, log_probabilities = top_k(np.array([[0.0, 2.0, 1.0]], np.float32), 10)
    assert ids.tolist() == [[1, 2, 0]]
    assert np.exp(log_probabilities).sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("row", "possible"), [([-np.inf, 1.0, -np.inf, 3.0], [3, 1]), ([3.0, 1.0, -np.inf, -np.inf], [0, 1])]
)
def test_an_impossible_token_has_no_probability_and_comes_last(row: list[float], possible: list[int]) -> None:
    ids, log_probabilities = top_k(np.array([row], np.float32), 3)
    assert ids[0, :2].tolist() == possible
    assert log_probabilities[0, 2] == -np.inf
    assert np.exp(log_probabilities[0, :2]).sum() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("k", [1, 2])
def test_nan_and_infinity_are_refused(table, value: float, k: int) -> None:
    backend = table(lambda source, prefix: np.array([0.0, value, 1.0]))
    state = backend.encode(np.array([[4]]), np.array([[True]]))
    with pytest.raises(LingoLiteError, match="NaN") as caught:
        continuations(backend, frozenset())(state, np.array([1]), k)
    assert caught.value.exit_code == ExitCode.PLUGIN
