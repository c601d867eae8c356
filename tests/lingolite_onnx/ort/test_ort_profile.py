"""The ORT profile: its files, its checks, what it refuses, and the decode path beyond the contract."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.options import OnnxExportOptions
from lingolite_onnx.ort import encoding, runner
from lingolite_onnx.ort.blocks import blocks

from lingolite_cli.artifact import BUNDLE, BUNDLE_FP16, BUNDLE_INT4, BUNDLE_INT8, Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.tiny import IDS as SPECIAL_IDS
from lingolite_cli.weights.bundle import Matrix
from tests.lingolite_onnx.onnx_bundles import export_to, needs_exact_int8, quantized, tensors_of, write_bundle

ENCODER, DECODER, BATCH_DECODER = "encoder_optimized.onnx", "decoder_optimized.onnx", "decoder_optimized_batch.onnx"
IDS = np.array([[6, 9, 12, 30, 2], [6, 31, 2, 0, 0], [6, 9, 40, 2, 0]])
MASK = IDS != 0


def opened(artifact: Artifact, **options: Any) -> OnnxBackend:
    return OnnxBackend(artifact, options=OnnxBackendOptions(**options), threads=1)


def stored(path: Path) -> dict[str, Any]:
    """Initializers of a graph."""
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("format", [BUNDLE, BUNDLE_INT8, BUNDLE_INT4])
def test_equal_exports_have_equal_bytes(
    ort_exported: Any, wide_bundles: dict[str, Artifact], tmp_path: Path, format: str
) -> None:
    first = ort_exported(format)
    assert export_to(wide_bundles[format], tmp_path / "again", profile="optimized").digest == first.digest


@needs_exact_int8
@pytest.mark.parametrize("format", [BUNDLE, BUNDLE_FP16, BUNDLE_INT8, BUNDLE_INT4])
def test_all_graphs_are_compared_with_the_reference(ort_exported: Any, format: str) -> None:
    details = ort_exported(format).manifest.details
    assert details["profile"] == "optimized"
    assert all(check["checked_by"][-1] == "reference" for check in details["checks"])
    graphs = [ENCODER, DECODER, *([BATCH_DECODER] if format == BUNDLE_INT8 else [])]
    assert details["graphs"] == graphs
    assert len(details["checks"]) == len(graphs) - 1
    for check in details["checks"]:
        assert check["max_abs_difference"] < 1e-3 * check["max_abs_logit"]


def test_the_integers_are_those_of_the_bundle(ort_exported: Any, wide_bundles: dict[str, Artifact]) -> None:
    tensors, path = tensors_of(wide_bundles[BUNDLE_INT8]), ort_exported(BUNDLE_INT8).path
    name = "decoder.layers.1.self_attn"
    parts = [f"{name}.{kind}_proj" for kind in "qkv"]
    matrix = Matrix(
        np.concatenate([tensors[f"{part}.weight"] for part in parts]),
        np.concatenate([tensors[f"{part}.weight_scale"][:, 0] for part in parts]),
    )
    found = stored(path / DECODER)
    np.testing.assert_array_equal(found[f"{'+'.join(parts)}.blocks"], blocks(matrix)[0])
    batch = stored(path / BATCH_DECODER)[f"{'+'.join(parts)}.blocks"]
    np.testing.assert_array_equal(batch.view(np.uint8), blocks(matrix)[0][:, 0])
    up = "encoder.layers.2.ffn.down_proj"
    np.testing.assert_array_equal(stored(path / ENCODER)[up], tensors[f"{up}.weight"].T)


@pytest.mark.parametrize(("format", "projection"), [(BUNDLE, "embedding"), (BUNDLE_INT8, "output_projection.blocks")])
def test_every_weight_is_stored_once(ort_exported: Any, format: str, projection: str) -> None:
    """The embedding serves lookup and projection, and both decoders read the same bytes."""
    artifact = ort_exported(format)
    regions: dict[str, set[str]] = {}
    for graph in artifact.manifest.details["graphs"]:
        for tensor in onnx.load(artifact.path / graph, load_external_data=False).graph.initializer:
            place = {entry.key: entry.value for entry in tensor.external_data}
            regions.setdefault(tensor.name, set()).add(place.get("offset", "inside"))
    assert len(regions["embedding"] | regions[projection]) == 1
    name = "decoder.layers.0.ffn.down_proj"
    (offset,) = regions[name if format == BUNDLE else f"{name}.blocks"]
    assert offset != "inside"


def test_export_config_describes_the_graphs_as_they_are(ort_exported: Any) -> None:
    artifact = ort_exported(BUNDLE_INT8)
    config = json.loads((artifact.path / "export_config.json").read_text())
    names = {"int64": "tensor(int64)", "int32": "tensor(int32)", "bool": "tensor(bool)", "float32": "tensor(float)"}
    for graph, file in (("encoder", "file"), ("decoder", "file"), ("decoder", "batch_file")):
        session = ort.InferenceSession(artifact.path / config["graphs"][graph][file])
        for said, real in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            described = [(v["name"], names[v["dtype"]], v["shape"]) for v in config["graphs"][graph][said]]
            assert described == [(value.name, value.type, value.shape) for value in real]
    assert config["profile"] == "optimized"
    assert set(config["files"]) == {*artifact.manifest.files, "lingolite.json"}


def test_heads_that_the_attention_operator_refuses_are_refused(
    fixture_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    with pytest.raises(LingoLiteError, match="heads of 8 dimensions") as caught:
        export_to(fixture_bundles[BUNDLE], tmp_path / "onnx", profile="optimized")
    assert "portable" in str(caught.value.hint)
    assert not (tmp_path / "onnx").exists()


@pytest.mark.parametrize("other", [{"exact": True}, {"optimize": "onnxruntime"}])
def test_options_of_the_portable_profile_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match='needs profile = "portable"'):
        msgspec.convert({"profile": "optimized", **other}, OnnxExportOptions)


def test_a_choice_of_graph_is_refused(ort_exported: Any) -> None:
    with pytest.raises(LingoLiteError, match="ORT profile only"):
        opened(ort_exported(BUNDLE), graph="optimized")


def test_the_exporter_imports_no_torch(wide_bundles: dict[str, Artifact], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lingolite_cli.artifact import Artifact\n"
        "from lingolite_onnx.exporter import OnnxExporter\n"
        "from lingolite_onnx.options import OnnxExportOptions\n"
        "options = OnnxExportOptions(profile='optimized')\n"
        "OnnxExporter(options=options).export(Artifact.open(sys.argv[1]), Path(sys.argv[2]))\n"
        "assert 'onnxruntime' in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    source = wide_bundles[BUNDLE].path
    subprocess.run([sys.executable, "-c", program, source, tmp_path], check=True, timeout=120)


def test_matrices_that_a_quantizer_left_in_float_stay_in_float(
    wide_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    """One of three matrices that are otherwise fused, and the tied embedding."""
    keep = ("encoder.embedding.weight", "decoder.layers.0.self_attn.k_proj.weight")
    tensors = quantized(tensors_of(wide_bundles[BUNDLE]), keep=keep)
    mixed = write_bundle(tmp_path / "mixed", wide_bundles[BUNDLE], tensors, BUNDLE_INT8)
    artifact = export_to(mixed, tmp_path / "onnx", profile="optimized")
    found = stored(artifact.path / DECODER)
    assert found["embedding"].dtype == found["decoder.layers.0.self_attn.k_proj"].dtype == np.float32
    assert found["decoder.layers.0.self_attn.q_proj.blocks"].dtype == np.uint8


def test_a_decoder_is_opened_when_a_batch_is_for_it(ort_exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = ort_exported(BUNDLE_INT8)
    monkeypatch.setattr(runner, "MANY_ROWS", 3)
    opened_files: list[str] = []
    open_session = runner.open_session
    monkeypatch.setattr(
        runner, "open_session", lambda path, **rest: opened_files.append(path.name) or open_session(path, **rest)
    )
    backend = opened(artifact)
    backend.step(backend.encode(IDS[:2], MASK[:2]), np.array([1, 1]))
    assert opened_files == [ENCODER, DECODER]
    state = backend.encode(IDS, MASK)
    backend.step(state, np.array([1, 1, 1]))
    assert opened_files == [ENCODER, DECODER, BATCH_DECODER]


@pytest.mark.parametrize("is_beam", [False, True], ids=["batch", "beams"])
def test_the_decoder_for_many_rows_is_opened_alone_and_once(
    ort_exported: Any, monkeypatch: pytest.MonkeyPatch, is_beam: bool
) -> None:
    """It needs most memory while it is opened: the other decoder is closed until it is asked for again, and a large
    batch has not been encoded."""
    artifact = ort_exported(BUNDLE_INT8)
    monkeypatch.setattr(runner, "MANY_ROWS", 3)
    events: list[str] = []
    sessions: dict[str, weakref.ref[ort.InferenceSession]] = {}
    open_session, run_encoder = runner.open_session, encoding.SourceEncoder.encode

    def watched_open(path: Path, **rest: Any) -> ort.InferenceSession:
        beside = [name for name, session in sessions.items() if session() is not None and name != ENCODER]
        events.append(" beside ".join([path.name, *beside]))
        session = open_session(path, **rest)
        sessions[path.name] = weakref.ref(session)
        return session

    def watched_encode(*arguments: Any) -> Any:
        events.append("encode")
        return run_encoder(*arguments)

    monkeypatch.setattr(runner, "open_session", watched_open)
    monkeypatch.setattr(encoding.SourceEncoder, "encode", watched_encode)
    backend = opened(artifact)
    for _ in range(2):
        backend.step(backend.encode(IDS[:1], MASK[:1]), np.array([1]))
        rows = slice(1) if is_beam else slice(3)
        state = backend.encode(IDS[rows], MASK[rows])
        state = backend.select(state, np.zeros(3, np.int64)) if is_beam else state
        backend.step(state, np.array([1, 1, 1]))
        del state
    many = ["encode", BATCH_DECODER] if is_beam else [BATCH_DECODER, "encode"]
    again = ["encode", f"{DECODER} beside {BATCH_DECODER}", "encode"]
    assert events == [ENCODER, "encode", DECODER, *many, *again]


def test_a_batch_goes_on_with_a_decoder_that_was_closed(ort_exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MANY_ROWS", 3)
    backend, undisturbed = opened(ort_exported(BUNDLE_INT8)), opened(ort_exported(BUNDLE_INT8))
    states = [engine.encode(IDS[:2], MASK[:2]) for engine in (backend, undisturbed)]
    for step, tokens in enumerate(np.random.default_rng(0).integers(8, 90, (40, 2))):
        if step in (1, 20):
            backend.step(backend.encode(IDS, MASK), np.array([1, 1, 1]))
        found, expected = backend.step(states[0], tokens).copy(), undisturbed.step(states[1], tokens)
        np.testing.assert_array_equal(found, expected)


@needs_exact_int8
def test_a_batch_may_shrink_from_one_decoder_to_the_other(ort_exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "MANY_ROWS", 3)
    backend = opened(ort_exported(BUNDLE_INT8))
    targets = np.random.default_rng(0).integers(8, 90, (3, 8))
    state, alone = backend.encode(IDS, MASK), backend.encode(IDS[2:, :4], MASK[2:, :4])
    for column in targets.T[:4]:
        backend.step(state, column)
        backend.step(alone, column[2:])
    state = backend.select(state, np.array([2]))
    for column in targets.T[4:]:
        found, expected = backend.step(state, column[2:]).copy(), backend.step(alone, column[2:])
        np.testing.assert_allclose(found, expected, rtol=0, atol=0.02 * np.abs(expected).max())


def test_limits_of_positions_are_errors(ort_exported: Any) -> None:
    backend = opened(ort_exported(BUNDLE))
    with pytest.raises(LingoLiteError, match="a source of 49 tokens lies beyond the 48 positions"):
        backend.encode(np.full((1, 49), 9), np.ones((1, 49), np.bool_))
    state = backend.encode(IDS, MASK)
    for _ in range(48):
        backend.step(state, np.array([1, 9, 30]))
    with pytest.raises(LingoLiteError, match="target token 49 lies beyond the 48 positions"):
        backend.step(state, np.array([1, 9, 30]))


@pytest.mark.parametrize("format", [BUNDLE, BUNDLE_INT8])
def test_an_empty_batch_has_no_logits(ort_exported: Any, format: str) -> None:
    backend = opened(ort_exported(format))
    state = backend.encode(IDS[:0], MASK[:0])
    assert backend.step(state, np.empty(0, np.int64)).shape == (
        0,
        backend.step(backend.encode(IDS, MASK), IDS[:, 0]).shape[1],
    )
    state = backend.select(backend.encode(IDS, MASK), np.empty(0, np.int64))
    ids, log_probabilities = backend.step_top_k(state, np.empty(0, np.int64), 2)
    assert ids.shape == log_probabilities.shape == (0, 2)


def test_a_row_of_padding_only_stays_finite(ort_exported: Any) -> None:
    mask = MASK.copy()
    mask[1] = False
    backend = opened(ort_exported(BUNDLE))
    assert np.isfinite(backend.step(backend.encode(IDS, mask), np.array([1, 9, 30]))).all()


def test_float_beams_are_those_of_the_portable_graphs(
    ort_exported: Any, wide_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    decoding = DecodingOptions(beam_size=4, n_best=4, max_length=40)
    portable = opened(export_to(wide_bundles[BUNDLE], tmp_path / "portable"))
    fast = opened(ort_exported(BUNDLE))
    found = search(fast, IDS, MASK, ids=SPECIAL_IDS, options=decoding, capabilities=frozenset({"top_k"}))
    expected = search(portable, IDS, MASK, ids=SPECIAL_IDS, options=decoding)
    assert [[one.tokens for one in best] for best in found] == [[one.tokens for one in best] for best in expected]


def test_a_missing_graph_is_named(ort_exported: Any, tmp_path: Path) -> None:
    shutil.copytree(ort_exported(BUNDLE).path, tmp_path / "onnx")
    (tmp_path / "onnx" / ENCODER).unlink()
    with pytest.raises(LingoLiteError, match=f"has no {ENCODER}"):
        opened(Artifact(tmp_path / "onnx", ort_exported(BUNDLE).manifest))


@pytest.mark.parametrize("format", [BUNDLE, BUNDLE_INT8])
@needs_exact_int8
def test_a_batch_of_any_lengths_is_encoded_as_its_sentences_are(
    ort_exported: Any, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of 12 tokens: the longest source alone, the others two and three together, in another order."""
    lengths = [4, 11, 3, 6, 4, 5]
    ids = np.zeros((len(lengths), max(lengths)), np.int64)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = np.random.default_rng(length).integers(8, 90, length)
    monkeypatch.setattr(encoding, "CHUNK_TOKENS", 12)
    backend = opened(ort_exported(format))
    together = backend.encode(ids, ids != 0).buffers.source
    for row, length in enumerate(lengths):
        alone = backend.encode(ids[row : row + 1, :length], np.ones((1, length), np.bool_)).buffers.source
        for name, array in alone.items():
            _, _, height, width = array.shape
            np.testing.assert_allclose(together[name][row, :, :height, :width], array[0], rtol=0, atol=1e-5)
        assert (together["source_bias"][row, :, :, length:] < -1e29).all()
