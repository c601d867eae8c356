"""The rounding of activations: against exact fractions, and the same integers from PyTorch."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from lingolite_cli.model.int8 import StaticInt8Linear, quantize_activations
from lingolite_cli.weights.activations import (
    ROUNDING_RULE,
    SCALE_RULE,
    SMALLEST_MAXIMUM,
    STATIC_RULE,
    InputRange,
    half_to_even,
    quantize_asymmetric,
    quantize_dynamic,
    quantize_static,
    row_scale,
)


def _rows() -> np.ndarray:
    """Rows of magnitudes from below the guard to large ones, and one of zeros."""
    random = np.random.default_rng(11)
    rows = random.standard_normal((9, 2, 33)).astype(np.float32)
    rows *= np.float32(10.0) ** np.arange(-40, 32, 8, dtype=np.float32)[:, None, None]
    rows[3, 1] = 0
    return rows


def test_integers_are_those_of_exact_fractions() -> None:
    """Python's `round` of a fraction is exact and half to even; the quotient of two float32 is rounded once before."""
    rows = _rows()[1:]  # the first has subnormal numbers, whose quotients are not worth a fraction
    integers, scales = quantize_dynamic(rows)
    assert integers.dtype == np.int8
    assert scales.dtype == np.float32
    for row, found, scale in zip(rows.reshape(-1, 33), integers.reshape(-1, 33), scales.ravel(), strict=True):
        assert abs(Fraction(float(scale)) * 127 - max(Fraction(float(np.abs(row).max())), Fraction(1, 10**30))) <= (
            Fraction(float(scale)) * 127 / 2**22
        )
        quotients = [np.float32(Fraction(float(x)) / Fraction(float(scale))) for x in row]
        assert found.tolist() == [round(Fraction(float(quotient))) for quotient in quotients]


def test_a_row_of_zeros_becomes_zeros_and_rows_below_the_guard_become_small() -> None:
    rows = np.zeros((3, 4), np.float32)
    rows[1] = SMALLEST_MAXIMUM / 127
    rows[2, 0] = SMALLEST_MAXIMUM
    integers, scales = quantize_dynamic(rows)
    assert integers.tolist() == [[0] * 4, [1] * 4, [127, 0, 0, 0]]
    assert len(set(scales.ravel().tolist())) == 1
    assert np.isfinite(scales).all()
    assert (scales > 0).all()


def test_every_row_has_a_scale_of_its_own() -> None:
    rows = _rows()
    alone = np.stack([[quantize_dynamic(row[None])[0][0] for row in pair] for pair in rows])
    np.testing.assert_array_equal(quantize_dynamic(rows)[0], alone)
    assert row_scale(rows).shape == (9, 2, 1)


def test_pytorch_rounds_to_the_same_integers_with_the_same_scales() -> None:
    rows = _rows().reshape(-1, 33)
    integers, scales = quantize_activations(torch.from_numpy(rows))
    expected, expected_scales = quantize_dynamic(rows)
    np.testing.assert_array_equal(integers.numpy(), expected)
    np.testing.assert_array_equal(scales.numpy(), expected_scales)


def test_ties_go_to_the_even_integer() -> None:
    ties = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert half_to_even(ties).tolist() == [-2, -2, 0, 0, 2, 2]
    assert quantize_static(ties, InputRange(1.0, 10)).tolist() == [8, 8, 10, 10, 12, 12]


@pytest.mark.parametrize("zero_point", [0, 93, 255])
def test_static_integers_are_those_of_exact_fractions_and_of_pytorch(zero_point: int) -> None:
    scale = float(np.float32(0.037))
    x = (np.random.default_rng(zero_point).standard_normal((3, 200)) * 6).astype(np.float32)
    found = quantize_static(x, InputRange(scale, zero_point))
    quotients = [np.float32(Fraction(float(value)) / Fraction(scale)) for value in x.ravel()]
    expected = [min(max(round(Fraction(float(each))) + zero_point, 0), 255) for each in quotients]
    assert found.dtype == np.uint8
    assert found.ravel().tolist() == expected
    assert {0, 255} & set(expected), "nothing was clipped"

    identity = StaticInt8Linear(200, 200)  # each output is the integer of one input, less the zero point, times scale
    identity.load_state_dict(
        {
            "weight": torch.eye(200, dtype=torch.int8),
            "weight_scale": torch.ones(200, 1),
            "input_scale": torch.tensor([scale]),
            "input_zero_point": torch.tensor([zero_point], dtype=torch.uint8),
        }
    )
    outputs = (found.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    np.testing.assert_array_equal(identity(torch.from_numpy(x)).numpy(), outputs)


def test_exported_files_say_what_they_said() -> None:
    assert SCALE_RULE == "s_x = max(max|x|, 1e-30) / 127"
    assert ROUNDING_RULE == "q_x = round_half_even(x / s_x)"
    assert STATIC_RULE == "q_x = clip(round_half_even(x / s_x) + z, 0, 255)"


def test_a_row_with_a_zero_point_uses_nearly_all_integers_and_keeps_zero() -> None:
    x = np.array([[-1.0, 0.0, 0.5, 3.0], [0.5, 1.0, 2.0, 0.0], [-4.0, -2.0, 0.0, -1.0], [0.0] * 4], np.float32)
    integers, scale = quantize_asymmetric(x)
    assert (np.ptp(integers[:3], axis=1) >= 254).all()
    np.testing.assert_array_equal(integers[x == 0], 0)
    assert np.abs(integers * scale - x).max() <= 0.501 * scale.max()


def test_two_more_values_in_a_row_move_its_zero_point_to_zero() -> None:
    x = np.random.default_rng(4).standard_normal((5, 24)).astype(np.float32)
    largest = np.abs(x).max(axis=1, keepdims=True)
    extended, scale = quantize_asymmetric(np.concatenate([x, largest, largest * np.float32(-128 / 127)], axis=1))
    np.testing.assert_array_equal(extended[:, :-2], np.rint(x / row_scale(x)))
    np.testing.assert_allclose(scale, row_scale(x), rtol=3e-7)
