"""Integers by groups against plain Python arithmetic, their packing, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.groups import is_grouped, pack_integers, quantize_groups, read_grouped, unpack_integers

LAYOUTS = pytest.mark.parametrize(
    ("bits", "group_size", "is_symmetric"), [(4, 16, True), (4, 32, False), (8, 32, True), (8, 16, False)]
)
ROWS, COLUMNS = 5, 96


def _weight(seed: int = 3) -> np.ndarray:
    weight = np.random.default_rng(seed).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    weight[1, :32] = 0.0
    weight[2, :32] = np.abs(weight[2, :32])
    weight[3] = -np.abs(weight[3])
    return weight


def _group(weights: list[float], bits: int, is_symmetric: bool) -> tuple[list[int], float, int]:
    """Integers, scale and zero point of one group, in float32 scalars one after the other."""
    if is_symmetric:
        zero_point = 2 ** (bits - 1)
        scale = np.float32(max(weights, key=abs)) / np.float32(-zero_point)
    else:
        steps = np.float32(2**bits - 1)
        low, high = np.float32(min(*weights, 0)), np.float32(max(*weights, 0))
        scale = high / steps - low / steps
        zero_point = round(float(-low / (scale or 1)))
    scale = scale or np.float32(1)
    shifted = [round(float(np.float32(weight) / scale)) + zero_point for weight in weights]
    return [min(max(q, 0), 2**bits - 1) for q in shifted], float(scale), zero_point


@LAYOUTS
def test_integers_are_those_of_plain_arithmetic(bits, group_size, is_symmetric):
    weight = _weight()
    found = quantize_groups(weight, bits=bits, group_size=group_size, is_symmetric=is_symmetric)
    assert (found.columns, found.group_size) == (COLUMNS, group_size)
    for row in range(ROWS):
        for group in range(COLUMNS // group_size):
            columns = slice(group * group_size, (group + 1) * group_size)
            integers, scale, zero_point = _group(weight[row, columns].tolist(), bits, is_symmetric)
            assert found.integers()[row, columns].tolist() == integers
            assert found.scale[row, group] == np.float32(scale)
            assert found.zero_points()[row, group] == zero_point
            dequantized = [np.float32(q - zero_point) * np.float32(scale) for q in integers]
            np.testing.assert_array_equal(found.dequantized()[row, columns], np.array(dequantized, np.float32))


@LAYOUTS
def test_dequantized_weights_are_near(bits, group_size, is_symmetric):
    """Half a step; a whole one for the largest of the other sign, which has one integer less, or a rounded zero."""
    weight = _weight()
    found = quantize_groups(weight, bits=bits, group_size=group_size, is_symmetric=is_symmetric)
    step = np.repeat(np.abs(found.scale), group_size, axis=1)
    errors = np.abs(found.dequantized() - weight) / step
    assert errors.max() <= 1 + 1e-5
    assert np.mean(errors > 0.5 + 1e-5) < 0.1
    np.testing.assert_array_equal(found.dequantized()[1, :32], 0.0)


@pytest.mark.parametrize("is_symmetric", [True, False])
@pytest.mark.parametrize("magnitude", [1e-44, 1e-38, 1e30, 3e38])
def test_groups_of_any_magnitude_stay_finite(magnitude, is_symmetric):
    weight = (np.random.default_rng(1).uniform(-1, 1, (2, 32)) * magnitude).astype(np.float32)
    found = quantize_groups(weight, bits=4, group_size=16, is_symmetric=is_symmetric)
    assert np.isfinite(found.scale).all()
    assert (found.scale != 0).all()
    assert np.abs(found.dequantized() / 2 - weight / 2).max() <= 0.51 * np.abs(found.scale).max()


@pytest.mark.parametrize("columns", [1, 2, 7, 32])
def test_packing_comes_back(columns):
    integers = np.random.default_rng(columns).integers(0, 16, (3, columns)).astype(np.uint8)
    packed = pack_integers(integers, bits=4)
    assert (packed.dtype, packed.shape) == (np.uint8, (3, -(-columns // 2)))
    np.testing.assert_array_equal(unpack_integers(packed, columns, bits=4), integers)
    np.testing.assert_array_equal(unpack_integers(pack_integers(integers, bits=8), columns, bits=8), integers)


def test_the_first_of_two_is_in_the_lower_half():
    packed = pack_integers(np.array([[1, 2, 15, 0, 9]], np.uint8), bits=4)
    assert packed.tolist() == [[0x21, 0x0F, 0x09]]


@LAYOUTS
def test_tensors_of_a_bundle_are_read_back(bits, group_size, is_symmetric):
    made = quantize_groups(_weight(), bits=bits, group_size=group_size, is_symmetric=is_symmetric)
    tensors = made.tensors("x.weight")
    assert set(tensors) == {"x.weight", "x.weight_scale"} | (set() if is_symmetric else {"x.weight_zero_point"})
    assert is_grouped(tensors, "x.weight")
    read = read_grouped(tensors, "x.weight", columns=COLUMNS)
    assert (read.bits, read.group_size) == (bits, group_size)
    np.testing.assert_array_equal(read.dequantized(), made.dequantized())


def test_a_group_that_does_not_divide_the_rows_is_refused():
    with pytest.raises(LingoLiteError, match="groups of 64 do not divide its rows of 96") as raised:
        quantize_groups(_weight(), bits=4, group_size=64, is_symmetric=True)
    assert raised.value.hint == "choose a group size that divides 96: 16, 32"
    with pytest.raises(LingoLiteError) as raised:
        quantize_groups(_weight()[:, :24], bits=4, group_size=16, is_symmetric=True)
    assert "dynamic-int8" in raised.value.hint


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused(value):
    weight = _weight()
    weight[4, 5] = value
    with pytest.raises(LingoLiteError, match="infinite or not a number"):
        quantize_groups(weight, bits=4, group_size=32, is_symmetric=False)


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("", np.zeros((ROWS, 40), np.uint8)),
        ("_scale", np.ones((ROWS, 4), np.float32)),
        ("_scale", np.ones((ROWS - 1, 3), np.float32)),
        ("_scale", np.ones((ROWS, 3), np.float16)),
        ("_zero_point", np.zeros((ROWS, 3), np.uint8)),
        ("_zero_point", np.zeros((ROWS, 2), np.int8)),
    ],
)
def test_parts_that_do_not_fit_are_refused(part, changed):
    tensors = quantize_groups(_weight(), bits=4, group_size=32, is_symmetric=False).tensors("x.weight")
    with pytest.raises(LingoLiteError, match=r"the parts of `x.weight`, a matrix with 96 columns, do not fit"):
        read_grouped({**tensors, f"x.weight{part}": changed}, "x.weight", columns=COLUMNS)
