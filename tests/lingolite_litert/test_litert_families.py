"""Files of every family of models: the logits of the reference, in any batch, with beams' reordered rows."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.architecture.tensors import matrix_keys
from lingolite_cli.arrays import Array
from lingolite_cli.testing.tiny import random_weights
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.rows import quantize_tensors
from tests.families import FAMILIES

pytestmark = pytest.mark.litert
pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install -e ".[litert]"')

_ALL = pytest.mark.parametrize("name", FAMILIES)


def _weights(name: str, *, is_int8: bool) -> Weights:
    architecture = FAMILIES[name]
    tensors: dict[str, Array] = dict(random_weights(architecture, seed=5))
    return Weights(architecture, quantize_tensors(tensors, matrix_keys(architecture)) if is_int8 else tensors)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`runner(name, is_int8=…)`: the file of a family in LiteRT, made once."""
    from lingolite_litert.details import LitertDetails
    from lingolite_litert.exporter import build_file
    from lingolite_litert.opening import open_interpreter
    from lingolite_litert.running import Runner, runner_of

    @cache
    def make(
        name: str,
        is_int8: bool = False,
        is_symmetric: bool = True,
        delegate: str = "xnnpack",
        buckets: tuple[int, ...] = (),
    ) -> Runner:
        path, weights = tmp_path_factory.mktemp("files") / "model.tflite", _weights(name, is_int8=is_int8)
        details = LitertDetails(
            max_seq_len=weights.config.max_seq_len,
            weights="int8" if is_int8 else "float32",
            activations=("per-row symmetric" if is_symmetric else "per-row asymmetric") if is_int8 else "float32",
            buckets=buckets,
            min_runtime_version="2.18.0",
            litert_version="2.3.0",
        )
        path.write_bytes(build_file(weights, details).serialized())
        interpreter = open_interpreter(path, delegate=delegate, threads=1)
        return runner_of(interpreter, weights.config, details)

    return make


def _batch(architecture: Architecture, length: int = 6) -> tuple[Array, Array, Array]:
    """Sources [3, 9] with padding, their mask, and targets [3, length]."""
    random = np.random.default_rng(2)
    mask = np.arange(9) < np.array([[9], [4], [6]])
    source = np.where(mask, random.integers(4, architecture.num_source_tokens, (3, 9)), architecture.pad_token_id)
    return source, mask, random.integers(4, architecture.vocab_size, (3, length))


def _step(runner: Any, state: Any, tokens: Array) -> Array:
    logits: Array = runner.advance(state, tokens, lambda logits, _: logits.copy())
    return logits


def _logits(runner: Any, source: Array, mask: Array, target: Array) -> Array:
    """[B, T, V], one token a step."""
    state = runner.encode(source, mask)
    return np.stack([_step(runner, state, column) for column in target.T], axis=1)


def _assert_close(found: Array, expected: Array, *, share: float = 1e-4) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.abs(expected).max())


@_ALL
def test_float_logits_are_those_of_the_reference(runner: Any, name: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    reference = Reference(_weights(name, is_int8=False))
    expected = reference.decode(target, reference.encode(source, mask), mask)
    # Scores without a scale are large in T5's kin, and shares of softmax move with their last bits.
    _assert_close(_logits(runner(name), source, mask, target), expected, share=1e-3 if name == "madlad" else 1e-4)


@_ALL
def test_int8_logits_are_those_of_the_exact_reference(runner: Any, name: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    reference = Reference(_weights(name, is_int8=True), is_exact=True)
    expected = reference.decode(target, reference.encode(source, mask), mask)
    found = _logits(runner(name, is_int8=True), source, mask, target)
    # A last bit of float32 can move an activation to the next integer: most logits are exact, and none is far off.
    assert np.quantile(np.abs(found - expected), 0.75) < 1e-5 * np.abs(expected).max()
    _assert_close(found, expected, share=0.05)


@pytest.mark.parametrize("delegate", ["xnnpack", "none"])
@_ALL
def test_the_runtimes_own_rounding_is_that_of_the_reference(runner: Any, name: str, delegate: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    reference = Reference(_weights(name, is_int8=True), has_zero_points=delegate == "xnnpack")
    expected = reference.decode(target, reference.encode(source, mask), mask)
    found = _logits(runner(name, is_int8=True, is_symmetric=False, delegate=delegate), source, mask, target)
    assert np.quantile(np.abs(found - expected), 0.75) < 1e-5 * np.abs(expected).max()
    _assert_close(found, expected, share=0.05)


@pytest.mark.parametrize("is_int8", [False, True], ids=["float", "int8"])
@_ALL
def test_a_sentence_alone_has_the_logits_that_it_has_in_a_batch(runner: Any, name: str, is_int8: bool) -> None:
    source, mask, target = _batch(FAMILIES[name])
    together = _logits(runner(name, is_int8), source, mask, target)
    for row, length in enumerate(mask.sum(axis=1)):
        alone = _logits(runner(name, is_int8), source[[row], :length], mask[[row], :length], target[[row]])
        _assert_close(alone[0], together[row], share=0.02 if is_int8 else 1e-4)


@_ALL
def test_rows_that_are_reordered_repeated_or_dropped_go_on_as_themselves(runner: Any, name: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    engine = runner(name)
    whole = _logits(engine, source, mask, target)
    state = engine.encode(source, mask)
    for column in target[:, :2].T:
        _step(engine, state, column)
    for rows in ([2, 0, 0, 1], [3, 1], [1, 0]):
        state = engine.select(state, np.array(rows))
    # 2, 0, 0, 1 → the fourth and second of these are 1 and 0 → turned around
    kept = [0, 1]
    for position in range(2, 6):
        _assert_close(_step(engine, state, target[kept, position]), whole[kept, position])


@_ALL
def test_targets_may_be_longer_than_the_first_cache(runner: Any, name: str) -> None:
    source, mask, target = _batch(FAMILIES[name], length=39)
    reference = Reference(_weights(name, is_int8=False))
    expected = reference.decode(target, reference.encode(source, mask), mask)
    _assert_close(_logits(runner(name), source, mask, target), expected, share=1e-3)


@_ALL
def test_fixed_shapes_give_the_same_logits_from_bucket_to_bucket(runner: Any, name: str) -> None:
    source, mask, target = _batch(FAMILIES[name], length=20)
    expected = _logits(runner(name), source, mask, target)
    found = _logits(runner(name, buckets=(6, 11, 40)), source, mask, target)
    _assert_close(found, expected, share=1e-3)


@pytest.mark.parametrize("is_int8", [False, True], ids=["float", "int8"])
@_ALL
def test_each_graph_is_one_partition_of_xnnpack(runner: Any, name: str, is_int8: bool, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter
    from lingolite_litert.graph import FileBuilder
    from lingolite_litert.graphs import build_decoder, build_encoder

    for build in (build_decoder, build_encoder):
        file = FileBuilder(min_runtime_version="2.18.0")
        build(file, _weights(name, is_int8=is_int8), num_positions=40, is_symmetric=True)
        interpreter = Interpreter(model_content=file.serialized())
        interpreter.allocate_tensors()
        names = [one["op_name"] for one in interpreter._get_ops_details()]
        assert names.count("DELEGATE") == 1
