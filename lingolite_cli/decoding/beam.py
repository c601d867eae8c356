"""Beam search: several hypotheses a sentence, extended together.

Owns the beams, the pool of ended hypotheses and the rule for stopping. A active sentences, W beams each,
C candidates a sentence, T tokens so far. Row `sentence · W + beam` of the backend's batch is that beam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.decoding.hypothesis import Hypothesis, length_penalty, scored
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.tokenizer import BOS_ID, EOS_ID

if TYPE_CHECKING:
    import numpy.typing as npt

    from lingolite_cli.decoding.continuations import StepTopK
    from lingolite_cli.plugins.interfaces import Backend, BoolArray, IntArray, State

    ScoreArray = npt.NDArray[np.float64]


def beam_search(
    backend: Backend, step_top_k: StepTopK, state: State, *, num_sentences: int, options: DecodingOptions
) -> list[list[Hypothesis]]:
    """Keep the `beam_size` most probable prefixes of each sentence, and return the `n_best` best that ended.

    At each step a sentence has the 2 · beam_size best continuations of its beams as candidates, ordered by
    log-probability, ties towards the smaller (beam, id). A candidate that ends with `</s>` is pooled when it is among
    the first beam_size, and forgotten otherwise; the first beam_size others are the beams of the next step. So far this
    is fairseq's search (Ott et al. 2019, arXiv:1904.01038).

    A sentence stops at the first of these:

    1. beam_size hypotheses are pooled (fairseq's rule);
    2. n_best are pooled, and no beam could overtake the n_best-th of them even if it ended at `max_length` without
       losing any more probability (Huang et al. 2017, "When to Finish?", D17-1227, with the length penalty of
       `max_length` as the bound). This changes no result of rule 1, it only ends the search sooner;
    3. `max_length`: the beams join the pool as they are, unfinished, unlike in fairseq, which ends them with `</s>`.

    The pool is ordered by score (log-probability over the length penalty), and equal scores by when they ended.

    Args:
        backend: whose `select` reorders beams and drops the rows of stopped sentences.
        step_top_k: from `continuations`.
        state: before the first target token, one row a sentence.
        num_sentences: sentences in the batch.
        options: see `DecodingOptions`.

    Returns:
        At most `n_best` hypotheses a sentence, best first; fewer only when fewer sentences are possible.
    """
    beams = _Beams(num_sentences, options)
    for length in range(1, options.max_length + 1):
        ids, gains = step_top_k(state, beams.last_tokens, 2 * options.beam_size)
        rows = beams.extend(ids, gains.astype(np.float64), length=length)
        if not len(rows):
            break
        if not np.array_equal(rows, np.arange(len(ids))):
            state = backend.select(state, rows)
    return beams.best()


class _Beams:
    """The beams of the sentences that still run, and the pools of all.

    Attributes:
        sentences: [A] which sentence each group of beams belongs to.
        tokens: [A, W, T] generated so far.
        log_probabilities: [A, W]; -inf marks a beam that stands for no hypothesis.
    """

    def __init__(self, num_sentences: int, options: DecodingOptions) -> None:
        self._options = options
        self._pools: list[list[Hypothesis]] = [[] for _ in range(num_sentences)]
        self._longest_penalty = length_penalty(options.max_length, options.length_penalty)
        self.sentences = np.arange(num_sentences)
        self.tokens = np.empty((num_sentences, 1, 0), np.int64)
        self.log_probabilities = np.zeros((num_sentences, 1))

    @property
    def last_tokens(self) -> IntArray:
        """[A · W] what the backend reads next."""
        if not self.tokens.shape[2]:
            return np.full(len(self.sentences), BOS_ID, np.int64)
        return self.tokens[:, :, -1].reshape(-1)

    def extend(self, ids: IntArray, gains: ScoreArray, *, length: int) -> IntArray:
        """Go on with the best candidates, and stop the sentences that are done.

        Args:
            ids: [A · W, k] continuations of each beam, best first.
            gains: [A · W, k] their log-probabilities.
            length: tokens of a hypothesis after this step.

        Returns:
            The rows of the backend's batch that the new beams continue; none when all sentences have stopped.
        """
        if length <= self._options.min_length:
            gains = np.where(ids == EOS_ID, -np.inf, gains)
        num_groups, width, _ = self.tokens.shape
        candidates, parents, scores = self._candidates(ids, gains)
        self._pool_ended(candidates, parents, scores)
        scores = np.where(candidates == EOS_ID, -np.inf, scores)
        kept = np.argsort(-scores, axis=1, kind="stable")[:, : self._options.beam_size]
        parents = np.take_along_axis(parents, kept, axis=1)
        candidates = np.take_along_axis(candidates, kept, axis=1)
        self.log_probabilities = np.take_along_axis(scores, kept, axis=1)
        prefixes = np.take_along_axis(self.tokens, parents[:, :, None], axis=1)
        self.tokens = np.concatenate([prefixes, candidates[:, :, None]], axis=2)
        if length == self._options.max_length:
            self._pool_unfinished()
            return np.empty(0, np.int64)
        rows: IntArray = np.arange(num_groups)[:, None] * width + parents
        is_running = self._drop_stopped()
        return rows[is_running].reshape(-1)

    def best(self) -> list[list[Hypothesis]]:
        """The `n_best` of each pool, best first."""
        return [sorted(pool, key=lambda hypothesis: -hypothesis.score)[: self._options.n_best] for pool in self._pools]

    def _candidates(self, ids: IntArray, gains: ScoreArray) -> tuple[IntArray, IntArray, ScoreArray]:
        """Last token, parent beam and log-probability, each [A, C], of the best continuations of each sentence."""
        num_groups, width = self.log_probabilities.shape
        k = ids.shape[1]
        scores = (self.log_probabilities.reshape(-1, 1) + gains).reshape(num_groups, width * k)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * self._options.beam_size]
        candidates = np.take_along_axis(ids.reshape(num_groups, -1), order, axis=1)
        return candidates, order // k, np.take_along_axis(scores, order, axis=1)

    def _pool_ended(self, candidates: IntArray, parents: IntArray, scores: ScoreArray) -> None:
        first = slice(self._options.beam_size)
        is_ended = (candidates[:, first] == EOS_ID) & np.isfinite(scores[:, first])
        for group, candidate in zip(*np.nonzero(is_ended), strict=True):
            prefix = self.tokens[group, parents[group, candidate]].tolist()
            self._pool(group, (*prefix, EOS_ID), scores[group, candidate], is_finished=True)

    def _pool_unfinished(self) -> None:
        for group, beam in zip(*np.nonzero(np.isfinite(self.log_probabilities)), strict=True):
            tokens = tuple(self.tokens[group, beam].tolist())
            self._pool(group, tokens, self.log_probabilities[group, beam], is_finished=False)

    def _pool(self, group: int, tokens: tuple[int, ...], log_probability: float, *, is_finished: bool) -> None:
        alpha = self._options.length_penalty
        hypothesis = scored(tokens, float(log_probability), alpha=alpha, is_finished=is_finished)
        self._pools[self.sentences[group]].append(hypothesis)

    def _drop_stopped(self) -> BoolArray:
        """[A] which sentences still run; the beams of the others are dropped."""
        is_running = np.array([not self._is_stopped(group) for group in range(len(self.sentences))])
        if not is_running.all():
            self.sentences = self.sentences[is_running]
            self.tokens = self.tokens[is_running]
            self.log_probabilities = self.log_probabilities[is_running]
        return is_running

    def _is_stopped(self, group: int) -> bool:
        pool = self._pools[self.sentences[group]]
        most_probable = self.log_probabilities[group, 0]
        if len(pool) >= self._options.beam_size or most_probable == -np.inf:
            return True
        if len(pool) < self._options.n_best:
            return False
        worst_kept = sorted((hypothesis.score for hypothesis in pool), reverse=True)[self._options.n_best - 1]
        return bool(worst_kept >= most_probable / self._longest_penalty)
