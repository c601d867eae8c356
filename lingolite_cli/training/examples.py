"""The pairs of an epoch and their batches.

Owns which pairs make a batch, and its tensors: the source as in translation, the decoder's input from the start token,
its target up to the end token. How a text becomes ids is `lingolite_cli.training.reading`'s.
Shapes: N pairs, B rows of a batch, S and T its longest source and target.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import SpecialIds
from lingolite_cli.training.pair_ids import PairIds, Unsigned

Ints = NDArray[np.signedinteger[Any]]
_CHUNK = 1 << 16
"""Pairs that are looked at together."""


class Batch(NamedTuple):
    """One batch, padded on the right, all int64.

    Attributes:
        source_ids: [B, S].
        decoder_ids: [B, T], from the start token.
        labels: [B, T], up to the end token.
    """

    source_ids: Tensor
    decoder_ids: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(*(tensor.to(device) for tensor in self))


class Examples:
    """Texts as ids, and which of their pairs are in an epoch. Pairs are counted through all texts, N in all.

    Args:
        texts: each once.
        ids: special ids of the tokenizer.
        short_shares: of each text, how likely a short pair of it is to be in an epoch; 1 for always.
        members: the texts of an epoch; one may be there several times.

    Raises:
        LingoLiteError: there is no pair.
    """

    def __init__(
        self, texts: Sequence[PairIds], *, ids: SpecialIds, short_shares: Sequence[float], members: Sequence[int]
    ) -> None:
        self._texts = list(texts)
        self._members = list(members)
        self._short_shares = list(short_shares)
        self._starts = np.cumsum([0, *map(len, texts)])
        if self._starts[-1] == 0:
            raise LingoLiteError("no pair is left to train on", hint="see what was skipped, and why, in the warnings")
        self._lengths = texts[0].lengths if len(texts) == 1 else np.concatenate([text.lengths for text in texts])
        self.ids = ids

    @property
    def source_lengths(self) -> Unsigned:
        """[N]."""
        return self._lengths[:, 0]

    @property
    def target_lengths(self) -> Unsigned:
        """[N], the end token included."""
        return self._lengths[:, 1]

    def draw(self, random: np.random.Generator) -> Ints:
        """The pairs of an epoch in the order of their texts: short ones with the chance that their text gives them."""
        drawn = [indices for text in self._members for indices in self._draw(text, random)]
        return np.concatenate(drawn if any(map(len, drawn)) else list(map(self._all, self._members)))

    def _draw(self, text: int, random: np.random.Generator) -> Iterator[Ints]:
        is_short, share, first = self._texts[text].is_short, self._short_shares[text], int(self._starts[text])
        for start in range(0, len(is_short), _CHUNK):
            part = is_short[start : start + _CHUNK]
            is_drawn = (random.random(len(part)) < share) | ~part
            indices: Ints = (np.flatnonzero(is_drawn) + (first + start)).astype(self._index_type)
            yield indices

    def _all(self, text: int) -> Ints:
        return np.arange(self._starts[text], self._starts[text + 1], dtype=self._index_type)

    @property
    def _index_type(self) -> type[np.int32 | np.int64]:
        """Half the memory where it does."""
        return np.int32 if self._starts[-1] < 2**31 else np.int64

    def batch(self, indices: Ints) -> Batch:
        """The pairs `indices` [B] as tensors."""
        sources = np.full((len(indices), int(self.source_lengths[indices].max())), self.ids.pad, dtype=np.int64)
        targets = np.full((len(indices), int(self.target_lengths[indices].max())), self.ids.pad, dtype=np.int64)
        owners = np.searchsorted(self._starts, indices, side="right") - 1
        for owner in np.unique(owners).tolist():
            (rows,) = np.nonzero(owners == owner)
            own = (indices[rows] - self._starts[owner]).tolist()
            for row, (source, target) in zip(rows.tolist(), self._texts[owner].rows(own), strict=True):
                sources[row, : len(source)] = source
                targets[row, : len(target)] = target
        labels = torch.from_numpy(targets)
        decoder_ids = labels.roll(1, dims=1)
        # The last label of a longer row, the end token, is never read; that of a shorter one must be padding. The start
        # token comes after this: in some formats it is the end token.
        decoder_ids[decoder_ids == self.ids.end] = self.ids.pad
        decoder_ids[:, 0] = self.ids.start
        return Batch(torch.from_numpy(sources), decoder_ids, labels)


def epoch_batches(examples: Examples, *, batch_tokens: int, seed: int, epoch: int) -> list[Ints]:
    """The batches of an epoch, each an array of pairs; the same arguments give the same batches.

    Pairs are shuffled, sorted by length so that little is padding, cut at the budget, and the batches shuffled.

    Args:
        examples: the pairs.
        batch_tokens: most tokens of a batch on its longer side, padding included; a longer pair is a batch of its own.
        seed: of the run.
        epoch: counted from 0.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = examples.draw(random)
    random.shuffle(shuffled)
    sources, targets = examples.source_lengths[shuffled], examples.target_lengths[shuffled]
    order = shuffled[np.lexsort((sources, targets))]
    del shuffled, sources, targets  # each as long as the text has pairs
    longest = np.maximum(examples.source_lengths[order], examples.target_lengths[order])
    bounds = _bounds(_numbers(longest), batch_tokens)
    cut = [order[start:end] for start, end in pairwise(bounds)]
    return [cut[position] for position in random.permutation(len(cut))]


def _bounds(lengths: Iterable[int], batch_tokens: int) -> list[int]:
    """Where batches start, and the end."""
    bounds, longest, num_lengths = [0], 0, 0
    for position, length in enumerate(lengths):
        longest = max(longest, length)
        if (position - bounds[-1] + 1) * longest > batch_tokens and position > bounds[-1]:
            bounds.append(position)
            longest = length
        num_lengths += 1
    return [*bounds, num_lengths]


def _numbers(values: Unsigned) -> Iterator[int]:
    """The values as Python's numbers, a few at a time."""
    for start in range(0, len(values), _CHUNK):
        yield from values[start : start + _CHUNK].tolist()
