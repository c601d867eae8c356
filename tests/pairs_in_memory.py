"""Pairs of ids that tests write down themselves."""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.training.pair_ids import PairIds, PairIdsWriter, pairs_in_memory, smallest_type


def pairs_of(sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], *, short: Sequence[bool]) -> PairIds:
    """The pairs, of a vocabulary of 41."""

    def write(writer: PairIdsWriter) -> None:
        for source, target, is_short in zip(sources, targets, short, strict=True):
            writer.add(source, target, is_short=is_short)

    return pairs_in_memory(write, dtype=smallest_type(vocab_size=41, max_tokens=100))
