"""Frames, padding, budgets and the repeatability of batches."""

from __future__ import annotations

import hashlib
from itertools import chain
from pathlib import Path

import numpy as np
from pairs_in_memory import pairs_of

from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.training.examples import Examples, epoch_batches
from lingolite_cli.training.pair_ids import PairIds
from lingolite_cli.training.reading import examples_of


def cut(examples: Examples, *, seed: int = 1, epoch: int = 0) -> list[list[int]]:
    """An epoch's batches as lists."""
    found = epoch_batches(examples, batch_tokens=60, seed=seed, epoch=epoch)
    return [indices.tolist() for indices in found]


def test_frames_are_those_of_translation(small_tokenizer: Path) -> None:
    tokenizer = read_tokenizer(small_tokenizer)
    examples = examples_of(
        ["the cat", "a dog ran"], ["katten", "hund på måtten"], tokenizer, languages=("en", "da"), positions=64
    )
    batch = examples.batch(np.array([0, 1]))

    sources = [tokenizer.encode_source(text, ("en", "da"), max_length=64).ids for text in ("the cat", "a dog ran")]
    targets = [tokenizer.encode(text) for text in ("katten", "hund på måtten")]
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        assert batch.source_ids[row].tolist() == source + [0] * (batch.source_ids.size(1) - len(source))
        padding = [0] * (batch.labels.size(1) - len(target) - 1)
        assert batch.labels[row].tolist() == [*target, 2, *padding]
        assert batch.decoder_ids[row].tolist() == [1, *target, *padding]
    assert len(targets[0]) != len(targets[1])


def test_every_pair_of_an_epoch_is_in_one_batch_within_the_budget(examples: Examples) -> None:
    batches = cut(examples)
    members = list(chain(*batches))
    assert len(members) == len(set(members))
    assert {index for index in range(31) if index % 3} <= set(members)
    longest = np.maximum(examples.source_lengths, examples.target_lengths)
    assert max(len(batch) * longest[batch].max() for batch in batches) <= 60
    assert len(batches) > 4


def test_pairs_of_like_length_share_a_batch(examples: Examples) -> None:
    spreads = [np.ptp(examples.target_lengths[batch]) for batch in cut(examples)]
    assert np.mean(spreads) <= 1.5  # six lengths lie apart in random batches


def test_batches_depend_on_seed_and_epoch_alone(examples: Examples) -> None:
    assert cut(examples) == cut(examples)
    assert cut(examples) != cut(examples, epoch=1)
    assert cut(examples) != cut(examples, seed=2)


def test_short_pairs_are_sampled_anew_each_epoch(examples: Examples) -> None:
    epochs = [set(chain(*cut(examples, epoch=epoch))) for epoch in range(20)]
    always = {index for index in range(31) if index % 3}
    assert all(always <= epoch for epoch in epochs)
    assert 4 < np.mean([len(epoch - always) for epoch in epochs]) < 7  # of 11
    assert len(set(map(frozenset, epochs))) > 15


def test_long_pair_is_a_batch_of_its_own() -> None:
    pairs = pairs_of([[9] * length for length in (5, 90, 6)], [[9, 2]] * 3, short=[False] * 3)
    examples = Examples([pairs], ids=LINGOLITE.ids, short_shares=[1.0], members=[0])
    assert sorted(map(sorted, cut(examples))) == [[0, 2], [1]]


def test_batches_are_those_of_earlier_versions(examples: Examples) -> None:
    """A training goes on where an earlier version left it. Drawn by the code that kept all ids in memory."""
    pairs = examples._texts
    twice = Examples(pairs, ids=LINGOLITE.ids, short_shares=[0.5], members=[0, 0])
    assert cut(twice, seed=17) == [
        [4, 4, 25, 25, 19, 19], [17, 17, 18, 11, 11], [27, 27, 20, 20, 13, 13], [6, 6], [7, 1, 1, 29, 29, 22],
        [28, 28, 21, 14, 14, 7], [9, 2, 2, 30, 30, 23, 23], [22, 15, 15, 8, 8], [16, 16, 10, 10, 3], [12, 5, 5, 26, 26],
    ]  # fmt: skip
    seen = hashlib.sha256()
    for epoch in range(5):
        for batch in epoch_batches(twice, batch_tokens=60, seed=17, epoch=epoch):
            for tensor in twice.batch(batch):
                seen.update(repr(tensor.tolist()).encode())
    assert seen.hexdigest() == "50a1413cfd00c62930694bbcd643952e8797e3af684a8791cf3611d6c12c530d"


def test_batches_of_a_large_text_are_those_of_earlier_versions() -> None:
    """More pairs than are looked at together."""
    random = np.random.default_rng(3)
    sources, targets = random.integers(3, 60, 200_000), random.integers(2, 60, 200_000)
    lengths = np.stack([sources, targets], axis=1).astype(np.uint16)
    pairs = PairIds(np.zeros(int(lengths.sum()), np.uint16), lengths, sources < 8)
    examples = Examples([pairs], ids=LINGOLITE.ids, short_shares=[0.3], members=[0])
    seen = hashlib.sha256()
    for epoch in range(2):
        for batch in epoch_batches(examples, batch_tokens=4096, seed=5, epoch=epoch):
            seen.update(repr(batch.tolist()).encode())
    assert seen.hexdigest() == "d9c96239c4fa1ea4662270498b7851b4fc557674babf89212cee28f045df3e85"
