"""Exported graphs of every family of models, in both profiles: against the reference, in any batch, with beams."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
import torch
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.ort.candidate_graphs import candidate_parts
from lingolite_onnx.ort.runner import MANY_WIDE_ROWS, OrtRunner
from lingolite_onnx.ort.writing import write_ort_graphs
from lingolite_onnx.portable.runner import PortableRunner
from lingolite_onnx.portable.writing import write_portable_graphs
from lingolite_onnx.profiles import GraphSettings

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.recording import record
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.architecture.tensors import matrix_keys
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import BUNDLE, BUNDLE_INT8, BUNDLE_STATIC_INT8
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.operation_comparison import compare_embeddings, compare_operations
from lingolite_cli.model.parameters import model_from_tensors
from lingolite_cli.model.stepping import SteppingModel
from lingolite_cli.plugins.interfaces import ForcedTokens
from lingolite_cli.shortlist.candidates import IMPOSSIBLE, CandidateChooser, Candidates
from lingolite_cli.testing.tiny import IDS, random_weights
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.rows import quantize_tensors
from tests.families import FAMILIES, family_bundle
from tests.lingolite_onnx.onnx_bundles import (
    calibrated,
    export_to,
    needs_exact_int8,
    operators_run,
    tensors_of,
    write_bundle,
)

_ALL = pytest.mark.parametrize("name", FAMILIES)
_SETTINGS = GraphSettings(
    opset_version=18, max_seq_len=33, is_exact=True, optimize="none", ort=False, has_shortlist=False, test=False
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


@_ALL
def test_products_of_calibrated_ranges_are_integers_in_onnx_runtime(tmp_path: Path, name: str) -> None:
    """Biases too: of MatMul and Add it would make a product of floats."""
    architecture = FAMILIES[name]
    tensors = quantize_tensors(dict(random_weights(architecture, seed=5)), matrix_keys(architecture))
    write_portable_graphs(Weights(architecture, calibrated(tensors, architecture)), tmp_path, _SETTINGS)
    for graph in ("encoder.onnx", "decoder.onnx"):
        written = onnx.load(tmp_path / graph, load_external_data=False).graph
        (optimized := tmp_path / "optimized").mkdir(exist_ok=True)
        found = operators_run(tmp_path / graph, optimized)
        assert found["MatMulIntegerToFloat"] == sum(node.op_type == "QuantizeLinear" for node in written.node)
        assert not found["Gemm"]


@_ALL
def test_products_of_a_single_query_have_no_factor_of_their_own(tmp_path: Path, name: str) -> None:
    """With one, ONNX Runtime copies the keys before it multiplies."""
    write_ort_graphs(_weights(name), tmp_path, _SETTINGS)
    (optimized := tmp_path / "optimized").mkdir()
    operators_run(tmp_path / "decoder_optimized.onnx", optimized)
    nodes = onnx.load(optimized / "decoder_optimized.onnx", load_external_data=False).graph.node
    scores = [node for node in nodes if len(node.input) > 1 and node.input[1].startswith("cross_key_")]
    factors = {value.f for node in scores for value in node.attribute if value.name == "alpha"}
    assert len(scores) == FAMILIES[name].n_decoder_layers
    assert (factors <= {1.0}) == (FAMILIES[name].n_heads == FAMILIES[name].n_kv_heads)


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


@pytest.mark.parametrize("profile", ["portable", "optimized"])
@_ALL
def test_rows_may_be_repeated_before_the_first_token(runner: Any, name: str, profile: str) -> None:
    source, mask, target = _batch(FAMILIES[name])
    engine = runner(name, profile)
    whole = _logits(engine, source, mask, target)
    rows = [2, 2, 0, 1, 1, 1, 0]
    state = engine.select(engine.encode(source, mask), np.array(rows))
    for position, column in enumerate(np.ascontiguousarray(target[rows].T)):
        logits = engine.step(state, column)
        np.testing.assert_allclose(logits, whole[rows, position], rtol=0, atol=1e-4 * np.abs(whole).max())


@_ALL
def test_targets_may_be_longer_than_the_first_buffers(runner: Any, name: str) -> None:
    architecture = FAMILIES[name]
    source, mask, _ = _batch(architecture)
    target = np.random.default_rng(3).integers(4, architecture.vocab_size, (3, 33))
    expected = _logits(runner(name, "portable"), source, mask, target)
    found = _logits(runner(name, "optimized"), source, mask, target)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


class _Chosen(CandidateChooser):
    """Every second token is a candidate, and the first rows lack some of them."""

    def __init__(self, vocab_size: int) -> None:
        self._ids = np.arange(0, vocab_size, 2)

    def choose(self, source_ids: Array, source_mask: Array) -> Candidates:
        ids = np.tile(self._ids, (len(source_ids), 1))
        is_own = np.ones(ids.shape, np.bool_)
        is_own[0, :3] = False
        return Candidates(ids, is_own)


@_ALL
def test_a_shortlist_leaves_the_logits_of_its_candidates_as_they_are(tmp_path: Path, name: str) -> None:
    weights = _weights(name)
    write_ort_graphs(weights, tmp_path, msgspec.structs.replace(_SETTINGS, has_shortlist=True))
    source, mask, target = _batch(FAMILIES[name])
    runner = OrtRunner(tmp_path, weights.config, max_seq_len=33, threads=1, chooser=_Chosen(weights.config.vocab_size))
    found, expected = _logits(runner, source, mask, target), _expected(name, source, mask, target)
    np.testing.assert_allclose(found[1:, :, ::2], expected[1:, :, ::2], rtol=0, atol=1e-4 * np.abs(expected).max())
    assert (found[:, :, 1::2] < -1e29).all()
    assert (found[0, :, :6:2] < -1e29).all()


@needs_exact_int8
@pytest.mark.parametrize("copies", [1, MANY_WIDE_ROWS])
def test_a_row_of_several_scales_meets_its_candidates(tmp_path: Path, copies: int) -> None:
    """A d_model of 512 has two blocks, each rounded by a scale of its own."""
    narrow = FAMILIES["firefox"]
    architecture = msgspec.structs.replace(narrow, d_model=512, n_heads=16, n_kv_heads=16, d_ff=64, n_encoder_layers=1)
    tensors: dict[str, Array] = dict(random_weights(architecture, seed=5))
    weights = Weights(architecture, quantize_tensors(tensors, matrix_keys(architecture)))
    assert candidate_parts(weights) == 2
    write_ort_graphs(weights, tmp_path, msgspec.structs.replace(_SETTINGS, has_shortlist=True))
    source, mask, target = (np.tile(array, (copies, 1)) for array in _batch(architecture))
    chosen = OrtRunner(tmp_path, architecture, max_seq_len=33, threads=1, chooser=_Chosen(architecture.vocab_size))
    found = _logits(chosen, source, mask, target)
    expected = _logits(OrtRunner(tmp_path, architecture, max_seq_len=33, threads=1), source, mask, target)
    is_own = found > IMPOSSIBLE
    assert is_own[1:, :, ::2].all()
    np.testing.assert_allclose(found[is_own], expected[is_own], rtol=0, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("first", "second"),
    [("encoder_optimized", "decoder_optimized"), ("decoder_optimized", "decoder_optimized_shortlist")],
)
def test_a_graph_under_the_name_of_another_is_refused(tmp_path: Path, first: str, second: str) -> None:
    weights = _weights("firefox")
    write_ort_graphs(weights, tmp_path, msgspec.structs.replace(_SETTINGS, has_shortlist=True))
    shutil.copy(tmp_path / f"{first}.onnx", tmp_path / "kept")
    shutil.move(tmp_path / f"{second}.onnx", tmp_path / f"{first}.onnx")
    shutil.move(tmp_path / "kept", tmp_path / f"{second}.onnx")
    source, mask, target = _batch(weights.config)
    with pytest.raises(LingoLiteError, match=f"{first}.onnx is another graph than its name says"):
        _logits(OrtRunner(tmp_path, weights.config, max_seq_len=33, threads=1), source, mask, target)


def test_graphs_of_shortlists_of_earlier_versions_are_refused(tmp_path: Path) -> None:
    weights = _weights("firefox")
    write_ort_graphs(weights, tmp_path, msgspec.structs.replace(_SETTINGS, has_shortlist=True))
    ids = onnx.helper.make_tensor_value_info("words", onnx.TensorProto.INT64, ["words"])
    rows = onnx.helper.make_tensor_value_info("word_rows", onnx.TensorProto.INT64, ["words"])
    same = onnx.helper.make_node("Identity", ["words"], ["word_rows"])
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph([same], "words", [ids], [rows]), opset_imports=opset, ir_version=8
    )
    onnx.save(model, tmp_path / "words_optimized.onnx")
    chooser = _Chosen(weights.config.vocab_size)
    with pytest.raises(LingoLiteError, match="exported by another version"):
        OrtRunner(tmp_path, weights.config, max_seq_len=33, threads=1, chooser=chooser)


@pytest.mark.parametrize("rows", [3, 12])
@pytest.mark.parametrize(("name", "d_model"), [("firefox", None), ("opus-mt", None), ("firefox", 512)])
@needs_exact_int8
def test_int8_logits_of_candidates_are_rounded_as_those_of_the_whole_vocabulary(
    tmp_path: Path, name: str, d_model: int | None, rows: int
) -> None:
    """For a few rows and for many, and where a row of activations has one scale or two."""
    architecture = FAMILIES[name]
    if d_model is not None:
        architecture = msgspec.structs.replace(architecture, d_model=d_model, n_heads=8, n_kv_heads=8)
    tensors: dict[str, Array] = dict(random_weights(architecture, seed=5))
    weights = Weights(architecture, quantize_tensors(tensors, matrix_keys(architecture)))
    write_ort_graphs(weights, tmp_path, msgspec.structs.replace(_SETTINGS, has_shortlist=True))
    source, mask, target = (np.tile(array, (rows // 3, 1)) for array in _batch(architecture))
    expected, found = (
        _logits(OrtRunner(tmp_path, architecture, max_seq_len=33, threads=1, chooser=chooser), source, mask, target)
        for chooser in (None, _Chosen(architecture.vocab_size))
    )
    np.testing.assert_allclose(found[1:, :, ::2], expected[1:, :, ::2], rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "format", [BUNDLE, *(pytest.param(one, marks=needs_exact_int8) for one in (BUNDLE_INT8, BUNDLE_STATIC_INT8))]
)
@pytest.mark.parametrize("profile", ["portable", "optimized"])
@pytest.mark.parametrize(
    "name",
    [
        *("opus-mt", "firefox", "t5", "madlad"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("lingolite", "nllb", "learned positions, gelu", "a recurrence without positions")
        ),
    ],
)
def test_an_export_passes_its_checks_and_its_trace_shows_no_difference(
    tmp_path: Path, name: str, profile: str, format: str
) -> None:
    bundle = family_bundle(tmp_path / "bundle", name)
    if format != BUNDLE:
        quantized = quantize_tensors(tensors_of(bundle), matrix_keys(bundle.manifest.model))
        if format == BUNDLE_STATIC_INT8:
            quantized = calibrated(quantized, bundle.manifest.model)
        bundle = write_bundle(tmp_path / "int8", bundle, quantized, format)
    exported = export_to(bundle, tmp_path / "exported", profile=profile)
    backend = OnnxBackend(exported, options=OnnxBackendOptions(), threads=1)
    source, mask, target = _batch(bundle.manifest.model)
    tokens = ForcedTokens(source_ids=source, source_mask=mask, target_ids=target)
    weights = Weights.read(bundle)
    arithmetic = backend.arithmetic(exported, bundle, OnnxBackendOptions())
    known = record(weights.config).operations
    for trace in backend.trace(tokens, bundle=bundle):
        readings = compare_operations(weights, arithmetic, tokens, trace)
        assert [reading.difference for reading in readings if reading.difference is not None] == []
        seen = {reading.name for reading in readings}
        assert seen <= known.keys()
        assert {one for one in known if one.endswith((".sum", ".cell", ".ssru", ".positions"))} <= seen
    embeddings = frozenset({"encoder.embedding", "decoder.embedding"})
    for trace in backend.trace(msgspec.structs.replace(tokens, operations=embeddings), bundle=bundle):
        readings = compare_embeddings(weights, arithmetic, tokens, trace)
        assert {reading.name for reading in readings if reading.difference is None} == embeddings


@pytest.mark.parametrize("beam_size", [1, 4])
@_ALL
def test_searches_in_every_engine_choose_the_tokens_of_the_reference(runner: Any, name: str, beam_size: int) -> None:
    architecture = FAMILIES[name]
    source, mask, _ = _batch(architecture)
    options = DecodingOptions(beam_size=beam_size, max_length=12)
    tensors = {key: torch.from_numpy(tensor) for key, tensor in random_weights(architecture, seed=5).items()}
    engines = [
        _SteppingReference(_weights(name)),
        SteppingModel(model_from_tensors(architecture, tensors, where="random weights")),
        runner(name, "portable"),
        runner(name, "optimized"),
    ]
    found = [search(engine, source, mask, ids=IDS, options=options) for engine in engines]
    tokens = [[[hypothesis.tokens for hypothesis in row] for row in rows] for rows in found]
    assert tokens[1:] == tokens[:1] * 3
    for row, length in enumerate(mask.sum(axis=1)):
        cut = source[[row], :length], mask[[row], :length]
        (alone,) = search(engines[2], *cut, ids=IDS, options=options)
        assert [hypothesis.tokens for hypothesis in alone] == tokens[0][row]


class _SteppingReference:
    """The reference as a backend that reads the whole target at each step."""

    def __init__(self, weights: Weights) -> None:
        self._reference = Reference(weights)

    def encode(self, source_ids: Array, source_mask: Array) -> list[Array]:
        encoded = self._reference.encode(source_ids, source_mask)
        return [encoded, source_mask, np.empty((len(source_ids), 0), np.int64)]

    def step(self, state: list[Array], tokens: Array) -> Array:
        encoded, mask, read = state
        state[2] = np.concatenate([read, tokens[:, None]], axis=1)
        last: Array = self._reference.decode(state[2], encoded, mask)[:, -1]
        return last

    def select(self, state: list[Array], rows: Array) -> list[Array]:
        return [array[rows] for array in state]

    def close(self) -> None:
        """Nothing is held."""
