"""The smallest mix of precisions that meets a budget, found with few measurements.

Owns the order in which mixes are tried. What a mix costs is measured by others; what units cost alone only says where
to look, because such costs need not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from lingolite_cli.precision_search.units import Mix


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of units before mixes are tried.

    Attributes:
        precisions: from the smallest.
        sizes: for each unit its bytes at each precision.
        losses: for each unit the cross-entropy that it alone adds at each precision, in nats a token.
    """

    precisions: tuple[str, ...]
    sizes: Sequence[Sequence[int]]
    losses: Sequence[Sequence[float]]

    def uniform(self, precision: str) -> Mix:
        """All units alike."""
        return (precision,) * len(self.sizes)

    def size(self, mix: Mix) -> int:
        """Bytes of all units."""
        return sum(row[level] for row, level in zip(self.sizes, self._levels(mix), strict=True))

    def upgrades(self) -> list[Mix]:
        """Mixes from the smallest uniform one to the largest, each with one unit in a higher precision.

        The next is the one that takes back the most loss a byte (greedy on the fractional knapsack), so that every
        mix on the way should be among the best of its size.
        """
        mix = self.uniform(self.precisions[0])
        found = [mix]
        while moves := list(self._moves(mix)):
            mix = max(moves, key=self._worth_from(mix))
            found.append(mix)
        return found

    def _worth_from(self, mix: Mix) -> Callable[[Mix], tuple[float, int]]:
        """Loss regained per byte of a larger mix; at equal worth, fewer bytes come first."""
        loss, size = self._loss(mix), self.size(mix)

        def worth(other: Mix) -> tuple[float, int]:
            num_bytes = self.size(other) - size
            return (loss - self._loss(other)) / num_bytes, -num_bytes

        return worth

    def _loss(self, mix: Mix) -> float:
        """The sum over units. A higher precision counts as no worse than a lower one; the opposite is noise."""
        levels = self._levels(mix)
        return sum(max(0.0, min(row[: level + 1])) for row, level in zip(self.losses, levels, strict=True))

    def _moves(self, mix: Mix) -> Iterator[Mix]:
        for unit, level in enumerate(self._levels(mix)):
            for precision in self.precisions[level + 1 :]:
                yield (*mix[:unit], precision, *mix[unit + 1 :])

    def _levels(self, mix: Mix) -> list[int]:
        return [self.precisions.index(precision) for precision in mix]


def find_smallest(space: Space, fits: Callable[[Mix], bool], *, max_trials: int) -> Mix:
    """The smallest mix on the path of upgrades that was found to meet the budget.

    Bisects that way from the smallest uniform mix, known not to fit, to the largest, known to fit. Mixes beside the way
    are not tried: with every further one that is measured on the same text, the one that comes out best owes more to
    luck, and less of what it promises holds on other text.

    Args:
        space: what is known.
        fits: measures a mix.
        max_trials: how many may be measured.
    """
    path = space.upgrades()
    low, high, num_trials = 0, len(path) - 1, 0
    while high - low > 1 and num_trials < max_trials:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(path[middle]) else (middle, high)
        num_trials += 1
    return path[high]
