"""How the reference multiplies: sums of integers are exact, however many there are."""

from __future__ import annotations

import numpy as np
import pytest

from lingolite_cli.architecture.rounding import RoundedProducts, round_as_specified
from lingolite_cli.weights.activations import InputRange
from lingolite_cli.weights.bundle import Matrix

_COLUMNS = 3001
"""127 · 127 so many times is far beyond 2^24, where float32 has no odd integers."""


@pytest.mark.parametrize("input_range", [None, InputRange(1.0, 0)], ids=["by row", "calibrated"])
def test_sums_of_many_products_are_exact(input_range: InputRange | None) -> None:
    generator = np.random.default_rng(0)
    values = np.full((3, _COLUMNS), 127, np.int8)
    values[1:] = generator.integers(100, 128, (2, _COLUMNS))
    largest = 127 if input_range is None else 255
    x = np.full((2, _COLUMNS), largest, np.float32)
    x[1] = generator.integers(100, largest + 1, _COLUMNS)
    x[:, 0] = largest  # so that the scale of each row is 1
    matrix = Matrix(values, np.ones(3, np.float32), input_range)
    products = RoundedProducts(round_as_specified, {}, lambda name: False, has_zero_points=False)
    right = x.astype(np.int64) @ values.astype(np.int64).T
    assert (right > 1 << 24).all()
    np.testing.assert_array_equal(products.product(x, "any", matrix), right.astype(np.float32))
