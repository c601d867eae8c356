"""Decoding with a vocabulary shortlist: what it may choose, what it must not change, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from lingolite_onnx.backend import OnnxBackend
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.ort.interface import SHORTLIST_BATCH_DECODER, SHORTLIST_DECODER
from lingolite_onnx.ort.runner import MANY_WIDE_ROWS, OrtRunner

from lingolite_cli.artifact import BUNDLE, BUNDLE_INT4, BUNDLE_INT8, SHORTLIST_NAME, Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.candidates import IMPOSSIBLE, CandidateChooser
from lingolite_cli.testing import SENTENCES
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import open_tokenizer
from tests.lingolite_onnx.onnx_bundles import export_to, needs_exact_int8, shortlist_of

Shortlisted = Callable[..., Artifact]
TOP_K = frozenset({"top_k"})


def opened(artifact: Artifact, *, shortlist: bool) -> OnnxBackend:
    return OnnxBackend(artifact, options=OnnxBackendOptions(shortlist=shortlist), threads=1)


def sources(artifact: Artifact, languages: tuple[str, str] = ("en", "da")) -> list[list[int]]:
    tokenizer = open_tokenizer(artifact)
    return [tokenizer.encode_source(text, languages, max_length=40).ids for text in SENTENCES]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_the_whole_vocabulary_gives_the_tokens_of_no_shortlist(shortlisted: Shortlisted, beam_size: int) -> None:
    artifact = shortlisted(BUNDLE, every=1)
    decoding = DecodingOptions(beam_size=beam_size, max_length=20)
    found, expected = (
        search(
            opened(artifact, shortlist=use),
            *pad(sources(artifact), IDS.pad),
            ids=IDS,
            options=decoding,
            capabilities=TOP_K,
        )
        for use in (True, False)
    )
    assert [one[0].tokens for one in found] == [one[0].tokens for one in expected]


@needs_exact_int8
@pytest.mark.parametrize("format", [BUNDLE, BUNDLE_INT8, BUNDLE_INT4])
def test_logits_are_those_of_all_words_where_they_are_on_the_shortlist(
    shortlisted: Shortlisted, wide_bundles: dict[str, Artifact], format: str
) -> None:
    artifact = shortlisted(format)
    shortlist = shortlist_of(wide_bundles[format])
    ids, mask = pad(sources(artifact)[:4], IDS.pad)
    tokens = np.array([1, 40, 9, 30])
    found, everything = (
        backend.step(backend.encode(ids, mask), tokens)
        for backend in (opened(artifact, shortlist=True), opened(artifact, shortlist=False))
    )
    for row in range(4):
        brought = shortlist.candidates[ids[row][mask[row]]]
        own = sorted({*shortlist.frequent.tolist(), *brought[brought >= 0].tolist()})
        others = np.setdiff1d(np.arange(shortlist.target_vocab_size), own)
        assert 0 < len(others)
        tolerance = 1e-4 if format == BUNDLE else 0.1 * float(np.abs(everything).max())
        np.testing.assert_allclose(found[row, own], everything[row, own], rtol=0, atol=tolerance)
        assert (found[row, others] == np.float32(IMPOSSIBLE)).all()


@needs_exact_int8
@pytest.mark.parametrize("format", [BUNDLE, BUNDLE_INT8])
def test_rows_have_the_same_logits_alone_and_after_others_have_ended(shortlisted: Shortlisted, format: str) -> None:
    """From many rows to one, through both decoders and past the places where what they read is looked up again; some
    rows are repeated after that, as probes do."""
    artifact = shortlisted(format)
    backend = opened(artifact, shortlist=True)
    several = [(sources(artifact) * 2)[index] for index in range(MANY_WIDE_ROWS + 2)]
    state, left = backend.encode(*pad(several, IDS.pad)), np.arange(len(several))
    alone = [backend.encode(*pad([source], IDS.pad)) for source in several]
    moves = [13, 2, 5, 0, 1, 4, 7], [6, 6, 3, 0, 5, 1, 2], [0, 1, 2, 3, 4, 5, 6, 2, 4], [6, 3, 0], [2, 0, 1, 1], [1]
    for position, kept in enumerate((None, *moves)):
        if kept is not None:
            state, left = backend.select(state, np.array(kept)), left[kept]
        tokens = 7 + (left + position) % 20
        found = backend.step(state, tokens).copy()
        expected = [backend.step(one, np.array([7 + (row + position) % 20])).copy() for row, one in enumerate(alone)]
        right = np.concatenate([expected[row] for row in left])
        assert ((found <= IMPOSSIBLE) == (right <= IMPOSSIBLE)).all()
        is_own = right > IMPOSSIBLE
        tolerance = 1e-4 if format == BUNDLE else 0.05
        np.testing.assert_allclose(found[is_own], right[is_own], rtol=0, atol=tolerance * np.abs(right[is_own]).max())


def test_candidates_are_multiplied_exactly_where_a_processor_saturates(
    shortlisted: Shortlisted, wide_bundles: dict[str, Artifact]
) -> None:
    """On such a processor sessions are asked for precision, which has no effect on the candidates of many rows."""
    directory, model = shortlisted(BUNDLE_INT8).path, wide_bundles[BUNDLE_INT8].manifest.model
    chooser = CandidateChooser(shortlist_of(wide_bundles[BUNDLE_INT8]))
    for entries, decoder in (({}, SHORTLIST_BATCH_DECODER), ({"session.x64quantprecision": "1"}, SHORTLIST_DECODER)):
        runner = OrtRunner(directory, model, max_seq_len=40, threads=1, entries=entries, chooser=chooser)
        ids = np.full((MANY_WIDE_ROWS, 3), 9)
        state = runner.encode(ids, np.ones(ids.shape, np.bool_))
        runner.step(state, np.full(MANY_WIDE_ROWS, 9))
        assert state.step is not None
        right = onnx.load(directory / decoder, load_external_data=False).graph.input
        wanted = {value.name: value.type.tensor_type.elem_type for value in right}["word_rows"]
        assert onnx.helper.np_dtype_to_tensor_dtype(state.joint["word_rows"].dtype) == wanted


def test_it_is_off_unless_it_is_asked_for(shortlisted: Shortlisted) -> None:
    artifact = shortlisted(BUNDLE)
    batch = pad(sources(artifact)[:2], IDS.pad)
    backend = OnnxBackend(artifact, options=OnnxBackendOptions(), threads=1)
    assert (backend.step(backend.encode(*batch), np.array([1, 1])) > IMPOSSIBLE).all()


def test_the_artifact_holds_the_file_and_says_so(shortlisted: Shortlisted, wide_bundles: dict[str, Artifact]) -> None:
    artifact = shortlisted(BUNDLE_INT8)
    assert SHORTLIST_NAME in artifact.manifest.files
    assert artifact.manifest.details["shortlist"] == ["en", "da"]
    config = json.loads((artifact.path / "export_config.json").read_text())
    assert set(config["files"]) == {*artifact.manifest.files, "lingolite.json"}
    dtypes = ("int64", "int32", "int8", "uint8", "bool")
    names = {**{dtype: f"tensor({dtype})" for dtype in dtypes}, "float32": "tensor(float)"}
    for graph in ("words", "shortlist_decoder", "shortlist_batch_decoder"):
        session = ort.InferenceSession(artifact.path / config["graphs"][graph]["file"])
        for said, real in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
            described = [(v["name"], names[v["dtype"]], v["shape"]) for v in config["graphs"][graph][said]]
            assert described == [(value.name, value.type, value.shape) for value in real]


def test_it_adds_no_weights(shortlisted: Shortlisted, ort_exported: Callable[..., Artifact]) -> None:
    """All graphs read the same bytes; what is new is small constants."""
    sizes = [(one(BUNDLE_INT8).path / "weights.bin").stat().st_size for one in (shortlisted, ort_exported)]
    assert sizes[0] - sizes[1] < 0.01 * sizes[1]
    graph = onnx.load(shortlisted(BUNDLE_INT8).path / "words_optimized.onnx", load_external_data=False).graph
    assert any(tensor.external_data for tensor in graph.initializer)


def test_equal_exports_have_equal_bytes(
    shortlisted: Shortlisted, wide_bundles: dict[str, Artifact], tmp_path: Path
) -> None:
    first = shortlisted(BUNDLE)
    again = export_to(
        wide_bundles[BUNDLE], tmp_path / "again", profile="optimized", shortlist=first.path / SHORTLIST_NAME
    )
    assert again.digest == first.digest


def test_another_direction_is_refused(shortlisted: Shortlisted) -> None:
    artifact = shortlisted(BUNDLE)
    backend = opened(artifact, shortlist=True)
    with pytest.raises(LingoLiteError, match="is for en-da, and a source is da-en"):
        backend.encode(*pad(sources(artifact, ("da", "en"))[:2], IDS.pad))


def test_an_artifact_without_one_is_refused(ort_exported: Callable[..., Artifact], exported: Shortlisted) -> None:
    for artifact in (ort_exported(BUNDLE), exported(BUNDLE)):
        with pytest.raises(LingoLiteError, match="has no vocabulary shortlist") as caught:
            opened(artifact, shortlist=True)
        assert "--shortlist FILE" in str(caught.value.hint)


def test_what_an_export_cannot_carry_is_refused(wide_bundles: dict[str, Artifact], tmp_path: Path) -> None:
    bundle = wide_bundles[BUNDLE]
    mine = shortlist_of(bundle)
    mine.write(tmp_path / "mine")
    with pytest.raises(LingoLiteError, match="portable profile carries no shortlist"):
        export_to(bundle, tmp_path / "made", shortlist=tmp_path / "mine")
    details = msgspec.structs.replace(mine.details, tokenizer="0" * 64)
    msgspec.structs.replace(mine, details=details).write(tmp_path / "other")
    with pytest.raises(LingoLiteError, match="made for another tokenizer"):
        export_to(bundle, tmp_path / "made", profile="optimized", shortlist=tmp_path / "other")
    (tmp_path / "text").write_text("no shortlist")
    with pytest.raises(LingoLiteError, match="is not a shortlist"):
        export_to(bundle, tmp_path / "made", profile="optimized", shortlist=tmp_path / "text")
    assert not (tmp_path / "made").exists()
