"""How the ORT profile stores an int8 matrix: in blocks, as `MatMulNBits` and `GatherBlockQuantized` read it.

Owns the layout, which both kinds of product share. `MatMulNBits` knows no signed integers: int8 is stored as uint8, 128
more, that is, with its highest bit turned, so the bytes of a block are int8 weights as well.
"""

from __future__ import annotations

import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import MIDDLE
from lingolite_cli.weights.bundle import Matrix

_LARGEST_BLOCK = 256
"""Asked for larger blocks, onnxruntime 1.32 still rounds 256 activations together, and sums less exactly: 4 digits
instead of 6."""

_SMALLEST_BLOCK = 16
"""Smaller ones `MatMulNBits` refuses."""


def blocks(matrix: Matrix) -> tuple[Array, Array]:
    """An int8 matrix as bytes with zero point 128, [out, blocks, columns of a block], and scales [out, blocks].

    What pads a row stands for 0.
    """
    assert matrix.scale is not None
    rows, columns = matrix.values.shape
    size = block_size(columns)
    count = -(-columns // size)
    padded = np.full((rows, count * size), MIDDLE, np.uint8)
    padded[:, :columns] = matrix.values.view(np.uint8) ^ np.uint8(MIDDLE)
    return padded.reshape(rows, count, size), np.repeat(matrix.scale[:, None], count, axis=1)


def block_size(columns: int) -> int:
    """Columns that `MatMulNBits` rounds together: a power of two that divides the matrix's, if one from 16 on does."""
    fitting = columns & -columns
    if fitting < _SMALLEST_BLOCK:
        fitting = 1 << (columns - 1).bit_length()
    return min(max(fitting, _SMALLEST_BLOCK), _LARGEST_BLOCK)


def parts_of_row(columns: int) -> int:
    """How many parts of a row of activations are rounded by themselves where other operators do as `MatMulNBits`."""
    size = block_size(columns)
    return 1 if columns % size else columns // size
