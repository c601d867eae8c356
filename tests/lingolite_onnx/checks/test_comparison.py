"""Checks of exported graphs catch what is wrong in them: weights, roundings, and whole models of many layers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from lingolite_onnx.checks.comparison import ROUNDING_TOLERANCE, compare_with_reference
from lingolite_onnx.checks.ort_graphs import check_ort_graphs
from lingolite_onnx.checks.portable_graphs import check_portable_graphs
from lingolite_onnx.checks.portable_recording import record_portable
from lingolite_onnx.checks.samples import Recording, Replay, Sample
from lingolite_onnx.details import GraphCheck
from lingolite_onnx.profiles import GraphSettings

from lingolite_cli.architecture.architecture import PRESETS, Architecture
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8, Artifact
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.testing.tiny import random_weights
from lingolite_cli.weights.bundle import Weights
from tests.families import FAMILIES
from tests.lingolite_onnx.onnx_bundles import export_to, needs_exact_int8, quantized, tensors_of, write_bundle

GRAPHS = ("encoder.onnx", "decoder.onnx")
FORMATS = (BUNDLE, BUNDLE_FP16, BUNDLE_BF16, BUNDLE_INT8, BUNDLE_INT4)


def settings(*, max_seq_len: int = 64, test: bool = True) -> GraphSettings:
    return GraphSettings(
        opset_version=18,
        max_seq_len=max_seq_len,
        is_exact=True,
        optimize="none",
        ort=False,
        has_shortlist=False,
        test=test,
    )


@pytest.mark.parametrize("format", FORMATS)
def test_a_graph_of_other_weights_fails_the_check(
    exported: Any, fixture_bundles: dict[str, Artifact], format: str
) -> None:
    artifact = exported(format)
    tensors = tensors_of(fixture_bundles[format])
    name = "decoder.layers.1.self_attn.v_proj.weight"
    weights = Weights(artifact.manifest.model, {**tensors, name: np.roll(tensors[name], 1, axis=0)})
    with pytest.raises(LingoLiteError, match="off by") as caught:
        check_portable_graphs(weights, artifact.path, settings())
    assert caught.value.exit_code == ExitCode.PLUGIN
    (check,) = check_portable_graphs(weights, artifact.path, settings(test=False))
    assert check.tolerance is None


def test_the_bias_of_a_token_that_is_never_generated_hides_no_wrong_logit() -> None:
    architecture = FAMILIES["firefox"]
    tensors = random_weights(architecture, seed=5)
    (name,) = (name for name in tensors if tensors[name].shape == (architecture.vocab_size,))
    tensors[name][-1] = -30_000
    weights, sample = Weights(architecture, dict(tensors)), Sample.random(architecture, max_length=33)
    reference = Reference(weights)
    logits = reference.decode(
        sample.target_ids, reference.encode(sample.source_ids, sample.source_mask), sample.source_mask
    )
    check = GraphCheck(graph="portable", checked_by=())
    compare_with_reference(weights, sample, Recording(logits, {}), check)
    logits[1, 2, 3] += 0.1 * np.abs(logits[..., :-1]).max()
    with pytest.raises(LingoLiteError, match="a logit is off by"):
        compare_with_reference(weights, sample, Recording(logits, {}), check)


@needs_exact_int8
def test_the_check_replays_roundings_and_finds_a_wrong_one(exported: Any, fixture_bundles: dict[str, Artifact]) -> None:
    weights, artifact = Weights.read(fixture_bundles[BUNDLE_INT8]), exported(BUNDLE_INT8)
    sample = Sample.random(Architecture(vocab_size=97), max_length=64)
    recording = record_portable(artifact.path / GRAPHS[0], artifact.path / GRAPHS[1], sample)
    name = "encoder.layers.1.ffn.up_proj"
    wrong = recording.integers[name].copy()
    wrong[3, 5] += 1
    errors = []
    for integers in (recording.integers, {**recording.integers, name: wrong}):
        replay = Replay(Recording(recording.logits, integers))
        Reference(weights, replay).encode(sample.source_ids, sample.source_mask)
        errors.append(replay.largest_error)
    assert 0.4 < errors[0] <= ROUNDING_TOLERANCE < errors[1]


@needs_exact_int8
def test_a_graph_that_rounds_otherwise_fails_the_check(
    exported: Any, fixture_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    """Its logits follow from its integers; only the integers are wrong."""
    shutil.copytree(exported(BUNDLE_INT8).path, tmp_path, dirs_exist_ok=True)
    model = onnx.load(tmp_path / "decoder.onnx", load_external_data=False)
    for node in model.graph.node:
        if node.op_type == "Round":
            node.op_type = "Floor"
    (tmp_path / "decoder.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(LingoLiteError, match=r"off by up to 0\.9\d* levels|off by up to 1 levels"):
        check_portable_graphs(Weights.read(fixture_bundles[BUNDLE_INT8]), tmp_path, settings())


@needs_exact_int8
def test_the_check_is_as_strict_for_integers_as_for_floats_in_a_wide_model(
    fixture_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    """Wide enough for some activation to be rounded otherwise than in the reference, which the logits would show."""
    shape = msgspec.structs.replace(PRESETS["tiny"], vocab_size=97)
    origin = fixture_bundles[BUNDLE]
    wide = Artifact(origin.path, msgspec.structs.replace(origin.manifest, model=shape))
    bundle = write_bundle(tmp_path / "wide", wide, quantized(random_weights(shape, seed=1)), BUNDLE_INT8)
    (check,) = export_to(bundle, tmp_path / "onnx").manifest.details["checks"]
    assert check["max_abs_difference"] < 1e-4 * check["max_abs_logit"]


@needs_exact_int8
def test_ort_graphs_of_other_weights_fail_the_check(ort_exported: Any, wide_bundles: dict[str, Artifact]) -> None:
    artifact, tensors = ort_exported(BUNDLE_INT8), tensors_of(wide_bundles[BUNDLE_INT8])
    name = "decoder.layers.1.self_attn.v_proj.weight"
    weights = Weights(artifact.manifest.model, {**tensors, name: np.roll(tensors[name], 1, axis=0)})
    with pytest.raises(LingoLiteError, match="off by"):
        check_ort_graphs(weights, artifact.path, settings(max_seq_len=48))
    unchecked = check_ort_graphs(weights, artifact.path, settings(max_seq_len=48, test=False))
    assert [check.tolerance for check in unchecked] == [None] * 2
