"""The tables of sinusoidal and relative positions, computed once for every runtime: numpy only.

Rotary tables are in `lingolite_cli.architecture.rotary`. L positions.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.architecture.architecture import Relative, Sinusoidal

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray, IntArray

_BASE = 10000.0


def sinusoidal_table(positions: Sinusoidal, num_positions: int, width: int) -> FloatArray:
    """[L, width] float32: the sines of all features, then their cosines (Vaswani et al. 2017, section 3.5, whose
    features alternate)."""
    frequencies = _BASE ** (-np.arange(width // 2, dtype=np.float64) / positions.divisor)
    places = np.arange(num_positions, dtype=np.float64) + positions.offset
    angles = np.outer(places, frequencies)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def encoder_buckets(positions: Relative, num_positions: int) -> IntArray:
    """[2 L - 1] int64: the bucket of each distance `key - query`, from 1 - L to L - 1.

    Keys that follow have the upper half of the buckets (Raffel et al. 2020, arXiv:1910.10683, section 2.1).
    """
    distances = np.arange(1 - num_positions, num_positions)
    half = positions.buckets // 2
    return _buckets(np.abs(distances), half, positions.max_distance) + half * (distances > 0)


def decoder_buckets(positions: Relative, num_positions: int) -> IntArray:
    """[L] int64: the bucket of each distance `query - key`, from 0 to L - 1."""
    return _buckets(np.arange(num_positions), positions.buckets, positions.max_distance)


def _buckets(distances: IntArray, buckets: int, max_distance: int) -> IntArray:
    """Half of the buckets have one distance each, and the others ever more of them, up to `max_distance`."""
    exact = buckets // 2
    # In float32, as the original: at a boundary another rounding would be another bucket.
    ratios = np.maximum(distances, 1).astype(np.float32) / np.float32(exact)
    logarithms = np.log(ratios) / np.float32(math.log(max_distance / exact))
    far = exact + (logarithms * np.float32(buckets - exact)).astype(np.int64)
    found: IntArray = np.where(distances < exact, distances, np.minimum(far, buckets - 1))
    return found
