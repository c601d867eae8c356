"""Batches of sources of like length, and the arrays they become.

Owns which sentences share a batch and the padding. B sentences, S tokens of the longest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray


def batches(lengths: Sequence[int], *, batch_size: int, max_batch_tokens: int) -> list[list[int]]:
    """Group sentences of like length, so that little of a batch is padding.

    Args:
        lengths: source tokens of each sentence.
        batch_size: most sentences in a batch.
        max_batch_tokens: most source tokens in a batch, padding included; a longer sentence has a batch of its own.

    Returns:
        Indices into `lengths`, each once. The batch that holds the earliest sentence comes first, so that results
        can be given out in input order as soon as may be.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        if groups and _has_room(groups[-1], lengths[index], batch_size, max_batch_tokens):
            groups[-1].append(index)
        else:
            groups.append([index])
    return sorted(groups, key=min)


def _has_room(group: list[int], length: int, batch_size: int, max_batch_tokens: int) -> bool:
    """Whether a sentence that is at least as long as those in `group` may join them."""
    return len(group) < batch_size and (len(group) + 1) * length <= max_batch_tokens


def pad(sources: Sequence[Sequence[int]], pad_id: int) -> tuple[IntArray, BoolArray]:
    """`sources` side by side: ids [B, S] int64, padded on the right, and mask [B, S] bool, True on real tokens."""
    longest = max(len(source) for source in sources)
    ids = np.full((len(sources), longest), pad_id, np.int64)
    mask = np.zeros((len(sources), longest), np.bool_)
    for row, source in enumerate(sources):
        ids[row, : len(source)] = source
        mask[row, : len(source)] = True
    return ids, mask
