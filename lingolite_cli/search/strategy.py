"""The smallest mix of precisions that is good enough, found with few measurements.

Owns the order in which mixes are tried. What a mix costs is measured by others; what units cost alone only says where
to look, because such costs need not add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from lingolite_cli.search.units import Mix


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
        while moves := list(self._moves(mix, is_up=True)):
            mix = max(moves, key=self._worth_from(mix))
            found.append(mix)
        return found

    def downgrades(self, mix: Mix) -> list[Mix]:
        """Mixes with one unit in a lower precision, the least loss a byte saved first."""
        return sorted(self._moves(mix, is_up=False), key=self._worth_from(mix))

    def _worth_from(self, mix: Mix) -> Callable[[Mix], tuple[float, int]]:
        """Loss a byte between `mix` and another, either way; of two that are alike, fewer bytes are worth more."""
        loss, size = self._loss(mix), self.size(mix)

        def worth(other: Mix) -> tuple[float, int]:
            num_bytes = abs(self.size(other) - size)
            return abs(self._loss(other) - loss) / num_bytes, -num_bytes

        return worth

    def _loss(self, mix: Mix) -> float:
        """The sum over units. A higher precision counts as no worse than a lower one: what says otherwise is noise."""
        levels = self._levels(mix)
        return sum(max(0.0, min(row[: level + 1])) for row, level in zip(self.losses, levels, strict=True))

    def _moves(self, mix: Mix, *, is_up: bool) -> Iterator[Mix]:
        for unit, level in enumerate(self._levels(mix)):
            others = self.precisions[level + 1 :] if is_up else self.precisions[:level]
            for precision in others:
                yield (*mix[:unit], precision, *mix[unit + 1 :])

    def _levels(self, mix: Mix) -> list[int]:
        return [self.precisions.index(precision) for precision in mix]


def find_smallest(space: Space, fits: Callable[[Mix], bool], *, max_trials: int) -> Mix:
    """The smallest mix that was found to fit.

    Bisects the way from the smallest uniform mix, known not to fit, to the largest, known to fit; then tries to lower
    units of what that led to, one at a time. Each mix is tried once.

    Args:
        space: what is known.
        fits: measures a mix.
        max_trials: how many may be measured.
    """
    trials: dict[Mix, bool] = {}

    def tried(mix: Mix) -> bool:
        trials[mix] = fits(mix)
        return trials[mix]

    path = space.upgrades()
    low, high = 0, len(path) - 1
    while high - low > 1 and len(trials) < max_trials:
        middle = (low + high) // 2
        low, high = (low, middle) if tried(path[middle]) else (middle, high)
    best, refused = path[high], {path[low]}
    while len(trials) < max_trials:
        untried = [mix for mix in space.downgrades(best) if mix not in trials and mix not in refused]
        if not untried:
            break
        if tried(untried[0]):
            best = untried[0]
    return best
