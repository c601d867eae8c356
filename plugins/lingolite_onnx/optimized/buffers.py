"""The memory of a batch: keys and values of self-attention that grow in place, and what was read of the sources.

Owns which row lies where. Rows of the batch are given slots, and a row keeps its slot while it lives, so that to drop
rows or to reorder beams copies only what must move. R rows, K key/value heads, D head_dim, S source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_onnx.weights import Array

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import IntArray

FIRST_CAPACITY = 32
"""Target tokens that buffers have room for at first; they double when they are full."""


class Buffers(msgspec.Struct):
    """Arrays whose first axis is slots; those of the R rows are 0 to R - 1, in any order.

    Attributes:
        slots: [R] the slot of each row.
        sentences: [allocated slots] which sentence each slot's source arrays belong to.
        source: by input name, what does not change from step to step.
        past: by input name, [slots, K, capacity, D] float32.
        length: target tokens in `past`.
    """

    slots: IntArray
    sentences: IntArray
    source: dict[str, Array]
    past: dict[str, Array]
    length: int = 0

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.slots)

    @property
    def capacity(self) -> int:
        """Target tokens that `past` has room for."""
        return int(next(iter(self.past.values())).shape[2])

    def grow(self, limit: int) -> None:
        """Make room for twice as many target tokens, but for no more than `limit`."""
        capacity = min(2 * self.capacity, limit)
        for name, array in self.past.items():
            slots, heads, _, width = array.shape
            grown = np.empty((slots, heads, capacity, width), array.dtype)
            grown[: self.num_rows, :, : self.length] = array[: self.num_rows, :, : self.length]
            self.past[name] = grown

    def select(self, rows: IntArray) -> None:
        """Keep, drop, reorder or repeat rows. What stays in its slot is not touched."""
        parents = self.slots[rows]
        if len(rows) > len(self.sentences):
            self._repeat(parents)
            return
        self.slots = _slots(parents)
        moved = np.flatnonzero(self.slots != parents)
        if len(moved):
            self._copy(parents[moved], self.slots[moved])

    def _repeat(self, parents: IntArray) -> None:
        """More rows than there are slots: new arrays."""
        self.sentences = self.sentences[parents]
        self.source = {name: array[parents] for name, array in self.source.items()}
        for name, array in self.past.items():
            repeated = np.empty((len(parents), *array.shape[1:]), array.dtype)
            repeated[:, :, : self.length] = array[parents, :, : self.length]
            self.past[name] = repeated
        self.slots = np.arange(len(parents))

    def _copy(self, origins: IntArray, targets: IntArray) -> None:
        """Beams that change places within a sentence leave its source arrays alone."""
        for array in self.past.values():
            array[targets, :, : self.length] = array[origins, :, : self.length]
        is_other = self.sentences[targets] != self.sentences[origins]
        if is_other.any():
            origins, targets = origins[is_other], targets[is_other]
            for array in self.source.values():
                array[targets] = array[origins]
            self.sentences[targets] = self.sentences[origins]


def _slots(parents: IntArray) -> IntArray:
    """A slot from 0 to R - 1 for each of R rows that continue the rows in the slots `parents`.

    The first row that continues a slot below R keeps it. The others get slots that nobody continues, so that no copy
    overwrites what another copy reads.
    """
    slots = np.full(len(parents), -1)
    continued, first = np.unique(parents, return_index=True)
    stays = continued < len(parents)
    slots[first[stays]] = continued[stays]
    is_free = np.ones(len(parents), np.bool_)
    is_free[continued[stays]] = False
    slots[slots < 0] = np.flatnonzero(is_free)
    return slots
