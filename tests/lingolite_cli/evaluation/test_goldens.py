from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.goldens import (
    Goldens,
    compare_goldens,
    default_languages,
    default_sources,
    make_goldens,
    read_goldens,
    read_sources,
    write_goldens,
)
from lingolite_cli.testing.routes import convert_with, converter
from lingolite_cli.tokenization.opening import open_tokenizer


@pytest.fixture(scope="module")
def exported(tiny: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return convert_with(converter("onnx"), tiny, tmp_path_factory.mktemp("goldens") / "onnx")


@pytest.fixture(scope="module")
def goldens(exported: Artifact) -> Goldens:
    return make_goldens(exported, sources=default_sources("en"), languages=("en", "da"))


def test_goldens_hold_what_the_tokenizer_and_the_engine_give(goldens: Goldens, exported: Artifact) -> None:
    tokenizer = open_tokenizer(exported)
    assert goldens.artifact == exported.digest
    assert goldens.backend == "onnx"
    assert [golden.source for golden in goldens.sentences] == list(default_sources("en"))
    for golden in goldens.sentences:
        source = golden.source if golden.source.strip() else ""
        assert list(golden.ids) == tokenizer.encode_source(source, ("en", "da"), max_length=48).ids
        assert golden.text == tokenizer.decode(golden.tokens)
        assert bool(golden.tokens) == bool(source)


def test_goldens_are_greedy_and_within_the_positions(goldens: Goldens, exported: Artifact) -> None:
    assert goldens.decoding.beam_size == 1
    assert goldens.decoding.max_length <= exported.manifest.model.max_seq_len


def test_written_goldens_are_read_back_and_equal_ones_give_equal_bytes(goldens: Goldens, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_goldens(goldens, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert read_goldens(tmp_path / "one") == goldens
    content = json.loads((tmp_path / "one").read_text(encoding="utf-8"))
    assert (content["schema"], content["source_language"], content["target_language"]) == (1, "en", "da")
    assert set(content["sentences"][0]) == {"source", "ids", "tokens", "text"}


def test_the_first_difference_of_a_sentence_is_named(goldens: Goldens) -> None:
    first, *others = goldens.sentences
    changed = [
        msgspec.structs.replace(first, tokens=(*first.tokens, 7), text="another"),
        msgspec.structs.replace(others[0], ids=(*others[0].ids, 7), text="another"),
        *others[1:],
    ]
    found = compare_goldens(goldens.sentences, changed)
    assert [(difference.source, difference.what) for difference in found] == [
        (first.source, "tokens"),
        (others[0].source, "ids"),
    ]
    assert compare_goldens(goldens.sentences, goldens.sentences) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"schema": 2, "sentences": []}'],
    ids=["nothing", "no keys", "a list", "not text", "deep", "another schema"],
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "golden.json").write_bytes(content)
    with pytest.raises(LingoLiteError, match="has no goldens"):
        read_goldens(tmp_path / "golden.json")


def test_a_file_of_sentences_keeps_blank_lines_and_white_space(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"one\r\n\n two \n")
    assert read_sources(tmp_path / "lines") == ("one", "", " two ")


@pytest.mark.parametrize(("content", "said"), [(b"\n \n", "no sentence"), (b"\xff\n", "not UTF-8")])
def test_files_without_sentences_are_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(content)
    with pytest.raises(LingoLiteError, match=said):
        read_sources(tmp_path / "lines")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="cannot be read"):
        read_sources(tmp_path / "none")
    with pytest.raises(LingoLiteError, match="cannot be read"):
        read_goldens(tmp_path / "none")


def test_the_languages_are_the_first_pair_that_the_model_translates(tiny: Artifact) -> None:
    assert default_languages(tiny) == ("en", "da")
    alone = Artifact(tiny.path, msgspec.structs.replace(tiny.manifest, languages=("en",)))
    with pytest.raises(LingoLiteError, match="names no two languages"):
        default_languages(alone)


def test_a_backend_that_does_not_run_the_format_is_refused(exported: Artifact) -> None:
    with pytest.raises(LingoLiteError, match="does not run format onnx"):
        make_goldens(exported, sources=["a"], languages=("en", "da"), backend="eager")
