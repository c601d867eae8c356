"""How activations that meet int8 weights are rounded: one rule, which every runtime follows and exporters quote.

Owns the constants, the arithmetic in numpy, and the sentences that describe it in exported files. A runtime with an
arithmetic of its own (PyTorch, ONNX graphs) takes the constants from here. Ranges of static quantization are found in
`lingolite_cli.weights.ranges`; how weights are rounded is `lingolite_cli.weights.rows`'s and `groups`'s.

Dynamic: each row has a scale of its own, so that no row of a batch depends on another. An engine may give it a zero
point as well, which is not the rule, but has to be known to check such an engine. Static: each tensor has one
scale and one zero point, calibrated beforehand. In both, sums of products with int8 weights are exact in int32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.weights.rows import INT8_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from lingolite_cli.arrays import Array, FloatArray

SMALLEST_MAXIMUM = 1e-30
"""A row whose largest magnitude is below this is scaled as if it were this, so that no row divides by zero.

An engine may do without: where the scale of a row of zeros is 0, whatever its integers are is multiplied by 0. Both
ways the products are 0.
"""

UINT8_MAX = 255
"""Largest integer of a calibrated range; the smallest is 0."""

MIDDLE = 128
"""The uint8 that stands for 0 where int8 integers are stored as uint8: each is larger by this."""

SCALE_RULE = f"s_x = max(max|x|, {SMALLEST_MAXIMUM:g}) / {INT8_MAX}"
ROUNDING_RULE = "q_x = round_half_even(x / s_x)"
STATIC_RULE = f"q_x = clip(round_half_even(x / s_x) + z, 0, {UINT8_MAX})"
"""The rules in words for exported files: x an activation, s_x its scale, z its zero point, q_x its integer."""


class InputRange(msgspec.Struct, frozen=True):
    """What the 256 integers of an activation stand for: integer `q` for `(q - zero_point) * scale`.

    Attributes:
        scale: above 0, exact in float32.
        zero_point: the integer of 0, from 0 to 255.
    """

    scale: float
    zero_point: int


def row_scale(x: Array) -> FloatArray:
    """[..., 1] float32 from x [..., in] float32: what makes the largest magnitude of each row 127."""
    # One scale a row: with one a tensor only 19 % of sentences gave the same tokens alone and in a batch of 32.
    largest = np.max(np.abs(x), axis=-1, keepdims=True)
    scale: FloatArray = np.maximum(largest, np.float32(SMALLEST_MAXIMUM)) / np.float32(INT8_MAX)
    return scale


def half_to_even(quotients: Array) -> Array:
    """The nearest integers, as floats; of two that are equally near, the even one."""
    return np.rint(quotients)


def quantize_dynamic(x: Array) -> tuple[Array, FloatArray]:
    """Integers [..., in] int8 in -127...127 and scales [..., 1] float32 from x [..., in] float32."""
    scale = row_scale(x)
    return half_to_even(x / scale).astype(np.int8), scale


def quantize_asymmetric(x: Array, *, rounding: Callable[[Array], Array] = half_to_even) -> tuple[Array, FloatArray]:
    """The same as an engine does that gives each row a zero point, so that its smallest and its largest value are -128
    and 127: XNNPACK (`xnn_f32_qd8_asymmetric_quantization_params`). Values of one sign are seen together with 0.

    Args:
        x: [..., in] float32.
        rounding: of x over its scale.

    Returns:
        Integers less the zero point [..., in], float32, and scales [..., 1] float32.
    """
    lowest = np.minimum(np.min(x, axis=-1, keepdims=True), np.float32(0))
    highest = np.maximum(np.max(x, axis=-1, keepdims=True), np.float32(0))
    span = np.maximum(highest - lowest, np.float32(SMALLEST_MAXIMUM))
    inverse = np.float32(UINT8_MAX) / span
    # From the end whose magnitude is smaller, where float32 has the smaller error.
    is_low = (lowest + highest) * inverse - np.float32(1) > 0
    zero_point = np.where(is_low, -128 - lowest * inverse, 127 - highest * inverse)
    zero_point = half_to_even(np.clip(zero_point, -128, 127)).astype(np.float32)
    integers: Array = np.clip(rounding(x * inverse) + zero_point, -128, 127) - zero_point
    scale: FloatArray = np.float32(1) / inverse
    return integers, scale


def quantize_static(x: Array, input_range: InputRange) -> Array:
    """Integers uint8 from x float32, of any shape; what lies outside the range is clipped."""
    integers = half_to_even(x / np.float32(input_range.scale)) + np.float32(input_range.zero_point)
    return integers.clip(0, UINT8_MAX).astype(np.uint8)
