"""The graphs compute what the public LingoLite code computes, and int8 graphs what integers say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.graph import GraphBuilder, WeightFile, write_model
from lingolite_onnx.interface import Interface, Value
from lingolite_onnx.portable.emitter import PortableEmitter

from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8, Artifact
from lingolite_cli.tokenization.description import LINGOLITE
from lingolite_cli.weights.bundle import Weights
from tests.lingolite_onnx.onnx_bundles import needs_exact_int8

Array = npt.NDArray[Any]


def opened(artifact: Artifact, **options: Any) -> OnnxBackend:
    return OnnxBackend(artifact, options=OnnxBackendOptions(**options), threads=1)


def teacher_forced(backend: OnnxBackend, expected: dict[str, Array]) -> Array:
    state = backend.encode(expected["source_ids"], expected["source_mask"].astype(np.bool_))
    return np.stack([backend.step(state, column) for column in expected["target_ids"].T], axis=1)


@pytest.mark.parametrize("opset_version", [18, 19, 20])
def test_logits_are_those_of_the_public_code(exported: Any, expected: dict[str, Array], opset_version: int) -> None:
    backend = opened(exported(BUNDLE, opset_version=opset_version))
    np.testing.assert_allclose(teacher_forced(backend, expected), expected["logits"], rtol=0, atol=1e-4)


def test_cross_attention_comes_from_the_public_codes_encoder_output(
    exported: Any, fixture_bundles: dict[str, Artifact], expected: dict[str, Array]
) -> None:
    """Keys are [B, K, D, S] and values [B, K, S, D] of the last decoder layer, on real tokens."""
    weights, mask = Weights.read(fixture_bundles[BUNDLE]), expected["source_mask"].astype(np.bool_)
    state = opened(exported(BUNDLE)).encode(expected["source_ids"], mask)
    key = expected["encoder_output"] @ weights.matrix("decoder.layers.2.cross_attn.k_proj").values.T
    value = expected["encoder_output"] @ weights.matrix("decoder.layers.2.cross_attn.v_proj").values.T
    by_head = {"key": key.reshape(3, 9, 2, 8), "value": value.reshape(3, 9, 2, 8)}
    found_key = state.source["cross_key_2"].transpose(0, 3, 1, 2)
    found_value = state.source["cross_value_2"].transpose(0, 2, 1, 3)
    np.testing.assert_allclose(found_key[mask], by_head["key"][mask], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found_value[mask], by_head["value"][mask], rtol=0, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"optimize": "onnxruntime"}], ids=["portable", "optimized"])
def test_greedy_tokens_are_those_of_the_public_code(
    exported: Any, expected: dict[str, Array], options: dict[str, str]
) -> None:
    graph = "optimized" if options else "portable"
    backend = opened(exported(BUNDLE, **options), graph=graph)
    state = backend.encode(expected["source_ids"], expected["source_mask"].astype(np.bool_))
    columns = [np.full(3, LINGOLITE.ids.start)]
    for _ in range(expected["greedy_cached"].shape[1] - 1):
        tokens = backend.step(state, columns[-1]).argmax(axis=1)
        columns.append(np.where(np.isin(columns[-1], (LINGOLITE.ids.end, 0)), 0, tokens))
    np.testing.assert_array_equal(np.stack(columns, axis=1), expected["greedy_cached"])


def test_the_numpy_reference_agrees_with_the_public_code(
    fixture_bundles: dict[str, Artifact], expected: dict[str, Array]
) -> None:
    reference, mask = Reference(Weights.read(fixture_bundles[BUNDLE])), expected["source_mask"].astype(np.bool_)
    encoded = reference.encode(expected["source_ids"], mask)
    np.testing.assert_allclose(encoded[mask], expected["encoder_output"][mask], rtol=0, atol=1e-4)
    logits = reference.decode(expected["target_ids"], encoded, mask)
    np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("format", "share"),
    [
        (BUNDLE_FP16, 0.01),
        (BUNDLE_BF16, 0.05),
        (BUNDLE_INT4, 0.8),
        pytest.param(BUNDLE_INT8, 0.15, marks=needs_exact_int8),
    ],
)
def test_smaller_weights_stay_near_the_public_code(
    exported: Any, expected: dict[str, Array], format: str, share: float
) -> None:
    """A wrong scale or transposition would be off by about the size of the logits."""
    logits = teacher_forced(opened(exported(format)), expected)
    assert np.abs(logits - expected["logits"]).max() < share * np.abs(expected["logits"]).max()


@needs_exact_int8
@pytest.mark.parametrize("rows", [1, 3, 29])
def test_an_int8_product_is_the_one_of_plain_integers(
    fixture_bundles: dict[str, Artifact], tmp_path: Any, rows: int
) -> None:
    """Compared bit by bit with sums in Python-like int64, and roundings to even taken one element at a time."""
    weights = Weights.read(fixture_bundles[BUNDLE_INT8])
    layer = parts_of(weights.config).encoder.layers[1].feed_forward.gate
    assert layer is not None
    graph = GraphBuilder("one product", WeightFile(tmp_path / "weights.bin"))
    (output,) = PortableEmitter(graph, weights, num_positions=8, is_exact=True).linear("x", layer)
    graph.op("Identity", output, name="y")
    values = (Value("x", "float32", ("rows", 32), ""), Value("y", "float32", ("rows", 48), ""))
    model = graph.model(Interface(values[:1], values[1:]), opset_version=18)
    write_model(model, tmp_path / "product.onnx")
    x = np.random.default_rng(4).standard_normal((rows, 32)).astype(np.float32)
    x[0, :3] = 127.0, 0.5, 1.5  # a scale of 1 exactly, and two ties: to 0 and to 2
    (found,) = ort.InferenceSession(tmp_path / "product.onnx").run(None, {"x": x})
    np.testing.assert_array_equal(found, _integer_product(x, weights, layer.name))


def _integer_product(x: Array, weights: Weights, name: str) -> Array:
    matrix = weights.matrix(name)
    assert matrix.scale is not None
    result = np.empty((len(x), len(matrix.values)), dtype=np.float32)
    for index, row in enumerate(x):
        scale = np.float32(max(abs(row).max(), np.float32(1e-30)) / np.float32(127))
        quantized = np.array([round(float(element / scale)) for element in row], dtype=np.int64)
        sums = matrix.values.astype(np.int64) @ quantized
        result[index] = (sums.astype(np.float32) * scale) * matrix.scale
    return result


@needs_exact_int8
def test_int8_logits_are_those_of_an_independent_computation(
    exported: Any, fixture_bundles: dict[str, Artifact], expected: dict[str, Array]
) -> None:
    reference, mask = Reference(Weights.read(fixture_bundles[BUNDLE_INT8])), expected["source_mask"].astype(np.bool_)
    logits = reference.decode(expected["target_ids"], reference.encode(expected["source_ids"], mask), mask)
    np.testing.assert_allclose(teacher_forced(opened(exported(BUNDLE_INT8)), expected), logits, rtol=0, atol=1e-4)
