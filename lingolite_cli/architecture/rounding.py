"""Products of the reference: float, int8 with activations rounded by row or over a calibrated range, or by groups.

Owns how the reference multiplies. Sums of int8 products are taken in float32 over so few columns that each is an
integer below 2^24, and so exact in any order, because numpy multiplies integer matrices slowly and float64 at half the
speed of float32. Sums over more columns are added up in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.weights.activations import UINT8_MAX, InputRange, half_to_even, quantize_asymmetric, row_scale
from lingolite_cli.weights.bundle import Matrix
from lingolite_cli.weights.groups import GroupedMatrix
from lingolite_cli.weights.rows import INT8_MAX

Rounding: TypeAlias = Callable[[str, Array], Array]
"""From the name of a matrix and x / s_x [..., in] float32 to integers of that shape."""


_EXACT_SUM = 1 << 24
"""Integers up to here are floats in float32."""

_LARGEST_WEIGHT = 128


def round_as_specified(name: str, quotients: Array) -> Array:
    """The rule of `lingolite_cli.weights.activations`, whatever the matrix."""
    return half_to_even(quotients)


class RoundedProducts:
    """Products with the matrices of a bundle.

    Args:
        rounding: of activations.
        blocks: by matrix, how many neighbours in a row of activations share a scale; see `Reference`.
        reads_floats: by matrix, whether it is read as the floats that it stands for; see `Reference`.
        has_zero_points: each row of activations has a zero point; see `Reference`.
    """

    def __init__(
        self,
        rounding: Rounding,
        blocks: Mapping[str, int],
        reads_floats: Callable[[str], bool],
        *,
        has_zero_points: bool,
    ) -> None:
        self._has_zero_points = has_zero_points
        self._rounding = rounding
        self._reads_floats = reads_floats
        self._blocks = blocks

    def product(self, x: Array, name: str, stored: Matrix | GroupedMatrix) -> Array:
        """[..., out] float32 from x [..., in] float32; in integers when the matrix is int8."""
        if isinstance(stored, GroupedMatrix):
            is_rounded = name in self._blocks and not self._reads_floats(name)
            rounded = self._rounded(x, name) if is_rounded else x
            return rounded @ stored.dequantized().T
        if stored.scale is None:
            return x @ stored.values.astype(np.float32).T
        if self._reads_floats(name):
            return x @ (stored.values.astype(np.float32) * stored.scale[:, None]).T
        if stored.input_range is not None:
            sums = self._static_sums(x, name, stored, stored.input_range)
            sums *= stored.input_range.scale * stored.scale
            return sums
        sums = self._shifted_sums(x, name, stored) if self._has_zero_points else self._scaled_sums(x, name, stored)
        sums *= stored.scale  # in place: logits of a large vocabulary are the largest arrays of a reference
        return sums

    def _rounded(self, x: Array, name: str) -> Array:
        """x [..., in] as the float32 that its integers and their scales stand for."""
        parts = np.split(x, range(self._blocks[name], x.shape[-1], self._blocks[name]), axis=-1)
        scales = np.concatenate([np.broadcast_to(row_scale(part), part.shape) for part in parts], axis=-1)
        rounded: Array = self._rounding(name, x / scales).astype(np.float32) * scales
        return rounded

    def _scaled_sums(self, x: Array, name: str, matrix: Matrix) -> Array:
        """[..., out] float32 sums over activations that were rounded as they came, times the activations' scales."""
        size = self._blocks.get(name, x.shape[-1])
        bounds = range(size, x.shape[-1], size)
        parts = np.split(x, bounds, axis=-1)
        scales = [row_scale(part) for part in parts]
        quotients = np.concatenate([part / scale for part, scale in zip(parts, scales, strict=True)], axis=-1)
        integers = np.split(self._rounding(name, quotients), bounds, axis=-1)
        columns = np.split(matrix.values, bounds, axis=1)
        total: Array | None = None
        for part, column, scale in zip(integers, columns, scales, strict=True):
            scaled = _exact_sums(part, column, largest=INT8_MAX).astype(np.float32, copy=False)
            scaled *= scale
            total = scaled if total is None else np.add(total, scaled, out=total)
        assert total is not None
        return total

    def _shifted_sums(self, x: Array, name: str, matrix: Matrix) -> Array:
        """[..., out] the same over integers that are counted from the zero point of their row."""
        integers, scale = quantize_asymmetric(x, rounding=partial(self._rounding, name))
        sums: Array = _exact_sums(integers, matrix.values, largest=UINT8_MAX).astype(np.float32, copy=False)
        sums *= scale
        return sums

    def _static_sums(self, x: Array, name: str, matrix: Matrix, input_range: InputRange) -> Array:
        """[..., out] float32 sums over the 256 levels of a calibrated range; what lies outside is clipped."""
        zero_point = input_range.zero_point
        quotients = np.clip(x / input_range.scale, -zero_point, UINT8_MAX - zero_point)
        # Clipped before it is rounded, in units of the scale: so no runtime meets an integer out of range.
        integers = self._rounding(name, quotients)
        return _exact_sums(integers, matrix.values, largest=UINT8_MAX).astype(np.float32, copy=False)


def _exact_sums(integers: Array, values: Array, *, largest: int) -> Array:
    """[..., out] float32 or float64 sums of integers [..., in], at most `largest`, times values [out, in] int8."""
    width = _EXACT_SUM // (largest * _LARGEST_WEIGHT)
    starts = range(0, values.shape[1], width)
    parts = [
        integers[..., start : start + width].astype(np.float32) @ values[:, start : start + width].astype(np.float32).T
        for start in starts
    ]
    return parts[0] if len(parts) == 1 else np.asarray(np.sum(parts, axis=0, dtype=np.float64))
