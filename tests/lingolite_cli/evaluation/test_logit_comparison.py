"""Logits are compared in blocks of rows: the same figures, without arrays of the size of all logits."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.architecture.rounding import RoundedProducts, round_as_specified
from lingolite_cli.evaluation.logit_comparison import compare_logits, kl_divergence, log_normalizers
from lingolite_cli.evaluation.operation_comparison import _relative
from lingolite_cli.evaluation.probes import _column_sums
from lingolite_cli.evaluation.top_k_comparison import compare_top_k
from lingolite_cli.plugins.interfaces import TopK, Trace
from lingolite_cli.weights.bundle import Matrix

ROWS, WIDTH = 40, 50_000


@pytest.fixture(scope="module")
def logits() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    reference = generator.normal(0, 5, (ROWS, WIDTH)).astype(np.float32)
    return reference, reference + generator.normal(0, 0.1, reference.shape).astype(np.float32)


def peak_of(work: Callable[[], object]) -> int:
    """Bytes that numpy had at most, besides what there was before."""
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_row_has_the_same_figures_alone_and_among_others(logits) -> None:
    together = compare_logits(*logits, near_tie=0.1)
    alone = [compare_logits(*(side[[row]] for side in logits), near_tie=0.1) for row in range(ROWS)]
    for name in ("largest", "mean", "kl", "is_agreed"):
        assert getattr(together, name).tolist() == [getattr(one, name).item() for one in alone]
    assert kl_divergence(*logits).tolist() == together.kl.tolist()


def test_figures_are_what_float64_gives(logits) -> None:
    reference, candidate = (side.astype(np.float64) for side in logits)
    found = compare_logits(*logits)
    log_p, log_q = (side - np.logaddexp.reduce(side, axis=1, keepdims=True) for side in (reference, candidate))
    np.testing.assert_allclose(found.kl, (np.exp(log_p) * (log_p - log_q)).sum(axis=1), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.mean, abs(candidate - reference).mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(log_normalizers(logits[0]), (reference - log_p)[:, 0], rtol=1e-13)
    np.testing.assert_allclose(_column_sums(*logits), abs(candidate - reference).sum(axis=0), rtol=1e-4)


def test_to_compare_logits_takes_a_part_of_their_memory(logits) -> None:
    for work in (compare_logits, kl_divergence, lambda *both: log_normalizers(both[0]), _column_sums):
        assert peak_of(lambda work=work: work(*logits)) < logits[0].nbytes / 2


def test_to_compare_values_with_the_reference_holds_one_array_in_float64(logits) -> None:
    reference, candidate = logits
    assert peak_of(lambda: _relative(candidate, reference, reference)) < 2.5 * reference.nbytes


def test_to_compare_a_choice_of_tokens_takes_no_array_in_float64(logits) -> None:
    rows = logits[0]
    ids = np.argsort(-rows, axis=1, kind="stable")[:, :8]
    right = np.take_along_axis(rows, ids, axis=1) - np.logaddexp.reduce(rows.astype(np.float64), axis=1, keepdims=True)
    trace = Trace(
        part="decoder",
        values={OUTPUT_PROJECTION: rows[None]},
        top_k=TopK(ids=ids[None], log_probabilities=right[None].astype(np.float32)),
    )
    assert compare_top_k(trace, rounding=1e-4)[0].difference is None
    assert peak_of(lambda: compare_top_k(trace, rounding=1e-4)) < 1.5 * rows.nbytes


@pytest.mark.parametrize("has_zero_points", [False, True])
def test_a_product_of_the_reference_takes_no_second_array_of_its_size(has_zero_points: bool) -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(-127, 128, (20_000, 16)).astype(np.int8)
    matrix = Matrix(values, generator.uniform(0.01, 0.02, len(values)).astype(np.float32))
    x = generator.normal(size=(200, 16)).astype(np.float32)
    products = RoundedProducts(round_as_specified, {}, lambda name: False, has_zero_points=has_zero_points)
    found = products.product(x, "output_projection", matrix)
    np.testing.assert_allclose(found, x @ (values * matrix.scale[:, None]).T, atol=0.2)
    assert peak_of(lambda: products.product(x, "output_projection", matrix)) < 1.3 * found.nbytes
