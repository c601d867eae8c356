"""Greedy search against the definition, on a table of logits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lingolite_cli.decoding.greedy import DROP_SHARE
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.testing.tiny import IDS


def by_definition(gains, *, max_length: int, min_length: int = 0) -> tuple[int, ...]:
    """Token by token: the most probable one, or the most probable but `</s>` while that is too early."""
    tokens: tuple[int, ...] = ()
    while len(tokens) < max_length and IDS.end not in tokens:
        row = gains(tokens)
        if len(tokens) < min_length:
            row[IDS.end] = -np.inf
        tokens = (*tokens, int(row.argmax()))
    return tokens


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("max_length", "min_length"), [(12, 0), (1, 0), (12, 5), (4, 4)])
def test_every_token_is_the_most_probable(
    table, hashed, oracle, sources, seed: int, max_length: int, min_length: int
) -> None:
    logits_of = hashed(seed, end_bonus=1.0)
    options = DecodingOptions(max_length=max_length, min_length=min_length, length_penalty=0.7)
    found = search(table(logits_of), *sources, ids=IDS, options=options)
    for ids, mask, [hypothesis] in zip(*sources, found, strict=True):
        truth = oracle(logits_of, tuple(ids[mask].tolist()))
        tokens = by_definition(truth.gains, max_length=max_length, min_length=min_length)
        assert hypothesis.tokens == tokens
        assert hypothesis.is_finished == (tokens[-1] == IDS.end)
        assert hypothesis.log_probability == pytest.approx(truth.log_probability(tokens), abs=1e-5)
        assert hypothesis.score == pytest.approx(
            truth.log_probability(tokens) / ((5 + len(tokens)) / 6) ** 0.7, abs=1e-5
        )


def test_hypotheses_end_at_different_lengths_and_some_not_at_all(table, hashed, sources) -> None:
    found = search(table(hashed(0, end_bonus=1.0)), *sources, ids=IDS, options=DecodingOptions(max_length=6))
    assert len({len(hypotheses[0].tokens) for hypotheses in found}) > 2
    assert {hypotheses[0].is_finished for hypotheses in found} == {True, False}


def test_a_tie_goes_to_the_smaller_id(table, sources) -> None:
    backend = table(lambda source, prefix: np.array([0.0, 0, 0, 2, 1, 2, 2]))
    found = search(backend, *sources, ids=IDS, options=DecodingOptions(max_length=3))
    assert [hypotheses[0].tokens for hypotheses in found] == [(3, 3, 3)] * 5


def test_the_end_forbidden_leaves_the_second_best_of_a_tie(table, sources) -> None:
    backend = table(lambda source, prefix: np.array([0.0, 0, 2, 0, 1, 1, 0]))
    found = search(backend, *sources, ids=IDS, options=DecodingOptions(max_length=3, min_length=2))
    assert [hypotheses[0].tokens for hypotheses in found] == [(4, 4, IDS.end)] * 5


@pytest.mark.parametrize("seed", range(4))
def test_a_finished_row_leaves_the_batch_at_once_when_it_is_small(table, hashed, sources, seed: int) -> None:
    backend = table(hashed(seed, end_bonus=1.0))
    found = search(backend, *sources, ids=IDS, options=DecodingOptions(max_length=15))
    lengths = [len(hypotheses[0].tokens) for hypotheses in found]
    expected = [sum(length > step for length in lengths) for step in range(max(lengths))]
    assert backend.batch_sizes == expected


def test_a_large_batch_shrinks_only_when_enough_rows_have_finished(table, hashed) -> None:
    count = 100
    ids = np.array([[3 + row % 4, 3 + row // 4] for row in range(count)])
    backend = table(hashed(3))
    found = search(backend, ids, ids > 0, ids=IDS, options=DecodingOptions(max_length=40))
    lengths = np.array([len(hypotheses[0].tokens) for hypotheses in found])
    sizes = backend.batch_sizes
    assert len(set(sizes)) > 3
    for step, (before, after) in enumerate(pairwise(sizes), start=1):
        num_live = int((lengths > step).sum())
        if after < before:
            assert after == num_live
            assert before - after >= DROP_SHARE * before
        else:
            assert before - num_live < DROP_SHARE * before


def test_a_row_that_waits_to_be_dropped_says_nothing_more(table) -> None:
    """One of forty rows ends at once: too few to be dropped."""
    ids = np.arange(3, 43)[:, None]

    def logits_of(source: tuple[int, ...], prefix: tuple[int, ...]) -> np.ndarray:
        logits = np.zeros(50)
        logits[IDS.end if source == (3,) and prefix == (IDS.start,) else 7] = 5.0
        return logits

    backend = table(logits_of)
    found = search(backend, ids, ids > 0, ids=IDS, options=DecodingOptions(max_length=3))
    assert backend.batch_sizes == [40, 40, 40]
    assert found[0][0].tokens == (IDS.end,)
    assert found[0][0].log_probability == pytest.approx(5 - np.log(49 + np.exp(5)), abs=1e-5)
    assert all(hypotheses[0].tokens == (7, 7, 7) for hypotheses in found[1:])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("min_length", [0, 3])
def test_the_engines_choice_gives_the_same_tokens(
    table, top_k_table, hashed, sources, tokens_of, seed: int, min_length: int
) -> None:
    options = DecodingOptions(max_length=10, min_length=min_length)
    logits_of = hashed(seed, end_bonus=1.0)
    own = search(top_k_table(logits_of), *sources, ids=IDS, options=options, capabilities=frozenset({"top_k"}))
    assert tokens_of(own) == tokens_of(search(table(logits_of), *sources, ids=IDS, options=options))
