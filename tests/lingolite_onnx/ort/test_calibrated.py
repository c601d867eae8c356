"""Calibrated ranges in the ORT profile: integer products without a pass over rows, for every family and batch size."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from lingolite_onnx.checks.ort_graphs import check_ort_graphs
from lingolite_onnx.ort.runner import MANY_WIDE_ROWS, OrtRunner
from lingolite_onnx.ort.writing import write_ort_graphs
from lingolite_onnx.profiles import GraphSettings

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.parts import parts_of, tied_layers
from lingolite_cli.architecture.tensors import matrix_keys, shared_inputs
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import BUNDLE_STATIC_INT8, Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.candidates import IMPOSSIBLE, CandidateChooser, Candidates
from lingolite_cli.testing.routes import registry
from lingolite_cli.testing.tiny import random_weights
from lingolite_cli.weights.bundle import Weights
from lingolite_cli.weights.rows import quantize_tensors
from tests.families import FAMILIES
from tests.lingolite_onnx.onnx_bundles import (
    Tensors,
    calibrated,
    export_to,
    needs_exact_int8,
    tensors_of,
    write_bundle,
)

_SETTINGS = GraphSettings(
    opset_version=18, max_seq_len=33, is_exact=False, optimize="none", ort=False, has_shortlist=True, test=False
)


@pytest.fixture(scope="module", params=FAMILIES)
def weights(request: pytest.FixtureRequest) -> Weights:
    """A small network of each family."""
    architecture = FAMILIES[request.param]
    tensors = quantize_tensors(dict(random_weights(architecture, seed=5)), matrix_keys(architecture))
    return Weights(architecture, calibrated(tensors, architecture))


@pytest.fixture(scope="module")
def graphs(weights: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its graphs."""
    directory = tmp_path_factory.mktemp("graphs")
    write_ort_graphs(weights, directory, _SETTINGS)
    return directory


class _EveryThird(CandidateChooser):
    """Two thirds of the vocabulary, another two for every other row."""

    def __init__(self, vocab_size: int) -> None:
        self._ids = np.arange(vocab_size - vocab_size % 3).reshape(-1, 3)

    def choose(self, source_ids: Array, source_mask: Array) -> Candidates:
        rows = [np.delete(self._ids, row % 3, axis=1).ravel() for row in range(len(source_ids))]
        ids = np.stack(rows)
        return Candidates(ids, np.ones(ids.shape, np.bool_))


def batch(architecture: Architecture, *, copies: int) -> tuple[Array, Array, Array]:
    """Sources [3 · copies, 9] with padding, their mask, and targets [3 · copies, 6]."""
    random = np.random.default_rng(2)
    mask = np.arange(9) < np.array([[9], [4], [6]])
    source = np.where(mask, random.integers(4, architecture.num_source_tokens, (3, 9)), architecture.pad_token_id)
    target = random.integers(4, architecture.vocab_size, (3, 6))
    return np.tile(source, (copies, 1)), np.tile(mask, (copies, 1)), np.tile(target, (copies, 1))


def logits(directory: Path, architecture: Architecture, *, copies: int, chooser: CandidateChooser | None) -> Array:
    """[3 · copies, T, V] as the backend computes them, one token a step."""
    source, mask, target = batch(architecture, copies=copies)
    runner = OrtRunner(directory, architecture, max_seq_len=33, threads=1, chooser=chooser)
    state = runner.encode(source, mask)
    found = [runner.step(state, column).copy() for column in np.ascontiguousarray(target.T)]
    runner.close()
    return np.stack(found, axis=1)


@needs_exact_int8
def test_logits_are_those_of_the_reference(weights: Weights, graphs: Path) -> None:
    """Continued from the integers of the graphs, so that no tie between two levels plays a part."""
    settings = msgspec.structs.replace(_SETTINGS, has_shortlist=False, test=True)
    checks = check_ort_graphs(weights, graphs, settings)
    assert [check.graph for check in checks] == ["optimized", "optimized batch"]
    for check in checks:
        assert check.max_abs_difference <= 1e-5 * check.max_abs_logit


