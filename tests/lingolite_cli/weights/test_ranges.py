"""Ranges of activations: histograms against numpy over all values, methods against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.options import StaticInt8Options
from lingolite_cli.weights.ranges import (
    NUM_BINS,
    Histogram,
    affine_range,
    choose_range,
    entropy_range,
    min_max_range,
    percentile_range,
    range_tensors,
)


def seen(values: np.ndarray, *, pieces: int = 5) -> Histogram:
    histogram = Histogram()
    for piece in np.array_split(values.astype(np.float32), pieces):
        histogram.add(piece)
    return histogram


def test_pieces_of_growing_range_are_counted_as_if_they_had_come_at_once() -> None:
    values = np.random.default_rng(3).standard_normal(5000).astype(np.float32)
    values *= np.linspace(0.01, 30, 5000, dtype=np.float32)
    histogram = seen(values, pieces=50)
    expected, _ = np.histogram(values, bins=2 * NUM_BINS, range=(-histogram.bound, histogram.bound))
    np.testing.assert_array_equal(histogram.counts, expected)
    assert min_max_range(histogram) == (values.min(), values.max())
    assert histogram.bound / 2 < np.abs(values).max() <= histogram.bound


def test_a_percentile_cuts_as_much_off_above_as_below() -> None:
    values = np.random.default_rng(4).gamma(2.0, 3.0, 40_000) - 4.0
    histogram = seen(values)
    width = histogram.bound / NUM_BINS
    low, high = percentile_range(histogram, 98.0)
    assert low == pytest.approx(np.quantile(values, 0.01), abs=2 * width)
    assert high == pytest.approx(np.quantile(values, 0.99), abs=2 * width)
    assert percentile_range(histogram, 100 - 1e-9) == pytest.approx(min_max_range(histogram), abs=width)


def test_entropy_cuts_off_what_is_far_from_all_else() -> None:
    random = np.random.default_rng(5)
    values = np.concatenate([random.standard_normal(100_000), [40.0]])
    low, high = entropy_range(seen(values))
    assert 3.0 < high < 20.0
    assert low == pytest.approx(-high, abs=1.0)
    even = random.uniform(-2, 2, 100_000)
    assert entropy_range(seen(even)) == pytest.approx(min_max_range(seen(even)), abs=0.05)


def test_entropy_takes_the_threshold_of_the_smallest_divergence() -> None:
    """The definition written out, bin by bin."""
    values = np.random.default_rng(6).standard_t(3, 3000)
    histogram = seen(values)
    magnitudes = histogram.counts[NUM_BINS:] + histogram.counts[:NUM_BINS][::-1]
    used = max(index for index in range(NUM_BINS) if magnitudes[index]) + 1
    best, chosen = np.inf, 0
    for length in range(128, used + 1, 8):
        clipped = [float(count) for count in magnitudes[:length]]
        clipped[-1] += float(magnitudes[length:].sum())
        spread = np.zeros(length)
        for level in range(128):
            members = [index for index in range(length) if index * 128 // length == level]
            holders = [index for index in members if clipped[index] > 0]
            for index in holders:
                spread[index] = sum(magnitudes[member] for member in members) / len(holders)
        p, q = np.array(clipped) / sum(clipped), np.maximum(spread / spread.sum(), 1e-12)
        divergence = float(sum(p[i] * np.log(p[i] / q[i]) for i in range(length) if p[i] > 0))
        if divergence < best - 1e-12:
            best, chosen = divergence, length
    threshold = chosen * histogram.bound / NUM_BINS
    assert max(-v for v in entropy_range(histogram)[:1]) == pytest.approx(min(threshold, -values.min()), rel=1e-6)
    assert entropy_range(histogram)[1] == pytest.approx(min(threshold, values.max()), rel=1e-6)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1.0, 1.55, InputRange(float(np.float32(0.01)), 100)),
        (0.5, 2.55, InputRange(float(np.float32(0.01)), 0)),
        (-5.1, -1.0, InputRange(float(np.float32(0.02)), 255)),
        (0.0, 0.0, InputRange(1.0, 128)),
    ],
)
def test_zero_always_has_an_integer(low: float, high: float, expected: InputRange) -> None:
    assert affine_range(low, high) == expected


def test_options_choose_the_method() -> None:
    histogram = seen(np.random.default_rng(7).standard_t(2, 20_000))
    widths = [
        choose_range(histogram, options).scale
        for options in (
            StaticInt8Options(ranges="min-max"),
            StaticInt8Options(ranges="percentile", percentile=99.9),
            StaticInt8Options(ranges="percentile", percentile=99.0),
        )
    ]
    assert widths == sorted(widths, reverse=True)
    assert len(set(widths)) == 3
    with pytest.raises(ValueError, match='percentile goes with ranges = "percentile", not "entropy"'):
        StaticInt8Options(ranges="entropy", percentile=99.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_has_no_range(value: float) -> None:
    with pytest.raises(LingoLiteError, match="infinite or not a number"):
        seen(np.array([1.0, value, 2.0]), pieces=1)


def test_a_layer_that_reads_nothing_but_zeros_has_a_range() -> None:
    histogram = seen(np.zeros(10))
    for method in ("min-max", "percentile", "entropy"):
        assert choose_range(histogram, StaticInt8Options(ranges=method)).scale > 0


def test_bundles_store_one_scale_and_one_zero_point() -> None:
    tensors = range_tensors({"a.b": InputRange(0.25, 7)})
    assert {name: (tensor.dtype, tensor.tolist()) for name, tensor in tensors.items()} == {
        "a.b.input_scale": (np.float32, [0.25]),
        "a.b.input_zero_point": (np.uint8, [7]),
    }
