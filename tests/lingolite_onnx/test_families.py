"""Exported graphs of every family of models, in both profiles: against the reference, in any batch, with beams."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from lingolite_onnx.ort.runner import OrtRunner
from lingolite_onnx.ort.writing import write_ort_graphs
from lingolite_onnx.portable.runner import PortableRunner
from lingolite_onnx.portable.writing import write_portable_graphs
from lingolite_onnx.profiles import GraphSettings

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.architecture.tensors import matrix_keys
from lingolite_cli.arrays import Array
from lingolite_cli.testing.tiny import random_weights
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.rows import quantize_tensors
from tests.families import FAMILIES
from tests.lingolite_onnx.onnx_bundles import needs_exact_int8

_ALL = pytest.mark.parametrize("name", FAMILIES)
_SETTINGS = GraphSettings(
    opset_version=18, max_seq_len=33, is_exact=True, optimize="none", has_shortlist=False, test=False
)

Runner = PortableRunner | OrtRunner


def _weights(name: str, *, is_int8: bool = False) -> Weights:
    architecture = FAMILIES[name]
    tensors: dict[str, Array] = dict(random_weights(architecture, seed=5))
    return Weights(architecture, quantize_tensors(tensors, matrix_keys(architecture)) if is_int8 else tensors)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Runner]:
    """`runner(name, profile, is_int8=…)`: the graphs of a family in ONNX Runtime, made once."""

    @cache
    def make(name: str, profile: str, is_int8: bool = False) -> Runner:
        directory, weights = tmp_path_factory.mktemp("graphs"), _weights(name, is_int8=is_int8)
        if profile == "portable":
            write_portable_graphs(weights, directory, _SETTINGS)
            return PortableRunner(directory, max_seq_len=33, threads=1)
        write_ort_graphs(weights, directory, _SETTINGS)
        return OrtRunner(directory, weights.config, max_seq_len=33, threads=1)

    return make


def _batch(architecture: Architecture) -> tuple[Array, Array, Array]:
    """Sources [3, 9] with padding, their mask, and targets [3, 6]."""
    random = np.random.default_rng(2)
    mask = np.arange(9) < np.array([[9], [4], [6]])
    source = np.where(mask, random.integers(4, architecture.num_source_tokens, (3, 9)), architecture.pad_token_id)
    return source, mask, random.integers(4, architecture.vocab_size, (3, 6))


def _logits(runner: Runner, source: Array, mask: Array, target: Array) -> Array:
    """[B, T, V], one token a step."""
    state = runner.encode(np.ascontiguousarray(source), np.ascontiguousarray(mask))
    columns = np.ascontiguousarray(target.T)
    return np.stack([runner.step(state, column).copy() for column in columns], axis=1)


def _expected(name: str, source: Array, mask: Array, target: Array, *, is_int8: bool = False) -> Array:
    reference = Reference(_weights(name, is_int8=is_int8), is_exact=is_int8)
    return reference.decode(target, reference.encode(source, mask), mask)


def _profiles(name: str) -> list[str]:
    """The ORT profile needs heads of a multiple of 8 dimensions, of 16 where positions are rotary."""
    return ["portable", "optimized"]


@pytest.mark.parametrize("profile", ["portable", "optimized"])
@_ALL
def test_logits_are_those_of_the_reference(runner: Any, name: str, profile: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    expected = _expected(name, source, mask, target)
    found = _logits(runner(name, profile), source, mask, target)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@needs_exact_int8
@_ALL
def test_portable_int8_logits_are_those_of_the_exact_reference(runner: Any, name: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    expected = _expected(name, source, mask, target, is_int8=True)
    found = _logits(runner(name, "portable", is_int8=True), source, mask, target)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("profile", ["portable", "optimized"])
@_ALL
def test_a_sentence_alone_has_the_logits_that_it_has_in_a_batch(runner: Any, name: str, profile: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    together = _logits(runner(name, profile), source, mask, target)
    for row, length in enumerate(mask.sum(axis=1)):
        alone = _logits(runner(name, profile), source[[row], :length], mask[[row], :length], target[[row]])
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-4 * np.abs(together).max())


@pytest.mark.parametrize("profile", ["portable", "optimized"])
@_ALL
def test_rows_that_are_reordered_repeated_or_dropped_go_on_as_themselves(runner: Any, name: str, profile: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    engine = runner(name, profile)
    whole = _logits(engine, source, mask, target)
    state = engine.encode(source, mask)
    for column in target[:, :2].T:
        engine.step(state, np.ascontiguousarray(column))
    for rows in ([2, 0, 0, 1], [3, 1], [1, 0]):
        state = engine.select(state, np.array(rows))
    # 2, 0, 0, 1 → the fourth and second of these are 1 and 0 → turned around
    kept = [0, 1]
    for position in range(2, 6):
        logits = engine.step(state, np.ascontiguousarray(target[kept, position]))
        np.testing.assert_allclose(logits, whole[kept, position], rtol=0, atol=1e-4 * np.abs(whole).max())


@_ALL
def test_targets_may_be_longer_than_the_first_buffers(runner: Any, name: str) -> None:
    architecture = FAMILIES[name]
    source, mask, _ = _batch(architecture)
    target = np.random.default_rng(3).integers(4, architecture.vocab_size, (3, 33))
    expected = _logits(runner(name, "portable"), source, mask, target)
    found = _logits(runner(name, "optimized"), source, mask, target)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())
