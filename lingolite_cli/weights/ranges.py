"""Calibrated ranges of activations: histograms of what a model computes, the choice of a range, and how it is stored.

Owns how a range is found. What its integers mean is `lingolite_cli.weights.activations`'s; what runs the model is
`lingolite_cli.model.static_quantization`. Owns no file and imports numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.tensors import shared_inputs
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.activations import MIDDLE, UINT8_MAX, InputRange
from lingolite_cli.weights.options import DEFAULT_PERCENTILE, StaticInt8Options

INPUT_SCALE_SUFFIX = ".input_scale"
INPUT_ZERO_POINT_SUFFIX = ".input_zero_point"
"""`X.weight` goes with `X.input_scale` and `X.input_zero_point`."""

_AGAIN = "quantize the float bundle again"

NUM_BINS = 4096
"""Bins on each side of zero. At least half of them lie within what was seen."""

_LEVELS = 128
_STRIDE = 8


def require_usable_ranges(
    architecture: Architecture, ranges: Mapping[str, InputRange], *, quantized: Collection[str]
) -> None:
    """Refuse ranges that no engine computes with.

    Args:
        architecture: of the model.
        ranges: by linear layer, what it reads.
        quantized: the linear layers whose weights are int8.

    Raises:
        LingoLiteError: such a layer has no range, its scale is no positive number, or layers that read the same input
            have different ones.
    """
    for group in shared_inputs(architecture):
        found = {name: ranges.get(name) for name in group if name in quantized}
        for name, one in found.items():
            if one is None:
                raise LingoLiteError(f"{name} is int8 and has no input range, where others have one", hint=_AGAIN)
            if not 0 < one.scale < math.inf:
                raise LingoLiteError(f"the input range of {name} has the scale {one.scale:g}", hint=_AGAIN)
        if len(set(found.values())) > 1:
            raise LingoLiteError(f"{', '.join(found)} read the same input, and have different ranges", hint=_AGAIN)


class Histogram:
    """Counts of values that come in pieces.

    The range around zero that is counted in doubles whenever a value lies outside, and pairs of bins become one, so
    that nothing is forgotten.

    Attributes:
        counts: [2 · NUM_BINS] int64, from the most negative bin to the most positive.
        bound: a power of two; the bins are equal parts of [-bound, bound].
        minimum: the smallest value seen, exactly; infinite before there is one.
        maximum: the largest.
    """

    def __init__(self) -> None:
        self.counts: npt.NDArray[np.int64] = np.zeros(2 * NUM_BINS, np.int64)
        self.bound = 0.0
        self.minimum = np.inf
        self.maximum = -np.inf

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Count `values` of any shape.

        Raises:
            LingoLiteError: one is infinite or not a number.
        """
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise LingoLiteError(
                "an activation is infinite or not a number",
                hint="the checkpoint is damaged or its training diverged; take an earlier one",
            )
        self.minimum, self.maximum = min(self.minimum, low), max(self.maximum, high)
        # Before the values are counted: a bin must never hold what lies outside of it.
        self._widen(max(-low, high))
        scaled = values.ravel() * np.float32(NUM_BINS / self.bound)
        bins = np.floor(scaled).astype(np.int64) + NUM_BINS
        self.counts += np.bincount(bins.clip(0, 2 * NUM_BINS - 1), minlength=2 * NUM_BINS)

    def _widen(self, largest: float) -> None:
        """Make [-bound, bound] hold a value of that magnitude."""
        if not self.bound:
            self.bound = 2.0 ** np.ceil(np.log2(largest)) if largest > 2.0**-60 else 2.0**-60
        while self.bound < largest:
            # Bounds are powers of two, so that old bins fall into new ones whole, two and two.
            half = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros_like(self.counts)
            self.counts[NUM_BINS // 2 : NUM_BINS // 2 + NUM_BINS] = half
            self.bound *= 2

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """[2 · NUM_BINS + 1] float64: where bins begin and end."""
        return np.linspace(-self.bound, self.bound, 2 * NUM_BINS + 1)


def min_max_range(histogram: Histogram) -> tuple[float, float]:
    """All that was seen."""
    return histogram.minimum, histogram.maximum


def percentile_range(histogram: Histogram, percent: float) -> tuple[float, float]:
    """The middle `percent` of what was seen: as much is cut off above as below."""
    shares = np.cumsum(histogram.counts) / histogram.counts.sum()
    # As much from above as from below, so that a skewed activation loses its tail and not its body.
    tail = (1 - percent / 100) / 2
    low = histogram.edges[np.searchsorted(shares, tail, side="right")]
    high = histogram.edges[1 + np.searchsorted(shares, 1 - tail, side="left")]
    return max(float(low), histogram.minimum), min(float(high), histogram.maximum)


def entropy_range(histogram: Histogram) -> tuple[float, float]:
    """The magnitudes that lose the least information when 128 levels stand for them.

    Szymon Migacz, "8-bit Inference with TensorRT" (GTC 2017): of all thresholds, the one whose clipped distribution has
    the smallest Kullback-Leibler divergence from itself with its bins merged to 128 levels.
    """
    # Both signs together: one threshold cuts them alike.
    magnitudes = histogram.counts[NUM_BINS:] + histogram.counts[NUM_BINS - 1 :: -1]
    used = int(np.flatnonzero(magnitudes)[-1]) + 1
    lengths = range(_LEVELS, used + 1, _STRIDE)
    best = min(lengths, key=lambda length: _divergence(magnitudes[:used], length), default=used)
    threshold = best * histogram.bound / NUM_BINS
    return max(-threshold, histogram.minimum), min(threshold, histogram.maximum)


def _divergence(counts: npt.NDArray[np.int64], length: int) -> float:
    """KL(P ‖ Q) in nats: P are the first `length` bins with all others put into the last; Q spreads what falls into
    each of 128 levels evenly over its bins that hold something."""
    kept = counts[:length].astype(np.float64)
    clipped = kept.copy()
    clipped[-1] += counts[length:].sum()
    levels = np.arange(length) * _LEVELS // length
    # What was never seen keeps no probability: a level is spread over bins that hold something.
    filled = clipped > 0
    totals = np.bincount(levels, weights=kept, minlength=_LEVELS)
    holders = np.bincount(levels[filled], minlength=_LEVELS)
    spread = (totals / np.maximum(holders, 1))[levels][filled]
    spread, clipped = spread / spread.sum(), clipped[filled] / clipped.sum()
    return float(np.sum(clipped * np.log(clipped / np.maximum(spread, 1e-12))))


def choose_range(histogram: Histogram, options: StaticInt8Options) -> InputRange:
    """The range of an activation by the method that was asked for."""
    if options.ranges == "percentile":
        percent = DEFAULT_PERCENTILE if options.percentile is None else options.percentile
        return affine_range(*percentile_range(histogram, percent))
    return affine_range(*(min_max_range(histogram) if options.ranges == "min-max" else entropy_range(histogram)))


def affine_range(low: float, high: float) -> InputRange:
    """Scale and zero point for activations from `low` to `high`; 0 is always among the values that have an integer."""
    # Padding, and channels that are off, are exact zeros, and must stay so.
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return InputRange(1.0, MIDDLE)
    scale = float(np.float32((high - low) / UINT8_MAX))
    return InputRange(scale, int(np.clip(np.rint(-low / scale), 0, UINT8_MAX)))


def range_tensors(ranges: Mapping[str, InputRange]) -> dict[str, npt.NDArray[np.float32] | npt.NDArray[np.uint8]]:
    """What a bundle stores for the inputs of linear layers: for each, one scale and one zero point."""
    tensors: dict[str, npt.NDArray[np.float32] | npt.NDArray[np.uint8]] = {}
    for name, found in ranges.items():
        tensors[name + INPUT_SCALE_SUFFIX] = np.array([found.scale], np.float32)
        tensors[name + INPUT_ZERO_POINT_SUFFIX] = np.array([found.zero_point], np.uint8)
    return tensors
