"""The tables of rotary positions, computed once for every runtime: numpy only.

Runtimes that share these tables, bit for bit, can agree bit for bit on what they compute with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray

BASE = 10000.0


def rotary_tables(head_dim: int, num_positions: int) -> tuple[FloatArray, FloatArray]:
    """Cosines and sines of the angles `p · 10000^(-2i/D)` (Su et al. 2021, arXiv:2104.09864, eq. 34).

    Angles are float32 as in training; their cosines are taken in float64 so that every CPU rounds them alike.

    Returns:
        Two float32 tables [num_positions, head_dim / 2].
    """
    # Step by step in the dtypes of training: angles that were computed in float64 differ at far positions.
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    frequencies = (1.0 / np.power(BASE, exponents.astype(np.float64))).astype(np.float32)
    angles = np.outer(np.arange(num_positions, dtype=np.float32), frequencies).astype(np.float64)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
