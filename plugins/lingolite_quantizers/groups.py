"""Matrices rounded by groups, as the quantizers of `bundle-int4` store them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.groups import GROUP_SIZES, GroupedMatrix, quantize_groups
from lingolite_quantizers.options import GroupOptions


def round_by_groups(name: str, matrix: npt.NDArray[np.float32], *, bits: int, options: GroupOptions) -> GroupedMatrix:
    """A matrix as integers of 4 bits by `options`, or of 8.

    8 bits lose so little that they get the largest groups and no zero points.

    Args:
        name: what errors call it.
        matrix: [out, in] float32.
        bits: 4 or 8.
        options: of 4-bit integers.

    Raises:
        LingoLiteError: the group size does not divide the rows, or a weight is infinite or not a number.
    """
    group_size: int = options.group_size
    is_symmetric = options.symmetric
    if bits == 8:
        # The largest size that divides the rows has the fewest scales to store.
        fitting = [size for size in GROUP_SIZES if matrix.shape[1] % size == 0]
        group_size, is_symmetric = max(fitting, default=group_size), True
    try:
        return quantize_groups(matrix, bits=bits, group_size=group_size, is_symmetric=is_symmetric)
    except LingoLiteError as error:
        raise LingoLiteError(f"cannot quantize `{name}`: {error.message}", hint=error.hint) from None
