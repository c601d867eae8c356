"""Weights as 4- or 8-bit integers by groups: rounded, packed and read back. The layout of `bundle-int4`.

A group is `group_size` neighbours in a row, with a scale and a zero point of its own: `(q - zero_point) * scale`.
4-bit integers are packed two a byte, the first in the lower half, which is also how ONNX Runtime reads them. Owns no
file and imports numpy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from lingolite_cli.arrays import Array
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.rows import SCALE_SUFFIX

ZERO_POINT_SUFFIX = "_zero_point"  # `X.weight` goes with `X.weight_scale` and, if asymmetric, `X.weight_zero_point`
GROUP_SIZES = (16, 32, 64, 128)

Bytes: TypeAlias = npt.NDArray[np.uint8]
Floats: TypeAlias = npt.NDArray[np.float32]


class GroupedMatrix(msgspec.Struct, frozen=True, kw_only=True):
    """A matrix [out, in] of integers with `in / group_size` groups a row.

    Attributes:
        bits: 4 or 8.
        packed: [out, in * bits / 8] uint8.
        scale: [out, groups] float32; symmetric scales may be negative.
        zero_point: [out, ceil(groups * bits / 8)] uint8, packed like the integers; None: the middle, 8 or 128.
    """

    bits: int
    packed: Bytes
    scale: Floats
    zero_point: Bytes | None = None

    @property
    def rows(self) -> int:
        """`out`."""
        return len(self.packed)

    @property
    def columns(self) -> int:
        """`in`."""
        return int(self.packed.shape[1]) * 8 // self.bits

    @property
    def group_size(self) -> int:
        """Neighbours that share a scale."""
        return self.columns // int(self.scale.shape[1])

    def integers(self) -> Bytes:
        """[out, in] uint8, 0 to 2^bits - 1."""
        return unpack_integers(self.packed, self.columns, bits=self.bits)

    def zero_points(self) -> Bytes:
        """[out, groups] uint8."""
        if self.zero_point is None:
            return np.full(self.scale.shape, 1 << (self.bits - 1), np.uint8)
        return unpack_integers(self.zero_point, self.scale.shape[1], bits=self.bits)

    def dequantized(self) -> Floats:
        """[out, in] float32. The difference of integers is exact, so only the product with the scale rounds."""
        groups = self.integers().reshape(*self.scale.shape, self.group_size).astype(np.float32)
        shifted = groups - self.zero_points()[..., None].astype(np.float32)
        return (shifted * self.scale[..., None]).reshape(len(self.packed), self.columns)

    def tensors(self, name: str) -> dict[str, Array]:
        """The tensors that stand for the matrix `name` in a bundle."""
        stored: dict[str, Array] = {name: self.packed, name + SCALE_SUFFIX: self.scale}
        return stored if self.zero_point is None else {**stored, name + ZERO_POINT_SUFFIX: self.zero_point}


def pack_integers(integers: Bytes, *, bits: int) -> Bytes:
    """Rows of integers as bytes: [N, ceil(columns * bits / 8)]; an odd column out gets a zero beside it."""
    if bits == 8:
        return integers
    # ONNX Runtime reads whole bytes, the element of the lower index in the lower four bits.
    padded = np.pad(integers, ((0, 0), (0, integers.shape[1] % 2)))
    packed: Bytes = padded[:, 0::2] | (padded[:, 1::2] << np.uint8(4))
    return packed


def unpack_integers(packed: Bytes, columns: int, *, bits: int) -> Bytes:
    """The integers [N, columns] that `pack_integers` made bytes of."""
    if bits == 8:
        return packed
    pairs = np.stack([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1)
    return pairs.reshape(len(packed), -1)[:, :columns]


def quantize_groups(weight: Floats, *, bits: int, group_size: int, is_symmetric: bool) -> GroupedMatrix:
    """Round a matrix to the nearest integers, half to even, group by group.

    Symmetric: the element of largest magnitude becomes the lowest integer, -2^(bits-1), whatever its sign, so that all
    integers are used. Asymmetric: the range from the smallest to the largest element, and 0 between them, is spread
    over 0 to 2^bits - 1.

    Args:
        weight: [out, in] float32.
        bits: 4 or 8.
        group_size: elements of a row that share a scale.
        is_symmetric: no zero points are stored.

    Raises:
        LingoLiteError: the group does not divide the rows, or a weight is infinite or not a number.
    """
    if weight.shape[1] % group_size:
        raise LingoLiteError(
            f"groups of {group_size} do not divide its rows of {weight.shape[1]} elements",
            hint=_fitting_group_sizes(weight.shape[1]),
        )
    if not np.isfinite(weight).all():
        raise LingoLiteError(
            "a weight is infinite or not a number",
            hint="the checkpoint is damaged or its training diverged; take an earlier one",
        )
    groups = weight.reshape(len(weight), -1, group_size)
    scale, zero_point = _symmetric_scales(groups, bits) if is_symmetric else _asymmetric_scales(groups, bits)
    shifted = np.rint(groups / scale[..., None]) + zero_point[..., None]
    integers = shifted.clip(0, 2**bits - 1).astype(np.uint8).reshape(weight.shape)
    packed_zero_point = None if is_symmetric else pack_integers(zero_point.astype(np.uint8), bits=bits)
    return GroupedMatrix(
        bits=bits, packed=pack_integers(integers, bits=bits), scale=scale, zero_point=packed_zero_point
    )


def _symmetric_scales(groups: Floats, bits: int) -> tuple[Floats, Floats]:
    """[out, groups] each: scales with the sign that makes the largest element the lowest integer, and the middle."""
    # With its sign: a scale may be negative, so that the largest magnitude always is the lowest integer,
    # which reaches one step further than the highest.
    largest = np.take_along_axis(groups, np.abs(groups).argmax(axis=-1)[..., None], axis=-1)[..., 0]
    middle = np.float32(1 << (bits - 1))
    return _without_zeros((largest / -middle).astype(np.float32)), np.full(largest.shape, middle, np.float32)


def _asymmetric_scales(groups: Floats, bits: int) -> tuple[Floats, Floats]:
    """[out, groups] each: scales, and the integers that stand for 0."""
    # 0 is always within the range: a pruned weight stays 0.
    lowest = np.minimum(groups.min(axis=-1), np.float32(0))
    highest = np.maximum(groups.max(axis=-1), np.float32(0))
    steps = np.float32(2**bits - 1)
    scale = _without_zeros((highest / steps) - (lowest / steps))
    return scale, np.rint(-lowest / scale).clip(0, steps)


def _without_zeros(scale: Floats) -> Floats:
    """1 for groups of zeros, and of numbers so small that their scale would be none."""
    return np.where(np.abs(scale) < np.finfo(np.float32).tiny, np.float32(1), scale)


def _fitting_group_sizes(columns: int) -> str:
    fitting = [str(size) for size in GROUP_SIZES if columns % size == 0]
    if not fitting:
        return f"no group size divides {columns}; use dynamic-int8, which has one scale a row"
    return f"choose a group size that divides {columns}: {', '.join(fitting)}"


def is_grouped(tensors: Mapping[str, Array], name: str) -> bool:
    """Whether the matrix `name` of a bundle is stored by groups: bytes with scales."""
    return name in tensors and tensors[name].dtype == np.uint8 and name + SCALE_SUFFIX in tensors


def read_grouped(tensors: Mapping[str, Array], name: str, *, columns: int) -> GroupedMatrix:
    """The matrix `name` of a bundle, which `is_grouped`.

    Args:
        tensors: the bundle's.
        name: of the matrix.
        columns: of the matrix, by the model's configuration.

    Raises:
        LingoLiteError: the tensors do not fit one another or `columns`.
    """
    packed, scale = tensors[name], tensors[name + SCALE_SUFFIX]
    zero_point = tensors.get(name + ZERO_POINT_SUFFIX)
    # Nothing in the file says how many bits: the width does, and the configuration knows the columns.
    bits = {(columns // 2,): 4, (columns,): 8}.get(packed.shape[1:])
    if bits is None or not _is_scale(scale, len(packed), columns) or not _is_zero_point(zero_point, scale, bits):
        found = {key: f"{tensors[key].dtype}{list(tensors[key].shape)}" for key in tensors if key.startswith(name)}
        raise LingoLiteError(
            f"the parts of `{name}`, a matrix with {columns} columns, do not fit: {found}", hint="make the bundle again"
        )
    return GroupedMatrix(bits=bits, packed=packed, scale=scale, zero_point=zero_point)


def _is_scale(scale: Array, rows: int, columns: int) -> bool:
    shapes = [(rows, columns // size) for size in GROUP_SIZES if columns % size == 0]
    return scale.dtype == np.float32 and scale.shape in shapes


def _is_zero_point(zero_point: Array | None, scale: Array, bits: int) -> bool:
    if zero_point is None:
        return True
    return zero_point.dtype == np.uint8 and zero_point.shape == (len(scale), -(-scale.shape[1] * bits // 8))
