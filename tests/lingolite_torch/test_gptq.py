"""GPTQ against its definition: optimal brain quantization with the inverse Hessian updated column by column."""

from __future__ import annotations

import numpy as np
import pytest
from lingolite_torch.gptq import gptq_groups

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.weights.groups import quantize_groups


def inputs(columns: int, *, seed: int) -> np.ndarray:
    """[300, columns] with neighbours that vary together."""
    random = np.random.default_rng(seed)
    mixing = random.standard_normal((columns, columns)) / columns**0.5
    return random.standard_normal((300, columns)) @ (np.eye(columns) + 2 * mixing)


def by_definition(weight: np.ndarray, moments: np.ndarray, group_size: int, damping: float) -> np.ndarray:
    """Frantar et al. 2023, equations 2 and 3, one column after the other; the rounded weights, [out, in]."""
    left = weight.astype(np.float64)
    inverse = np.linalg.inv(moments + damping * np.diag(moments).mean() * np.eye(len(moments)))
    result = np.zeros_like(left)
    for column in range(weight.shape[1]):
        if column % group_size == 0:
            group = left[:, column : column + group_size].astype(np.float32)
            levels = quantize_groups(group, bits=4, group_size=group_size, is_symmetric=False)
            scale, zero = levels.scale[:, 0].astype(np.float64), levels.zero_points()[:, 0].astype(np.float64)
        result[:, column] = (np.clip(np.rint(left[:, column] / scale) + zero, 0, 15) - zero) * scale
        error = (left[:, column] - result[:, column]) / inverse[column, column]
        left -= np.outer(error, inverse[column])
        inverse -= np.outer(inverse[:, column], inverse[column]) / inverse[column, column]
    return result


def test_it_is_optimal_brain_quantization_in_order() -> None:
    weight = np.random.default_rng(1).standard_normal((7, 48)).astype(np.float32)
    x = inputs(48, seed=2)
    moments = x.T @ x
    found = gptq_groups(weight, moments, group_size=16, damping=0.01)
    assert (found.bits, found.group_size, found.columns) == (4, 16, 48)
    np.testing.assert_allclose(found.dequantized(), by_definition(weight, moments, 16, 0.01), rtol=1e-5, atol=1e-6)


def test_products_change_less_than_by_rounding_to_the_nearest() -> None:
    weight = np.random.default_rng(3).standard_normal((40, 64)).astype(np.float32)
    x = inputs(64, seed=4)
    nearest = quantize_groups(weight, bits=4, group_size=32, is_symmetric=False).dequantized()
    found = gptq_groups(weight, x.T @ x, group_size=32, damping=0.01).dequantized()
    errors = [float(np.square(x @ (rounded - weight).T).sum()) for rounded in (found, nearest)]
    assert errors[0] < 0.7 * errors[1]


def test_inputs_that_are_never_other_than_zero_do_no_harm() -> None:
    weight = np.random.default_rng(5).standard_normal((3, 32)).astype(np.float32)
    x = inputs(32, seed=6)
    x[:, 4] = 0
    assert np.isfinite(gptq_groups(weight, x.T @ x, group_size=16, damping=0.01).dequantized()).all()
    assert np.isfinite(gptq_groups(weight, np.zeros((32, 32)), group_size=16, damping=0.01).dequantized()).all()


def test_what_cannot_be_rounded_is_refused() -> None:
    weight = np.ones((3, 40), np.float32)
    with pytest.raises(LingoLiteError, match="groups of 16 do not divide its rows of 40 elements"):
        gptq_groups(weight, np.eye(40), group_size=16, damping=0.01)
    weight[1, 2] = np.nan
    with pytest.raises(LingoLiteError, match="infinite or not a number"):
        gptq_groups(weight, np.eye(40), group_size=40, damping=0.01)
