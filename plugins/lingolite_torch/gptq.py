"""GPTQ: 4-bit rounding with error compensation (Frantar et al. 2023, arXiv:2210.17323).

Columns are rounded one after the other. The error of each is compensated by the columns that are still to be rounded,
as far as their inputs vary together. Owns no file and imports numpy only; the inputs are seen by `lingolite_cli.model`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.groups import GroupedMatrix, pack_integers, quantize_groups

_BITS = 4


def gptq_groups(
    weight: npt.NDArray[np.float32], moments: npt.NDArray[np.float64], *, group_size: int, damping: float
) -> GroupedMatrix:
    """Round a matrix to 4 bits by groups, so that its products with inputs like those seen change least.

    A group's scale and zero point are found when its first column is due, from the weights as they are by then; the
    paper calls them static groups otherwise. Columns keep their order.

    Args:
        weight: [out, in] float32.
        moments: [in, in] float64, the sum of x xᵀ over the inputs x; the Hessian of the squared error is twice that.
        group_size: elements of a row that share a scale; it must divide `in`.
        damping: share of the mean diagonal that is added to the diagonal.

    Raises:
        LingoLiteError: the group does not divide the rows, or a weight or a moment is infinite or not a number.
    """
    # On one row, for its refusals: the whole rounding takes minutes on a large matrix.
    quantize_groups(weight[:1], bits=_BITS, group_size=group_size, is_symmetric=False)
    if not (np.isfinite(weight).all() and np.isfinite(moments).all()):
        raise LingoLiteError(
            "a weight or an activation is infinite or not a number",
            hint="the checkpoint is damaged or its training diverged; take an earlier one",
        )
    # float64: errors are handed on from column to column, and would add up.
    left = weight.astype(np.float64)
    upper = _inverse_factor(moments, damping)
    integers = np.zeros(weight.shape, np.uint8)
    scales, zero_points = [], []
    for start in range(0, weight.shape[1], group_size):
        end = start + group_size
        # Only now: the columns of this group carry the errors of all groups before it.
        levels = quantize_groups(
            left[:, start:end].astype(np.float32), bits=_BITS, group_size=group_size, is_symmetric=False
        )
        scales.append(levels.scale)
        zero_points.append(levels.zero_points())
        scale, zero_point = levels.scale[:, 0].astype(np.float64), zero_points[-1][:, 0].astype(np.float64)
        errors = np.zeros((len(weight), group_size))
        for column in range(start, end):
            rounded = np.clip(np.rint(left[:, column] / scale) + zero_point, 0, 2**_BITS - 1)
            integers[:, column] = rounded
            error = (left[:, column] - (rounded - zero_point) * scale) / upper[column, column]
            left[:, column:end] -= np.outer(error, upper[column, column:end])
            errors[:, column - start] = error
        # Once a group and not once a column: the same sums, as one matrix product.
        left[:, end:] -= errors @ upper[start:end, end:]
    return GroupedMatrix(
        bits=_BITS,
        packed=pack_integers(integers, bits=_BITS),
        scale=np.concatenate(scales, axis=1),
        zero_point=pack_integers(np.concatenate(zero_points, axis=1), bits=_BITS),
    )


def _inverse_factor(moments: npt.NDArray[np.float64], damping: float) -> npt.NDArray[np.float64]:
    """The upper Cholesky factor of the inverse of the damped moments (algorithm 1 of the paper)."""
    damped = moments.copy()
    diagonal = np.diag(damped)
    damped[np.diag_indices_from(damped)] += damping * diagonal.mean() + (diagonal == 0) * max(diagonal.mean(), 1.0)
    # An input that was always 0 has no moment, and its column may be rounded in any way: the damping of its own
    # keeps the inverse from being singular.
    factor: npt.NDArray[np.float64] = np.linalg.cholesky(np.linalg.inv(damped)).T
    return factor
