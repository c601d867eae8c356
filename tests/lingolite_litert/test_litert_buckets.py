"""Files of fixed shapes, for the delegates of GPUs and NPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Progress
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.exported_measurement import ExportedText, compare_values
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.testing.forward import framed_sources
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.weights.bundle import Weights

pytestmark = pytest.mark.litert
pytest.importorskip("ai_edge_litert", reason='LiteRT is not installed: pip install -e ".[litert]"')

from ai_edge_litert import schema_py_generated as schema  # noqa: E402
from lingolite_litert.interface import MODEL  # noqa: E402

Export = Callable[..., Artifact]


def _open(artifact: Artifact) -> Any:
    return load_registry().resolve("backend", "litert").create(artifact, options={}, threads=1)


def _tokens(artifact: Artifact, **decoding: Any) -> list[list[tuple[int, ...]]]:
    backend = _open(artifact)
    options = DecodingOptions(max_length=44, **decoding)
    found = search(
        backend, *pad(framed_sources(artifact), IDS.pad), ids=IDS, options=options, capabilities=frozenset({"top_k"})
    )
    backend.close()
    return [[hypothesis.tokens for hypothesis in row] for row in found]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_translations_are_those_of_dynamic_shapes(exported: Export, beam_size: int) -> None:
    bucketed = exported(shapes="buckets")
    assert bucketed.manifest.details["buckets"] == [32, 48]
    assert _tokens(bucketed, beam_size=beam_size) == _tokens(exported(), beam_size=beam_size)


def test_no_shape_is_left_open_and_no_weight_is_stored_twice(exported: Export) -> None:
    model = schema.ModelT.InitFromPackedBuf(exported("dynamic-int8", shapes="buckets").read_bytes(MODEL))
    names = [signature.signatureKey.decode() for signature in model.signatureDefs]
    assert names == ["decode_32", "encode_32", "decode_48", "encode_48"]
    assert all(tensor.shapeSignature is None for graph in model.subgraphs for tensor in graph.tensors)
    contents = [bytes(buffer.data) for buffer in model.buffers if buffer.data is not None]
    assert len(set(contents)) == len(contents)


def test_the_shapes_in_the_file_are_those_that_the_runtime_computes(exported: Export) -> None:
    """A compiler for an NPU reads the file, and runs nothing."""
    from lingolite_litert.opening import open_interpreter

    content = exported(shapes="buckets").read_bytes(MODEL)
    model = schema.ModelT.InitFromPackedBuf(content)
    interpreter = open_interpreter(content, delegate="none", threads=1)
    for number, graph in enumerate(model.subgraphs):
        interpreter._interpreter.AllocateTensors(number)
        found = [one["shape"].tolist() for one in interpreter.get_tensor_details(number)[: len(graph.tensors)]]
        assert found == [tensor.shape.tolist() for tensor in graph.tensors]


def test_values_of_operations_are_the_references(bundle: Export, exported: Export) -> None:
    artifact, origin = exported(shapes="buckets"), bundle()
    backend, loaded = _open(artifact), load_registry().resolve("backend", "litert")
    factory: Any = loaded.load_factory()
    text = ExportedText(
        sources=framed_sources(artifact),
        tokens=[row[0] for row in _tokens(artifact)],
        positions=artifact.manifest.model.max_seq_len,
        ids=IDS,
    )
    found = compare_values(
        lambda tokens: backend.trace(tokens, bundle=origin),
        text,
        Weights.read(origin),
        factory.arithmetic(artifact, origin, loaded.options({})),
        progress=Progress(),
    )
    assert found.num_operations > 50
    assert [one.summary for one in found.operations] == []


def test_sources_beyond_the_longest_bucket_are_refused(exported: Export) -> None:
    backend = _open(exported(shapes="buckets"))
    with pytest.raises(LingoLiteError, match="a source of 49 tokens lies beyond the 48 positions"):
        backend.encode(np.full((1, 49), 5), np.ones((1, 49), np.bool_))