@needs_exact_int8
@pytest.mark.parametrize("copies", [1, MANY_WIDE_ROWS // 3])
def test_few_rows_and_many_and_candidates_have_the_same_logits(weights: Weights, graphs: Path, copies: int) -> None:
    found = logits(graphs, weights.config, copies=copies, chooser=None)
    expected = logits(graphs, weights.config, copies=1, chooser=None)
    tolerance = 1e-4 * np.abs(expected).max()
    np.testing.assert_allclose(found, np.tile(expected, (copies, 1, 1)), rtol=0, atol=tolerance)
    some = logits(graphs, weights.config, copies=copies, chooser=_EveryThird(weights.config.vocab_size))
    is_candidate = some > IMPOSSIBLE
    assert 0.6 < is_candidate.mean() < 0.7
    np.testing.assert_allclose(some[is_candidate], found[is_candidate], rtol=0, atol=tolerance)


def test_each_product_is_one_operator_after_one_that_rounds(weights: Weights, graphs: Path) -> None:
    expected = {part for group in shared_inputs(weights.config) for part in group}
    for decoder in ("decoder_optimized.onnx", "decoder_optimized_batch.onnx"):
        both = [
            onnx.load(graphs / name, load_external_data=False).graph for name in ("encoder_optimized.onnx", decoder)
        ]
        nodes = [node for graph in both for node in graph.node]
        rounded = {node.output[0] for node in nodes if node.output[0].endswith(".integers")}
        assert len(rounded) == sum(node.op_type == "QuantizeLinear" for node in nodes)
        assert {node.input[0] for node in nodes if node.op_type == "MatMulIntegerToFloat"} == rounded
        met = {matrix for tensor in rounded for matrix in tensor.removesuffix(".integers").split("+")}
        assert {name.replace("output_projection", "decoder.lm_head") for name in met} == expected
        assert not {"MatMulNBits", "Abs", "GatedAdd"} & {node.op_type for node in nodes}
        config = weights.config
        is_rectified = config.activation == "relu" and not config.gated
        num_layers = config.n_encoder_layers + config.n_decoder_layers
        assert sum(node.op_type == "Clip" for node in nodes) == (num_layers if is_rectified else 0)


def test_graphs_are_as_large_as_those_of_dynamic_int8(weights: Weights, graphs: Path, tmp_path: Path) -> None:
    """Decoders share their weights, and the output projection the bytes of what is looked up."""
    tensors = quantize_tensors(dict(random_weights(weights.config, seed=5)), matrix_keys(weights.config))
    write_ort_graphs(Weights(weights.config, tensors), tmp_path, _SETTINGS)
    size = (graphs / "weights.bin").stat().st_size
    factors = 4 * weights.config.vocab_size  # the scale of each candidate times that of its activations
    assert size <= (tmp_path / "weights.bin").stat().st_size + factors + 1024
    places: dict[str, set[str]] = {}
    for name in ("decoder_optimized.onnx", "decoder_optimized_batch.onnx", "words_optimized.onnx"):
        for tensor in onnx.load(graphs / name, load_external_data=False).graph.initializer:
            place = {entry.key: entry.value for entry in tensor.external_data}
            places.setdefault(tensor.name, set()).add(place.get("offset", "inside"))
    assert all(len(offsets) == 1 for offsets in places.values())
    if parts_of(weights.config).decoder.projection.name in tied_layers(weights.config):
        assert places["embedding"] == places["output_projection.blocks"]


def _spoiled(tensors: Tensors, defect: str) -> Tensors:
    scales = {"nan": np.nan, "infinite": np.inf, "zero": 0.0, "negative": -0.02}
    name = "encoder.layers.0.self_attn.o_proj"
    if defect in scales:
        return {**tensors, f"{name}.input_scale": np.array([scales[defect]], np.float32)}
    if defect == "different":
        return {**tensors, "encoder.layers.0.self_attn.k_proj.input_scale": np.array([0.03], np.float32)}
    return {key: tensor for key, tensor in tensors.items() if not key.startswith("decoder.lm_head.input")}


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        ("nan", "self_attn.o_proj has the scale nan"),
        ("infinite", "self_attn.o_proj has the scale inf"),
        ("zero", "self_attn.o_proj has the scale 0"),
        ("negative", "self_attn.o_proj has the scale -0.02"),
        ("different", "v_proj read the same input, and have different ranges"),
        ("missing", "decoder.lm_head is int8 and has no input range|missing: `?decoder.lm_head.input_scale"),
    ],
)
def test_ranges_that_no_engine_computes_with_are_refused_by_every_reader(
    wide_bundles: dict[str, Artifact], tmp_path: Path, defect: str, message: str
) -> None:
    whole = wide_bundles[BUNDLE_STATIC_INT8]
    spoiled = write_bundle(tmp_path / "bundle", whole, _spoiled(tensors_of(whole), defect), BUNDLE_STATIC_INT8)
    for profile in ("portable", "optimized"):
        with pytest.raises(LingoLiteError, match=message):
            export_to(spoiled, tmp_path / "onnx", profile=profile)
    with pytest.raises(LingoLiteError, match=message):
        registry().resolve("backend", "int8").create(spoiled, threads=1)
    assert not (tmp_path / "onnx").exists()
