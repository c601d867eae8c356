"""Greedy search: the most probable next token, step by step.

Owns the loop and the dropping of finished rows. B sentences, R rows still in the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.decoding.hypothesis import Hypothesis, scored
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.tokenization.tokenizer import BOS_ID, EOS_ID

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray, IntArray
    from lingolite_cli.decoding.continuations import StepTopK
    from lingolite_cli.plugins.interfaces import Backend, State

DROP_SHARE = 1 / 16
"""Finished rows leave the batch when they are at least this share of it: `select` copies a whole cache, so it should
pay for itself within a few steps."""


def greedy_search(
    backend: Backend, step_top_k: StepTopK, state: State, *, num_sentences: int, options: DecodingOptions
) -> list[list[Hypothesis]]:
    """Take the most probable token of each row until `</s>` or `max_length`; ties go to the smaller id.

    Args:
        backend: whose `select` drops finished rows.
        step_top_k: from `continuations`.
        state: before the first target token, one row a sentence.
        num_sentences: B.
        options: `beam_size`, `n_best` and, but for the score, `length_penalty` play no part.

    Returns:
        One hypothesis a sentence.
    """
    tokens = np.full((num_sentences, options.max_length), EOS_ID, np.int64)
    log_probabilities = np.zeros(num_sentences)
    lengths = np.zeros(num_sentences, np.int64)
    sentences, is_live = np.arange(num_sentences), np.ones(num_sentences, np.bool_)
    last = np.full(num_sentences, BOS_ID, np.int64)
    for length in range(1, options.max_length + 1):
        last, gains = _best(step_top_k, state, last, is_end_allowed=length > options.min_length)
        rows = sentences[is_live]
        tokens[rows, length - 1] = last[is_live]
        log_probabilities[rows] += gains[is_live]
        lengths[rows] = length
        is_live &= last != EOS_ID
        num_finished = len(is_live) - np.count_nonzero(is_live)
        if num_finished == len(is_live):
            break
        if num_finished and num_finished >= DROP_SHARE * len(is_live):
            kept = np.flatnonzero(is_live)
            state = backend.select(state, kept)
            sentences, last, is_live = sentences[kept], last[kept], is_live[kept]
    return [
        [_hypothesis(tokens[index, : lengths[index]], log_probabilities[index], options)]
        for index in range(num_sentences)
    ]


def greedy_prefixes(step_top_k: StepTopK, state: State, *, options: DecodingOptions) -> Iterator[Hypothesis]:
    """The hypothesis of `greedy_search` for a single sentence, after each of its tokens."""
    tokens: list[int] = []
    log_probability = 0.0
    last = np.full(1, BOS_ID, np.int64)
    for length in range(1, options.max_length + 1):
        last, gains = _best(step_top_k, state, last, is_end_allowed=length > options.min_length)
        tokens.append(int(last[0]))
        log_probability += float(gains[0])
        is_finished = tokens[-1] == EOS_ID
        yield scored(tuple(tokens), log_probability, alpha=options.length_penalty, is_finished=is_finished)
        if is_finished:
            return


def _best(step_top_k: StepTopK, state: State, last: IntArray, *, is_end_allowed: bool) -> tuple[IntArray, FloatArray]:
    """The best token of each row and its log-probability, both [R]; the second best where `</s>` may not stand."""
    if is_end_allowed:
        ids, gains = step_top_k(state, last, 1)
        return ids[:, 0], gains[:, 0]
    ids, gains = step_top_k(state, last, 2)
    rank = (ids[:, 0] == EOS_ID).astype(np.int64)
    rows = np.arange(len(ids))
    return ids[rows, rank], gains[rows, rank]


def _hypothesis(tokens: IntArray, log_probability: float, options: DecodingOptions) -> Hypothesis:
    return scored(
        tuple(tokens.tolist()),
        float(log_probability),
        alpha=options.length_penalty,
        is_finished=bool(tokens[-1] == EOS_ID),
    )
