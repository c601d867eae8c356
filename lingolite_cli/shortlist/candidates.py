"""Which target tokens a batch can need, by a shortlist.

Owns the choice and the logit of what was not chosen; the file is `lingolite_cli.shortlist.shortlist`'s. B batch, S
source, V vocabulary, N chosen target tokens of a row.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.shortlist import NO_TOKEN, Shortlist
from lingolite_cli.tokenization.tokenizer import Tokenizer

IMPOSSIBLE = -1e30
"""The logit of a target token that is not on the shortlist; finite, so that differences of logits are finite."""


class Candidates(msgspec.Struct, frozen=True):
    """The target tokens of a batch, row by row: no row depends on its batch-mates.

    Attributes:
        ids: [B, N] int64, ascending in each row. The lowest other ids fill up rows that have fewer than others.
        is_own: [B, N] bool, which of them are on the row's shortlist.
    """

    ids: npt.NDArray[np.int64]
    is_own: npt.NDArray[np.bool_]


class CandidateChooser:
    """Which target tokens the sources of a batch can need.

    Args:
        shortlist: of the model that runs.

    Attributes:
        vocab_size: V.
    """

    def __init__(self, shortlist: Shortlist) -> None:
        self.vocab_size = vocab_size = shortlist.target_vocab_size
        candidates = np.where(shortlist.candidates == NO_TOKEN, vocab_size, shortlist.candidates)
        nothing = np.full((1, candidates.shape[1]), vocab_size)
        # A row more for padding, and an id more for no token: neither needs a branch.
        self._candidates = np.concatenate([candidates, nothing]).astype(np.int64)
        self._is_frequent = np.zeros(vocab_size + 1, np.bool_)
        self._is_frequent[shortlist.frequent] = True
        self._multiple_of = shortlist.multiple_of

    def choose(self, source_ids: npt.NDArray[np.int64], source_mask: npt.NDArray[np.bool_]) -> Candidates:
        """The target tokens of sources [B, S] int64, whose real tokens are true in `source_mask` [B, S] bool."""
        rows, length = source_ids.shape
        num_candidates = length * self._candidates.shape[1]
        padding = len(self._candidates) - 1
        tokens = np.where(source_mask, source_ids, padding)
        is_known = np.empty((rows, self.vocab_size + 1), np.bool_)
        is_known[:] = self._is_frequent
        is_known[np.arange(rows)[:, None], self._candidates[tokens].reshape(rows, num_candidates)] = True
        is_known[:, -1] = False
        counts = [int(np.count_nonzero(row)) for row in is_known]
        # A sentence is filled up to a multiple by what becomes its own, so that its text is that of any batch.
        own_counts = [min(count + -count % self._multiple_of, self.vocab_size) for count in counts]
        longest = max(own_counts, default=0)
        lowest_others = [
            np.flatnonzero(~row[:longest])[: longest - count]  # of `longest` ids, no more than `count` are known
            for row, count in zip(is_known, counts, strict=True)
        ]
        for row, others in zip(is_known, lowest_others, strict=True):
            row[others] = True
        ids = np.flatnonzero(is_known).reshape(rows, longest) - np.arange(rows)[:, None] * (self.vocab_size + 1)
        is_own = np.ones((rows, longest), np.bool_)
        for place, others in enumerate(lowest_others):
            not_own = others[own_counts[place] - counts[place] :]
            is_own[place, np.searchsorted(ids[place], not_own)] = False
        return Candidates(ids, is_own)


class DirectedChooser(CandidateChooser):
    """The same for framed sources, and for the one direction that the shortlist was learned for.

    Args:
        shortlist: of the model that runs.
        tokenizer: the model's.
    """

    def __init__(self, shortlist: Shortlist, tokenizer: Tokenizer) -> None:
        super().__init__(shortlist)
        self._tokenizer = tokenizer
        self._direction = shortlist.details.languages

    def choose(self, source_ids: npt.NDArray[np.int64], source_mask: npt.NDArray[np.bool_]) -> Candidates:
        """As `CandidateChooser.choose`.

        Raises:
            LingoLiteError: a source is framed for other languages.
        """
        last = np.maximum(source_mask.sum(axis=1) - 1, 0)
        for row, place in enumerate(last.tolist()):
            found = self._tokenizer.framed_languages(source_ids[row, : place + 1].tolist())
            framed = tuple(language or own for language, own in zip(found, self._direction, strict=True))
            if framed != self._direction:
                raise LingoLiteError(
                    f"the shortlist is for {'-'.join(self._direction)}, and a source is {'-'.join(framed)}",
                    hint="translate without --shortlist",
                )
        return super().choose(source_ids, source_mask)
