"""Beam search: several hypotheses a sentence, extended together.

Owns the beams, the pool of ended hypotheses and the rule for stopping. A active sentences, W beams each,
C candidates a sentence. Row `sentence · W + beam` of the backend's batch is that beam.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.decoding.hypothesis import Hypothesis, length_penalty, scored
from lingolite_cli.decoding.options import DecodingOptions

if TYPE_CHECKING:
    import numpy.typing as npt

    from lingolite_cli.arrays import BoolArray, IntArray
    from lingolite_cli.decoding.continuations import StepTopK
    from lingolite_cli.plugins.interfaces import Backend, State

    ScoreArray = npt.NDArray[np.float64]


def beam_search(
    backend: Backend,
    step_top_k: StepTopK,
    state: State,
    *,
    first: IntArray,
    limits: IntArray,
    end: int,
    options: DecodingOptions,
) -> list[list[Hypothesis]]:
    """Keep the `beam_size` most probable prefixes of each sentence, and return the `n_best` best that ended.

    At each step a sentence has the 2 · beam_size best continuations of its beams as candidates, ordered by
    log-probability, ties towards the smaller (beam, id). A candidate that ends with the end token is pooled when it is
    among the first beam_size, and forgotten otherwise; the first beam_size others are the beams of the next step. So
    far this is fairseq's search (Ott et al. 2019, arXiv:1904.01038).

    A sentence stops at the first of these:

    1. beam_size hypotheses are pooled (fairseq's rule);
    2. n_best are pooled, and no beam could overtake the n_best-th of them even if it ended at its limit without
       losing any more probability (Huang et al. 2017, "When to Finish?", D17-1227, with the length penalty of
       the limit as the bound). This changes no result of rule 1, it only ends the search sooner;
    3. its limit: the beams join the pool as they are, unfinished. fairseq ends them with the end token instead.

    The pool is ordered by score (log-probability over the length penalty), and equal scores by when they ended.

    Args:
        backend: whose `select` reorders beams and drops the rows of stopped sentences.
        step_top_k: from `continuations`.
        state: before the token `first`, one row a sentence.
        first: [sentences] int64, what the decoder reads before the first token of a hypothesis.
        limits: [sentences] int64, most tokens of each hypothesis; at most `max_length`.
        end: the end token.
        options: see `DecodingOptions`.

    Returns:
        At most `n_best` hypotheses a sentence, best first; fewer only when fewer sentences are possible.
    """
    beams = _Beams(first, limits, end=end, options=options)
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
        log_probabilities: [A, W]; -inf marks a beam that stands for no hypothesis.
        last_tokens: [A · W] what the backend reads next.
    """

    def __init__(self, first: IntArray, limits: IntArray, *, end: int, options: DecodingOptions) -> None:
        num_sentences = len(first)
        self._end = end
        self._options = options
        self._limits = limits
        self._longest_penalties = np.array(
            [length_penalty(limit, options.length_penalty) for limit in limits.tolist()], np.float64
        )
        self._pools: list[list[Hypothesis]] = [[] for _ in range(num_sentences)]
        self._num_pooled = np.zeros(num_sentences, np.int64)
        self._worst_kept = np.full(num_sentences, -np.inf)  # score of the n_best-th of each pool
        self._steps: list[tuple[IntArray, IntArray]] = []  # of each step: token and earlier row of every row, [A · W]
        self.sentences = np.arange(num_sentences)
        self.log_probabilities = np.zeros((num_sentences, 1))
        self.last_tokens = first

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
            gains = np.where(ids == self._end, -np.inf, gains)
        tokens, rows, scores = self._candidates(ids, gains)
        is_ended = tokens == self._end
        if is_ended.any():
            self._pool_ended(is_ended, rows, scores)
            scores = np.where(is_ended, -np.inf, scores)
            kept = _flat(np.argsort(-scores, axis=1, kind="stable")[:, : self._options.beam_size], tokens.shape[1])
            tokens, rows, scores = tokens.reshape(-1)[kept], rows.reshape(-1)[kept], scores.reshape(-1)[kept]
        else:
            kept_first = slice(self._options.beam_size)
            tokens, rows, scores = tokens[:, kept_first], rows[:, kept_first], scores[:, kept_first]
        is_last = self._limits[self.sentences] <= length
        if is_last.any():
            self._go_on(tokens, rows, scores)
            self._pool_unfinished(is_last)
            self._steps.pop()
        is_running = ~is_last & ~self._is_stopped(scores[:, 0])
        if not is_running.all():
            self.sentences = self.sentences[is_running]
            tokens, rows, scores = tokens[is_running], rows[is_running], scores[is_running]
        return self._go_on(tokens, rows, scores)

    def best(self) -> list[list[Hypothesis]]:
        """The `n_best` of each pool, best first."""
        return [sorted(pool, key=lambda hypothesis: -hypothesis.score)[: self._options.n_best] for pool in self._pools]

    def _candidates(self, ids: IntArray, gains: ScoreArray) -> tuple[IntArray, IntArray, ScoreArray]:
        """Last token, row of the parent beam and log-probability, each [A, C], of the best of each sentence."""
        k = ids.shape[1]
        scores = (self.log_probabilities.reshape(-1, 1) + gains).reshape(len(self.sentences), -1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : 2 * self._options.beam_size]
        flat = _flat(order, scores.shape[1])
        return ids.reshape(-1)[flat], flat // k, scores.reshape(-1)[flat]

    def _pool_ended(self, is_ended: BoolArray, rows: IntArray, scores: ScoreArray) -> None:
        first = slice(self._options.beam_size)
        for group, candidate in zip(*np.nonzero(is_ended[:, first] & np.isfinite(scores[:, first])), strict=True):
            tokens = (*self._prefix(rows[group, candidate]), self._end)
            self._pool(group, tokens, scores[group, candidate], is_finished=True)

    def _go_on(self, tokens: IntArray, rows: IntArray, scores: ScoreArray) -> IntArray:
        """Make these the beams, [A, W] each, and return the rows that they continue."""
        self.log_probabilities = scores
        self.last_tokens = tokens.reshape(-1)
        continued: IntArray = rows.reshape(-1)
        self._steps.append((self.last_tokens, continued))
        return continued

    def _pool_unfinished(self, is_last: BoolArray) -> None:
        """Pool the beams of sentences that reached their limit; `is_last` [A] says which."""
        width = self.log_probabilities.shape[1]
        unfinished = np.isfinite(self.log_probabilities) & is_last[:, None]
        for group, beam in zip(*np.nonzero(unfinished), strict=True):
            tokens = self._prefix(group * width + beam)
            self._pool(group, tokens, self.log_probabilities[group, beam], is_finished=False)

    def _prefix(self, row: int) -> tuple[int, ...]:
        """What was generated in a row of the last step."""
        tokens = []
        for last_tokens, continued in reversed(self._steps):
            tokens.append(int(last_tokens[row]))
            row = continued[row]
        return tuple(reversed(tokens))

    def _pool(self, group: int, tokens: tuple[int, ...], log_probability: float, *, is_finished: bool) -> None:
        alpha, sentence = self._options.length_penalty, self.sentences[group]
        pool = self._pools[sentence]
        pool.append(scored(tokens, float(log_probability), alpha=alpha, is_finished=is_finished))
        self._num_pooled[sentence] = len(pool)
        if len(pool) >= self._options.n_best:
            scores = sorted((hypothesis.score for hypothesis in pool), reverse=True)
            self._worst_kept[sentence] = scores[self._options.n_best - 1]

    def _is_stopped(self, most_probable: ScoreArray) -> BoolArray:
        """[A] which sentences are done; `most_probable` [A] is the log-probability of the best beam of each."""
        is_overtaken = self._worst_kept[self.sentences] >= most_probable / self._longest_penalties[self.sentences]
        is_full = self._num_pooled[self.sentences] >= self._options.beam_size
        stopped: BoolArray = is_overtaken | is_full | np.isneginf(most_probable)
        return stopped


def _flat(order: IntArray, width: int) -> IntArray:
    """Indices into rows of `width` elements as indices into all elements; of the shape of `order`, [A, …]."""
    flat: IntArray = order + np.arange(0, len(order) * width, width)[:, None]
    return flat
