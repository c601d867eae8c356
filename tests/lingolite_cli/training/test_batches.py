"""Frames, padding, budgets and the repeatability of batches."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np

from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.training.examples import Examples, epoch_batches, examples_of


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
    sources, ids = [[9] * length for length in (5, 90, 6)], LINGOLITE.ids
    examples = Examples(sources, [[9, 2]] * 3, ids=ids, shares=[1.0] * 3, members=[0, 1, 2])
    assert sorted(map(sorted, cut(examples))) == [[0, 2], [1]]
