"""Pairs as token ids, and the batches of an epoch.

Owns the frame of training: the source as in translation, the decoder's input from the start token, its target up to
the end token.
Shapes: N pairs, B rows of a batch, S and T its longest source and target.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lingolite_cli.corpora.pairs import BadRows, Pair, Text, TextReport, good_pairs, read_rows
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.description import SpecialIds
from lingolite_cli.tokenization.tokenizer import Tokenizer
from lingolite_cli.training.options import TextOptions

Ints = NDArray[np.int64]


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


class _Ragged:
    """N rows of ids in one array of int32, which is small and fast to copy from."""

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self.lengths: Ints = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        self._starts = np.concatenate(([0], np.cumsum(self.lengths)))
        self._ids = np.fromiter((id for row in rows for id in row), dtype=np.int32, count=int(self._starts[-1]))

    def row(self, index: int) -> NDArray[np.int32]:
        return self._ids[self._starts[index] : self._starts[index + 1]]

    def padded(self, indices: Ints, pad_id: int) -> Tensor:
        """[B, longest] int64."""
        ids = np.full((len(indices), int(self.lengths[indices].max())), pad_id, dtype=np.int64)
        for position, index in enumerate(indices):
            row = self.row(int(index))
            ids[position, : len(row)] = row
        return torch.from_numpy(ids)


class Examples:
    """Pairs as ids.

    Args:
        sources: framed ids of each source.
        targets: ids of each target, the end token last.
        ids: special ids of the tokenizer.
        shares: of each pair, how likely it is to be in an epoch; 1 for always.
        members: the pairs of an epoch before any is left out; an index may be there several times.

    Raises:
        LingoLiteError: there is no pair.
    """

    def __init__(
        self,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        *,
        ids: SpecialIds,
        shares: Sequence[float],
        members: Sequence[int],
    ) -> None:
        if not members:
            raise LingoLiteError("no pair is left to train on", hint="see what was skipped, and why, in the warnings")
        self._sources, self._targets = _Ragged(sources), _Ragged(targets)
        self.ids = ids
        self.shares = np.array(shares, dtype=np.float64)
        self.members: Ints = np.array(members, dtype=np.int64)

    @property
    def source_lengths(self) -> Ints:
        """[N]."""
        return self._sources.lengths

    @property
    def target_lengths(self) -> Ints:
        """[N], the end token included."""
        return self._targets.lengths

    def batch(self, indices: Ints) -> Batch:
        """The pairs `indices` [B] as tensors."""
        labels = self._targets.padded(indices, self.ids.pad)
        decoder_ids = labels.roll(1, dims=1)
        # The last label of a longer row, the end token, is never read; that of a shorter one must be padding. The start
        # token comes after this: in some formats it is the end token.
        decoder_ids[decoder_ids == self.ids.end] = self.ids.pad
        decoder_ids[:, 0] = self.ids.start
        return Batch(self._sources.padded(indices, self.ids.pad), decoder_ids, labels)


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
    members = examples.members
    kept = members[random.random(len(members)) < examples.shares[members]]
    if len(kept) == 0:
        kept = members
    shuffled = random.permutation(kept)
    sources, targets = examples.source_lengths[shuffled], examples.target_lengths[shuffled]
    order = shuffled[np.lexsort((sources, targets))]
    longest = np.maximum(examples.source_lengths[order], examples.target_lengths[order])
    bounds = _bounds(longest.tolist(), batch_tokens)
    cut = [order[start:end] for start, end in pairwise(bounds)]
    return [cut[position] for position in random.permutation(len(cut))]


def _bounds(lengths: Sequence[int], batch_tokens: int) -> list[int]:
    """Where batches start, and the end."""
    bounds, longest = [0], 0
    for position, length in enumerate(lengths):
        longest = max(longest, length)
        if (position - bounds[-1] + 1) * longest > batch_tokens and position > bounds[-1]:
            bounds.append(position)
            longest = length
    return [*bounds, len(lengths)]


def read_examples(
    texts: Sequence[Text],
    tokenizer: Tokenizer,
    *,
    languages: tuple[str, str],
    positions: int,
    options: TextOptions,
) -> tuple[Examples, list[TextReport]]:
    """Read and tokenize texts.

    Args:
        texts: where they are. A text that is named several times counts as often in
            an epoch, and is read once.
        tokenizer: the model's own.
        languages: source and target language.
        positions: the model's.
        options: which pairs are good.

    Returns:
        the pairs, and a report on each different text.

    Raises:
        LingoLiteError: a file cannot be read, a bad row is refused, or no pair is left.
    """
    reader = _Reader(tokenizer, languages, max_tokens=min(options.max_tokens or positions, positions), options=options)
    for text in texts:
        reader.read(text)
    return reader.examples(reader.members), reader.reports


def examples_of(
    sources: Sequence[str], targets: Sequence[str], tokenizer: Tokenizer, *, languages: tuple[str, str], positions: int
) -> Examples:
    """Sentences as examples, without any check but the model's positions: a longer pair is left out.

    Raises:
        LingoLiteError: none is left.
    """
    reader = _Reader(tokenizer, languages, max_tokens=positions, options=TextOptions())
    bad = BadRows(is_refused=False)
    for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
        reader.add(Pair(source, target, f"sentence {number}"), bad, short_share=1.0)
    return reader.examples(range(len(reader.sources)))


class _Reader:
    def __init__(
        self, tokenizer: Tokenizer, languages: tuple[str, str], *, max_tokens: int, options: TextOptions
    ) -> None:
        self._tokenizer = tokenizer
        self._languages = languages
        self._prefix = tokenizer.decoding_ids(languages).prefix
        self._max_tokens = max_tokens
        self._options = options
        self._known: dict[Text, range] = {}
        self.sources: list[array[int]] = []  # a tenth of what lists of numbers take
        self.targets: list[array[int]] = []
        self.shares: list[float] = []
        self._num_short = 0
        self.members: list[int] = []
        self.reports: list[TextReport] = []

    def read(self, text: Text) -> None:
        if text not in self._known:
            self._known[text] = self._read_new(text)
        self.members.extend(self._known[text])

    def examples(self, members: Sequence[int]) -> Examples:
        """What was read, with the pairs `members` in an epoch."""
        ids = self._tokenizer.description.ids
        return Examples(self.sources, self.targets, ids=ids, shares=self.shares, members=members)

    def _read_new(self, text: Text) -> range:
        start, num_short = len(self.sources), self._num_short
        rows = read_rows(text.paths)
        bad = BadRows(is_refused=self._options.on_bad_data == "refuse")
        for pair in good_pairs(rows, bad):
            self.add(pair, bad, short_share=text.short_share)
        self.reports.append(
            TextReport(
                name=text.paths[0].name,
                num_rows=rows.num_rows,
                num_pairs=len(self.sources) - start,
                num_short=self._num_short - num_short,
                bad=bad.counts,
                first_bad=bad.first,
            )
        )
        return range(start, len(self.sources))

    def add(self, pair: Pair, bad: BadRows, *, short_share: float) -> None:
        source = self._tokenizer.encode_source(pair.source, self._languages, max_length=self._max_tokens)
        target = [*self._prefix, *self._tokenizer.encode_target(pair.target), self._tokenizer.description.ids.end]
        if source.is_truncated or len(target) > self._max_tokens:
            bad.add("over-long", pair.where)
            return
        self.sources.append(array("i", source.ids))
        self.targets.append(array("i", target))
        is_short = len(pair.source.split()) <= self._options.short_words
        self._num_short += is_short
        self.shares.append(short_share if is_short else 1.0)
