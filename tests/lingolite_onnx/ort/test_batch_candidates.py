"""From the candidate tokens of rows to logits and best tokens of the vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
from lingolite_onnx.ort.candidates import join_candidates, logits_of_vocabulary, with_impossible_tokens

from lingolite_cli.shortlist.candidates import IMPOSSIBLE

CANDIDATES = np.array([[1, 4, 5, 9], [0, 2, 4, 10]])


def test_logits_of_other_tokens_are_impossible() -> None:
    of_candidates = np.arange(8, dtype=np.float32).reshape(2, 4)
    logits = logits_of_vocabulary(of_candidates, CANDIDATES, vocab_size=11)
    assert logits.dtype == np.float32
    expected = [
        [dict(zip(ids, row, strict=True)).get(token, np.float32(IMPOSSIBLE)) for token in range(11)]
        for ids, row in zip(CANDIDATES.tolist(), of_candidates.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(logits, np.array(expected, np.float32))


@pytest.mark.parametrize("count", [5, 7, 11])
def test_the_best_tokens_are_never_too_few_and_none_is_there_twice(count: int) -> None:
    best = np.array([[9, 1, 5, 4], [2, 4, 0, 10]])
    log_probabilities = np.linspace(-0.5, -4, best.size, dtype=np.float32).reshape(best.shape)
    ids, found = with_impossible_tokens((best, log_probabilities), CANDIDATES, count=count)
    assert ids.shape == found.shape == (2, count)
    assert ids[:, :4].tolist() == best.tolist()
    np.testing.assert_array_equal(found[:, :4], log_probabilities)
    assert (found[:, 4:] == np.float32(IMPOSSIBLE)).all()
    assert all(len(set(row)) == count and max(row) < 11 for row in ids.tolist())


def test_the_tokens_of_all_rows_are_joined_and_each_row_finds_its_own() -> None:
    joint, places = join_candidates(CANDIDATES, vocab_size=11)
    assert joint.tolist() == [0, 1, 2, 4, 5, 9, 10]
    assert places.shape == (2, 1, 4)
    np.testing.assert_array_equal(joint[places[:, 0]], CANDIDATES)
