"""Programs of every family of models: against the reference, with reordered rows, operation by operation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.recording import record
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.architecture.tensors import matrix_keys
from lingolite_cli.arrays import Array
from lingolite_cli.evaluation.operation_comparison import compare_operations
from lingolite_cli.plugins.interfaces import ForcedTokens
from lingolite_cli.testing.tiny import random_weights
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.rows import quantize_tensors
from tests.families import FAMILIES

pytest.importorskip("coremltools", reason='coremltools is not installed: pip install -e ".[coreml]"')
pytestmark = pytest.mark.coreml

from lingolite_coreml.arithmetic import arithmetic_of  # noqa: E402
from lingolite_coreml.details import CoreMLDetails  # noqa: E402
from lingolite_coreml.engines import open_reference  # noqa: E402
from lingolite_coreml.options import CoreMLExportOptions  # noqa: E402
from lingolite_coreml.runner import Runner  # noqa: E402
from lingolite_coreml.trace import trace_program  # noqa: E402
from lingolite_coreml.writing import write_program  # noqa: E402

_ALL = pytest.mark.parametrize("name", FAMILIES)
_POSITIONS = 33

FLOAT32 = CoreMLExportOptions(compute="float32")
IOS16 = CoreMLExportOptions(target="ios16", compute="float32")
STATES = CoreMLExportOptions()
FIXED = CoreMLExportOptions(compute="float32", shapes="fixed")
_TOLERANCE = {"float32": 1e-4, "float16": 0.1}
"""Of a logit, as a share of the largest."""
_SHARE = {"float32": 1.0, "float16": 0.9}
"""Of the logits that must be so close. Random weights whose scores of attention are not scaled make much of a last bit:
float16 is compared operation by operation below."""

Open = Callable[..., tuple[Runner, CoreMLDetails]]


def _weights(name: str, *, is_int8: bool = False) -> Weights:
    architecture = FAMILIES[name]
    tensors: dict[str, Array] = dict(random_weights(architecture, seed=5))
    return Weights(architecture, quantize_tensors(tensors, matrix_keys(architecture)) if is_int8 else tensors)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """`program(name, options, is_int8)`: the program of a family over the interpreter, made once."""

    @cache
    def make(name: str, options: CoreMLExportOptions, is_int8: bool = False) -> tuple[Runner, CoreMLDetails]:
        directory, weights = tmp_path_factory.mktemp("program"), _weights(name, is_int8=is_int8)
        details = write_program(weights, directory, options, positions=_POSITIONS, summary=name)
        return Runner(directory, weights.config, details, open_reference(details, weights.config)), details

    return make


def _batch(architecture: Architecture) -> tuple[Array, Array, Array]:
    """Sources [3, 9] with padding, their mask, and targets [3, 6]."""
    random = np.random.default_rng(2)
    mask = np.arange(9) < np.array([[9], [4], [6]])
    source = np.where(mask, random.integers(4, architecture.num_source_tokens, (3, 9)), architecture.pad_token_id)
    return source, mask, random.integers(4, architecture.vocab_size, (3, 6))


def _logits(runner: Runner, source: Array, mask: Array, target: Array) -> Array:
    state = runner.encode(source, mask)
    return np.stack([runner.step(state, column).copy() for column in target.T], axis=1)


def _expected(name: str, source: Array, mask: Array, target: Array, *, is_int8: bool = False) -> Array:
    reference = Reference(_weights(name, is_int8=is_int8), reads_floats=lambda matrix: True)
    return reference.decode(target, reference.encode(source, mask), mask)


def _assert_close(found: Array, expected: Array, details: CoreMLDetails) -> None:
    is_close = np.abs(found - expected) <= _TOLERANCE[details.compute] * np.abs(expected).max()
    assert is_close.mean() >= _SHARE[details.compute]


@pytest.mark.parametrize("is_int8", [False, True], ids=["float", "int8"])
@pytest.mark.parametrize("options", [FLOAT32, IOS16, STATES, FIXED], ids=["float32", "ios16", "states", "fixed"])
@_ALL
def test_logits_are_those_of_the_reference(
    program: Open, name: str, options: CoreMLExportOptions, is_int8: bool
) -> None:
    source, mask, target = _batch(FAMILIES[name])
    expected = _expected(name, source, mask, target, is_int8=is_int8)
    runner, details = program(name, options, is_int8)
    found = _logits(runner, source, mask, target)
    _assert_close(found, expected, details)


@pytest.mark.parametrize("options", [FLOAT32, STATES], ids=["buffers", "states"])
@_ALL
def test_rows_that_are_reordered_repeated_or_dropped_go_on_as_themselves(
    program: Open, name: str, options: CoreMLExportOptions
) -> None:
    source, mask, target = _batch(FAMILIES[name])
    runner, _ = program(name, options)
    whole = _logits(runner, source, mask, target)
    state = runner.encode(source, mask)
    for column in target[:, :2].T:
        runner.step(state, column)
    for rows in ([2, 0, 0, 1], [3, 1], [1, 0]):
        state = runner.select(state, np.array(rows))
    # 2, 0, 0, 1 → the fourth and second of these are 1 and 0 → turned around
    kept = [0, 1]
    for position in range(2, 6):
        np.testing.assert_array_equal(runner.step(state, target[kept, position]), whole[kept, position])


@pytest.mark.parametrize("options", [FLOAT32, STATES], ids=["buffers", "states"])
@_ALL
def test_a_target_may_be_as_long_as_the_program_has_positions(
    program: Open, name: str, options: CoreMLExportOptions
) -> None:
    architecture = FAMILIES[name]
    source = np.random.default_rng(4).integers(4, architecture.num_source_tokens, (1, _POSITIONS))
    target = np.random.default_rng(3).integers(4, architecture.vocab_size, (1, _POSITIONS))
    mask = np.ones(source.shape, np.bool_)
    expected = _expected(name, source, mask, target)
    runner, details = program(name, options)
    found = _logits(runner, source, mask, target)
    _assert_close(found, expected, details)


@pytest.mark.parametrize("options", [FLOAT32, STATES, FIXED], ids=["float32", "states", "fixed"])
@_ALL
def test_a_trace_shows_every_operation_and_no_difference(
    program: Open, name: str, options: CoreMLExportOptions
) -> None:
    source, mask, target = _batch(FAMILIES[name])
    runner, details = program(name, options, True)
    tokens = ForcedTokens(source_ids=source, source_mask=mask, target_ids=target)
    weights = _weights(name, is_int8=True)
    (trace,) = trace_program(runner, weights.config, tokens, compute=details.compute)
    readings = compare_operations(weights, arithmetic_of(details), tokens, trace)
    assert [reading.difference for reading in readings if reading.difference is not None] == []
    hidden: set[Any] = {operation for operation in record(weights.config).operations} - {one.name for one in readings}
    # Of encoders the keys and values are what attention reads: there is no cache. Of sums in float16 see the trace.
    shown = {one for one in hidden if not (one.startswith("encoder.") and one.endswith("_cache"))}
    assert all(one.endswith(".sum") and details.compute == "float16" for one in shown)
