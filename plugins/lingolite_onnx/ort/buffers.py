"""The memory of a batch: keys and values of self-attention that grow in place, and what was read of the sources.

Owns which row lies where. Rows of the batch are given slots, and a row keeps its slot while it lives, so that to drop
rows or to reorder beams copies only what must move. R rows, K key/value heads, D head_dim, S source.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress, count
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.arrays import Array

if TYPE_CHECKING:
    from lingolite_cli.arrays import IntArray

FIRST_CAPACITY = 32
"""Target tokens that buffers have room for at first. They double when they are full, so that all copies together move
fewer keys than the last buffers hold, and memory follows the longest target and not `max_seq_len`."""


class Buffers(msgspec.Struct):
    """Arrays whose first axis is slots; those of the R rows are 0 to R - 1, in any order.

    Attributes:
        slots: [R] the slot of each row.
        sentences: [allocated slots] which sentence each slot's source arrays belong to.
        source: by input name, what does not change from step to step.
        past: [P, slots, K, capacity, D] float32, for P inputs; or the states of recurrent units, of one head and one
            place that each token writes again.
        length: target tokens in `past`.
        grows: each token takes a place of its own in `past`.
    """

    slots: IntArray
    sentences: IntArray
    source: dict[str, Array]
    past: Array
    length: int = 0
    grows: bool = True

    @property
    def num_rows(self) -> int:
        """R."""
        return len(self.slots)

    @property
    def capacity(self) -> int:
        """Target tokens that `past` has room for."""
        return int(self.past.shape[3])

    @property
    def is_full(self) -> bool:
        """Whether the next target token needs more room."""
        return self.grows and self.length == self.capacity

    @property
    def _used(self) -> int:
        """Places of `past` that hold something: states of recurrent units do before the first token."""
        return self.length if self.grows else self.capacity

    @property
    def moved(self) -> IntArray | None:
        """The slot of each row; None when row i lies in slot i, which saves an indexing at each step."""
        slots: list[int] = self.slots.tolist()
        return None if slots == list(range(self.num_rows)) else self.slots

    def grow(self, limit: int) -> None:
        """Make room for twice as many target tokens, but for no more than `limit`."""
        inputs, slots, heads, capacity, width = self.past.shape
        grown = np.empty((inputs, slots, heads, min(2 * capacity, limit), width), self.past.dtype)
        grown[:, : self.num_rows, :, : self.length] = self.past[:, : self.num_rows, :, : self.length]
        self.past = grown

    def replace_source(self, arrays: Mapping[str, Array]) -> None:
        """Arrays of the R slots in the place of what was read of the sources; what slots beyond had is forgotten."""
        self.sentences = self.sentences[: self.num_rows]
        self.past = self.past[:, : self.num_rows]
        self.source = {name: array[: self.num_rows] for name, array in self.source.items()} | dict(arrays)

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
        inputs, _, *shape = self.past.shape
        repeated = np.empty((inputs, len(parents), *shape), self.past.dtype)
        repeated[:, :, :, : self._used] = self.past[:, parents, :, : self._used]
        self.past = repeated
        self.slots = np.arange(len(parents))

    def _copy(self, origins: IntArray, targets: IntArray) -> None:
        """Beams that change places within a sentence leave its source arrays alone."""
        self.past[:, targets, :, : self._used] = self.past[:, origins, :, : self._used]
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
    slots = [-1] * len(parents)
    is_free = [True] * len(parents)
    for row, parent in enumerate(parents.tolist()):
        if parent < len(parents) and is_free[parent]:
            slots[row] = parent
            is_free[parent] = False
    free = compress(count(), is_free)
    return np.array([next(free) if slot < 0 else slot for slot in slots], np.int64)
