"""From places among the candidate tokens of a batch to ids and logits of the vocabulary."""

from __future__ import annotations

import numpy as np
import pytest
from lingolite_onnx.ort.candidates import BatchCandidates

from lingolite_cli.shortlist.candidates import IMPOSSIBLE

CANDIDATES = BatchCandidates(np.array([1, 4, 5, 9]), {}, vocab_size=11)


def test_logits_of_other_tokens_are_impossible() -> None:
    of_candidates = np.arange(8, dtype=np.float32).reshape(2, 4)
    logits = CANDIDATES.logits(of_candidates)
    assert logits.dtype == np.float32
    expected = [
        [dict(zip(CANDIDATES.ids.tolist(), row, strict=True)).get(token, np.float32(IMPOSSIBLE)) for token in range(11)]
        for row in of_candidates.tolist()
    ]
    np.testing.assert_array_equal(logits, np.array(expected, np.float32))


@pytest.mark.parametrize("k", [2, 4, 7, 30])
def test_the_best_tokens_are_ids_and_never_too_few(k: int) -> None:
    places = np.array([[3, 0, 2, 1], [1, 2, 0, 3]])[:, : min(k, 4)]
    log_probabilities = np.linspace(-0.5, -4, places.size, dtype=np.float32).reshape(places.shape)
    ids, found = CANDIDATES.top_k(places, log_probabilities, k)
    assert ids.shape == found.shape == (2, min(k, 11))
    num_candidates = places.shape[1]
    assert ids[:, :num_candidates].tolist() == [[[1, 4, 5, 9][place] for place in row] for row in places.tolist()]
    np.testing.assert_array_equal(found[:, :num_candidates], log_probabilities)
    assert (found[:, num_candidates:] == np.float32(IMPOSSIBLE)).all()
    assert all(len(set(row)) == len(row) for row in ids.tolist()), "no token twice"
