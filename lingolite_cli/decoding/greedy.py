"""Greedy search: the most probable next token, step by step.

Owns the loop and the dropping of finished rows. B sentences, R rows still in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.decoding.hypothesis import Hypothesis, scored
from lingolite_cli.decoding.options import DecodingOptions

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray, IntArray
    from lingolite_cli.decoding.continuations import StepTopK
    from lingolite_cli.plugins.interfaces import Backend, State

DROP_SHARE = 1 / 16
"""Finished rows leave the batch when they are at least this share of it: `select` copies a whole cache, so it should
pay for itself within a few steps."""


def greedy_search(
    backend: Backend,
    step_top_k: StepTopK,
    state: State,
    *,
    first: IntArray,
    limits: IntArray,
    end: int,
    options: DecodingOptions,
) -> list[list[Hypothesis]]:
    """Take the most probable token of each row until the end token or the row's limit; ties go to the smaller id.

    Args:
        backend: whose `select` drops finished rows.
        step_top_k: from `continuations`.
        state: before the token `first`, one row a sentence.
        first: [B] int64, what the decoder reads before the first token of a hypothesis.
        limits: [B] int64, most tokens of each hypothesis; at most `max_length`.
        end: the end token.
        options: `beam_size`, `n_best` and, but for the score, `length_penalty` play no part.

    Returns:
        One hypothesis a sentence.
    """
    num_sentences = len(first)
    if num_sentences == 1:
        prefixes = _prefixes(step_top_k, state, first=first, limit=int(limits[0]), end=end, options=options)
        *_, (found, log_probability) = prefixes
        return [[_hypothesis(found, log_probability, end=end, options=options)]]
    tokens = np.full((num_sentences, options.max_length), end, np.int64)
    log_probabilities = np.zeros(num_sentences)
    lengths = np.zeros(num_sentences, np.int64)
    sentences, is_live = np.arange(num_sentences), np.ones(num_sentences, np.bool_)
    last = first
    for length in range(1, options.max_length + 1):
        last, gains = _best(step_top_k, state, last, barred=None if length > options.min_length else end)
        rows = sentences[is_live]
        tokens[rows, length - 1] = last[is_live]
        log_probabilities[rows] += gains[is_live]
        lengths[rows] = length
        is_live &= (last != end) & (limits[sentences] > length)
        num_finished = len(is_live) - np.count_nonzero(is_live)
        if num_finished == len(is_live):
            break
        if num_finished and num_finished >= DROP_SHARE * len(is_live):
            kept = np.flatnonzero(is_live)
            state = backend.select(state, kept)
            sentences, last, is_live = sentences[kept], last[kept], is_live[kept]
    return [
        [_hypothesis(tokens[index, : lengths[index]].tolist(), log_probabilities[index], end=end, options=options)]
        for index in range(num_sentences)
    ]


def greedy_prefixes(
    step_top_k: StepTopK, state: State, *, first: IntArray, limit: int, end: int, options: DecodingOptions
) -> Iterator[Hypothesis]:
    """The hypothesis of `greedy_search` for a single sentence, after each of its tokens."""
    for tokens, log_probability in _prefixes(step_top_k, state, first=first, limit=limit, end=end, options=options):
        yield _hypothesis(tokens, log_probability, end=end, options=options)


def _prefixes(
    step_top_k: StepTopK, state: State, *, first: IntArray, limit: int, end: int, options: DecodingOptions
) -> Iterator[tuple[list[int], float]]:
    """The tokens of a single sentence so far, always in the same list, and their log-probability, after each token.

    One sentence in Python's numbers: operations on arrays of one element take longer than the rest of the loop.
    """
    tokens: list[int] = []
    log_probability = 0.0
    last = first
    for length in range(1, limit + 1):
        last, gains = _best(step_top_k, state, last, barred=None if length > options.min_length else end)
        tokens.append(int(last[0]))
        log_probability += float(gains[0])
        yield tokens, log_probability
        if tokens[-1] == end:
            return


def _best(step_top_k: StepTopK, state: State, last: IntArray, *, barred: int | None) -> tuple[IntArray, FloatArray]:
    """The best token of each row and its log-probability, both [R]; the second best where `barred` is the best."""
    if barred is None:
        ids, gains = step_top_k(state, last, 1)
        return ids[:, 0], gains[:, 0]
    ids, gains = step_top_k(state, last, 2)
    rank = (ids[:, 0] == barred).astype(np.int64)
    rows = np.arange(len(ids))
    return ids[rows, rank], gains[rows, rank]


def _hypothesis(tokens: list[int], log_probability: float, *, end: int, options: DecodingOptions) -> Hypothesis:
    is_finished = tokens[-1] == end
    return scored(tuple(tokens), float(log_probability), alpha=options.length_penalty, is_finished=is_finished)
