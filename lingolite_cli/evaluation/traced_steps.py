"""Values of a decoder's operations, step by step, as a trace has them: what is kept of each step.

For plugins whose engine is driven one target token at a time. B batch, T target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lingolite_cli.arrays import Array


class TracedSteps:
    """Gathers the values of T steps. Of a cache the last step is kept alone: it has a row for every position, and those
    of all steps would grow with the square of the length."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Array]] = {}
        self._counts: dict[str, int] = {}
        self._num_steps = 0

    def add(self, values: Mapping[str, Array]) -> None:
        """The next step: by operation, [B, 1, width], or [B, positions, width] of a cache."""
        self._num_steps += 1
        for name, array in values.items():
            kept = self._kept.setdefault(name, [])
            if array.shape[1] != 1:
                kept.clear()
            kept.append(array)
            self._counts[name] = self._counts.get(name, 0) + 1

    def joined(self) -> dict[str, Array]:
        """By operation, [B, T, width], and of a cache what it held at last. One that a step lacks is left out."""
        return {
            name: np.concatenate(kept, axis=1) if len(kept) > 1 else kept[0]
            for name, kept in self._kept.items()
            if self._counts[name] == self._num_steps
        }
