"""The loops in Kotlin and Swift, compiled and run: goldens through a runtime behind pipes, and odd texts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import sentencepiece

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.goldens import read_goldens
from lingolite_cli.testing.routes import convert_with, converter
from tests.families import family_bundle
from tests.lingolite_device.apps import Run, kotlin_app, replay, segment, swift_app
from tests.lingolite_device.odd_texts import odd_texts, train

pytestmark = pytest.mark.device

_APPS: dict[str, tuple[Callable[[Path], list[str]], tuple[str, ...]]] = {
    "kotlin": (kotlin_app, ("kotlinc", "java")),
    "swift": (swift_app, ("swiftc",)),
}


@pytest.fixture(scope="module", params=_APPS)
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command of a compiled loop."""
    build, tools = _APPS[request.param]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    return build(tmp_path_factory.mktemp(request.param))


def onnx_runtime(directory: Path) -> Run:
    """Graphs in ONNX Runtime."""
    sessions: dict[str, Any] = {}

    def run(graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        if graph not in sessions:
            sessions[graph] = onnxruntime.InferenceSession(str(directory / graph))
        session = sessions[graph]
        return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))

    return run


def lite_runtime(directory: Path) -> Run:
    """Signatures in LiteRT."""
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = interpreter.Interpreter(str(directory / "model.tflite"))
    runners = {name: model.get_signature_runner(name) for name in ("encode", "decode")}
    return lambda graph, inputs: dict(runners[graph](**inputs))


def coreml_runtime(artifact: Artifact) -> Run:
    """Functions of a Core ML package by the interpreter, which has new states with each source."""
    from lingolite_coreml.details import CoreMLDetails
    from lingolite_coreml.engines import open_reference

    details = CoreMLDetails.of(artifact)
    open_engine = open_reference(details, artifact.manifest.model)
    interfaces = details.interfaces(artifact.manifest.model)
    engines = {name: open_engine(artifact.path / details.packages[name], name) for name in ("encode", "decode")}
    states: dict[str, Any] = {}

    def run(graph: str, inputs: dict[str, Any]) -> dict[str, Any]:
        if graph == "encode":
            states["decode"] = engines["decode"].new_states()
        taken = {value.name: inputs[value.name].astype(value.dtype) for value in interfaces[graph].inputs}
        found = engines[graph].run(taken, states["decode"] if graph == "decode" else {})
        return {value.name: found[value.name].astype("float32") for value in interfaces[graph].outputs}

    return run


def check(app: list[str], device: Artifact, run: Run) -> None:
    goldens = read_goldens(device.file("golden.json")).sentences
    found = replay(app, device.path, run)
    for golden, replayed in zip(goldens, found, strict=True):
        assert (replayed.ids, replayed.tokens, replayed.text) == (golden.ids, golden.tokens, golden.text)
        assert replayed.streamed == golden.text


def test_an_app_replays_the_goldens(app: list[str], device: Artifact) -> None:
    check(app, device, onnx_runtime(device.path))


@pytest.mark.parametrize("name", ["opus-mt", "firefox", "nllb", "t5"])
def test_an_app_replays_families(app: list[str], name: str, tmp_path: Path) -> None:
    onnx = convert_with(converter("onnx"), family_bundle(tmp_path / "bundle", name), tmp_path / "onnx")
    made = convert_with(converter("device"), onnx, tmp_path / "app")
    check(app, made, onnx_runtime(made.path))


@pytest.mark.parametrize("name", ["lingolite", "firefox", "t5"])
def test_an_app_replays_litert(app: list[str], name: str, tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    lite = convert_with(converter("litert"), family_bundle(tmp_path / "bundle", name), tmp_path / "lite")
    made = convert_with(converter("device"), lite, tmp_path / "app")
    check(app, made, lite_runtime(made.path))


@pytest.mark.parametrize("options", [{}, {"compute": "float32"}], ids=["states", "buffers"])
def test_an_app_replays_core_ml(app: list[str], options: dict[str, Any], tiny: Artifact, tmp_path: Path) -> None:
    pytest.importorskip("coremltools")
    program = convert_with(converter("coreml"), tiny, tmp_path / "coreml", options=options)
    made = convert_with(converter("device"), program, tmp_path / "app")
    check(app, made, coreml_runtime(program))


@pytest.mark.parametrize(
    "options",
    [
        {"model_type": "unigram", "byte_fallback": True},
        {"model_type": "unigram", "user_defined_symbols": ["<en>", "th", "the end"]},
        {"model_type": "bpe", "user_defined_symbols": ["<en>", "<br>", "the"]},
        {"model_type": "bpe", "byte_fallback": True, "remove_extra_whitespaces": False},
    ],
    ids=["unigram bytes", "unigram symbols", "bpe symbols", "bpe bytes"],
)
def test_an_app_segments_as_sentencepiece_does(app: list[str], options: dict[str, Any], tmp_path: Path) -> None:
    model = train(tmp_path / "tokenizer.model", options)
    original = sentencepiece.SentencePieceProcessor()
    original.LoadFromSerializedProto(model.read_bytes())
    texts = odd_texts(original, 2000)
    (tmp_path / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    for text, found in zip(texts, segment(app, model, tmp_path / "texts.json"), strict=True):
        assert list(found.ids) == original.EncodeAsIds(text), text
        assert found.text == original.DecodePieces(original.EncodeAsPieces(text)), text
        assert found.reversed_text == original.DecodeIds(list(found.ids)[::-1]), text
