"""Batches by length, and padding."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lingolite_cli.decoding.batching import batches, pad
from lingolite_cli.testing.tiny import IDS

LENGTHS = [9, 3, 12, 3, 5, 8, 1, 4, 12, 30, 7]


@pytest.mark.parametrize(("batch_size", "max_batch_tokens"), [(1, 100), (3, 100), (4, 20), (50, 24), (2, 1)])
def test_every_sentence_is_in_one_batch_within_both_limits(batch_size: int, max_batch_tokens: int) -> None:
    groups = batches(LENGTHS, batch_size=batch_size, max_batch_tokens=max_batch_tokens)
    assert sorted(index for group in groups for index in group) == list(range(len(LENGTHS)))
    for group in groups:
        assert len(group) <= batch_size
        padded = len(group) * max(LENGTHS[index] for index in group)
        assert padded <= max_batch_tokens or len(group) == 1


def test_sentences_of_like_length_are_together() -> None:
    groups = batches(LENGTHS, batch_size=4, max_batch_tokens=1000)
    spans = sorted((LENGTHS[group[0]], LENGTHS[group[-1]]) for group in groups)
    assert all(high <= low for (_, high), (low, _) in pairwise(spans))


def test_the_batch_with_the_earliest_sentence_comes_first() -> None:
    groups = batches(LENGTHS, batch_size=2, max_batch_tokens=1000)
    assert [min(group) for group in groups] == sorted(min(group) for group in groups)
    assert len(groups) > 3


def test_no_sentence_is_no_batch() -> None:
    assert batches([], batch_size=4, max_batch_tokens=10) == []


def test_padding_is_on_the_right_and_masked() -> None:
    ids, mask = pad([[7, 8, 9], [5], [6, 4]], IDS.pad)
    assert ids.tolist() == [[7, 8, 9], [5, 0, 0], [6, 4, 0]]
    assert mask.tolist() == [[True] * 3, [True, False, False], [True, True, False]]
    assert ids.dtype == np.int64
    assert mask.dtype == np.bool_
