"""Intervals and p-values of shares and means. Pure functions of numbers."""

from __future__ import annotations

import math

import msgspec

_Z95 = 1.959963984540054
_NEGLIGIBLE = 1e-18


class Share(msgspec.Struct, frozen=True):
    """`count` of `total`."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """As a number from 0 to 1; 0 of nothing is 0."""
        return self.count / self.total if self.total else 0.0


class Moments(msgspec.Struct, frozen=True):
    """Number, sum and sum of squares of values; the moments of two parts add up."""

    number: int = 0
    sum: float = 0.0
    squares: float = 0.0

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.number + other.number, self.sum + other.sum, self.squares + other.squares)

    def with_value(self, value: float) -> Moments:
        """With one more."""
        return Moments(self.number + 1, self.sum + value, self.squares + value * value)

    @property
    def mean(self) -> float:
        """0 of nothing."""
        return self.sum / self.number if self.number else 0.0

    @property
    def variance(self) -> float:
        """Of a sample, unbiased; 0 of fewer than two."""
        if self.number < 2:
            return 0.0
        return max(0.0, (self.squares - self.sum * self.sum / self.number) / (self.number - 1))


def wilson_interval(share: Share) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927); all of 0 to 1 for nothing."""
    if not share.total:
        return 0.0, 1.0
    n, p, z2 = share.total, share.value, _Z95 * _Z95
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def share_difference(first: Share, second: Share) -> tuple[float, float]:
    """The 95 % interval of the second share minus the first (Newcombe 1998, method 10)."""
    (low1, high1), (low2, high2) = wilson_interval(first), wilson_interval(second)
    delta = second.value - first.value
    low = delta - math.hypot(second.value - low2, high1 - first.value)
    high = delta + math.hypot(high2 - second.value, first.value - low1)
    return low, high


def mean_difference(first: Moments, second: Moments) -> tuple[float, float]:
    """The 95 % interval of the second mean minus the first, by the normal distribution."""
    half = _Z95 * math.sqrt(_variance_of_difference(first, second))
    delta = second.mean - first.mean
    return delta - half, delta + half


def standard_errors(first: Moments, second: Moments) -> float:
    """How many standard errors two means are apart; 0 where there is no spread to judge by."""
    variance = _variance_of_difference(first, second)
    return abs(second.mean - first.mean) / math.sqrt(variance) if variance > 0.0 else 0.0


def mean_p_value(first: Moments, second: Moments) -> float:
    """Two-sided, of the difference of two means, by the normal distribution; 1 where there is no spread to judge by."""
    return math.erfc(standard_errors(first, second) / math.sqrt(2))


def rise_p_value(before: Share, after: Share) -> float:
    """One-sided, of so many in the second part if all were spread by chance (Fisher's exact test)."""
    total, marked, drawn = before.total + after.total, before.count + after.count, after.total
    every = _log_choose(total, drawn)
    p_value = 0.0
    for count in range(after.count, min(marked, drawn) + 1):
        if drawn - count > total - marked:
            continue
        term = math.exp(_log_choose(marked, count) + _log_choose(total - marked, drawn - count) - every)
        p_value += term
        if term < _NEGLIGIBLE * p_value:
            break
    return min(1.0, p_value)


def log_likelihood_ratio(before: Share, after: Share) -> float:
    """How much likelier two shares are than one, as a natural logarithm."""
    whole = Share(before.count + after.count, before.total + after.total)
    return _log_likelihood(before) + _log_likelihood(after) - _log_likelihood(whole)


def _log_likelihood(share: Share) -> float:
    other = share.total - share.count
    return sum(count * math.log(count / share.total) for count in (share.count, other) if count)


def _variance_of_difference(first: Moments, second: Moments) -> float:
    return first.variance / max(1, first.number) + second.variance / max(1, second.number)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
