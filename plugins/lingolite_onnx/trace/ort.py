"""Traces of the ORT profile's graphs, and how these compute: all decoders, each over the same encoder.

Decoders over candidate tokens are given the whole vocabulary as candidates. B batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from lingolite_cli.architecture.arithmetic import FLOAT32_ERROR, Arithmetic
from lingolite_cli.architecture.network import decoder_state
from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.architecture.recording import OUTPUT_PROJECTION
from lingolite_cli.architecture.tensors import reads_source, tensor_specs
from lingolite_cli.arrays import Array
from lingolite_cli.evaluation.traced_steps import TracedSteps
from lingolite_cli.plugins.interfaces import ForcedTokens, TopK, Trace
from lingolite_cli.weights.bundle import Matrix
from lingolite_onnx.graph import NamedTensor
from lingolite_onnx.ort.blocks import block_size
from lingolite_onnx.ort.candidate_graphs import build_shortlist_batch_decoder, build_shortlist_decoder, candidate_parts
from lingolite_onnx.ort.candidates import as_signed
from lingolite_onnx.ort.graphs import (
    build_batch_decoder,
    build_ort_decoder,
    build_ort_encoder,
)
from lingolite_onnx.ort.interface import (
    BATCH_DECODER,
    CANDIDATE_LOOKUP,
    CANDIDATE_PLACES,
    CANDIDATE_ROWS,
    CANDIDATES,
    DECODER,
    ENCODER,
    IS_CANDIDATE,
    JOINT_CANDIDATES,
    SHORTLIST_BATCH_DECODER,
    SHORTLIST_DECODER,
    TOP_IDS,
    TOP_LOG_PROBABILITIES,
)
from lingolite_onnx.session.sessions import open_session
from lingolite_onnx.trace.session import NoWeightFile, TracedSession

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.weights.bundle import Weights
    from lingolite_onnx.backend_options import OnnxBackendOptions
    from lingolite_onnx.details import OnnxExportDetails

_BEST = 8
"""Next tokens that a decoder is asked for: more than greedy search wants, as a beam search of 4 does."""

_OVER_CANDIDATES = (SHORTLIST_DECODER, SHORTLIST_BATCH_DECODER)
_BUILDERS = {
    ENCODER: build_ort_encoder,
    DECODER: build_ort_decoder,
    BATCH_DECODER: build_batch_decoder,
    SHORTLIST_DECODER: build_shortlist_decoder,
    SHORTLIST_BATCH_DECODER: build_shortlist_batch_decoder,
}


def ort_arithmetic(details: OnnxExportDetails, weights: Weights, options: OnnxBackendOptions) -> Arithmetic:
    """How these graphs compute: where ranges are not calibrated, decoders round activations by blocks inside
    `MatMulNBits`, where one may fall on the next level."""
    given = msgspec.to_builtins(options)
    # Over candidates there are no logits of the vocabulary to compare.
    plain = {key: value for key, value in given.items() if key != "shortlist"} if options.shortlist else None
    if not (weights.has_int8 or weights.has_groups):
        return Arithmetic(name="float32", rounding=1e-4, kl_max=1e-6, parity_min=0.9999, options=plain)
    if weights.activations == "calibrated":
        return Arithmetic(
            name="int8, activations of calibrated ranges",
            rounding=1e-4,
            kl_max=1e-3,
            quotient_error=FLOAT32_ERROR,
            parity_min=0.99,
            options=plain,
        )
    name = "activations rounded by group" if weights.has_groups else "int8, activations rounded by row and by block"
    return Arithmetic(
        name=name,
        blocks=_blocks(weights),
        rounding=0.01,
        kl_max=1e-3,
        quotient_error=FLOAT32_ERROR,
        parity_min=0.99,
        options=plain,
    )


def _blocks(weights: Weights) -> dict[str, int]:
    """By matrix, how many activations `MatMulNBits` rounds together; the encoder rounds whole rows where it can."""
    projection = parts_of(weights.config).decoder.projection.name
    found = {}
    specs = [spec for spec in tensor_specs(weights.config) if spec.is_matrix and spec.role != "embedding"]
    operations = {spec.name: spec.name for spec in specs} | {OUTPUT_PROJECTION: projection}
    for operation, name in operations.items():
        matrix = weights.matrix(name)
        if not isinstance(matrix, Matrix):
            found[operation] = matrix.group_size
        elif matrix.is_int8 and not reads_source(weights.config, name):
            found[operation] = block_size(matrix.values.shape[1])
    return found


def trace_ort(
    artifact: Artifact,
    details: OnnxExportDetails,
    options: OnnxBackendOptions,
    weights: Weights,
    tokens: ForcedTokens,
    *,
    entries: Mapping[str, str],
) -> list[Trace]:
    """See `lingolite_onnx.profiles.TraceGraphs`."""
    sessions = {
        name: TracedSession(
            artifact.path / name,
            _named(name, weights, details),
            entries=entries,
            operations=tokens.operations,
        )
        for name in _BUILDERS
        if (artifact.path / name).is_file()
    }
    encoder = sessions.pop(ENCODER)
    source: dict[str, Array] = {}
    encoded: dict[str, Array] = {}
    if not encoder.is_empty:
        outputs = encoder.run(None, {"source_ids": tokens.source_ids, "source_mask": tokens.source_mask})
        source = dict(zip((value.name for value in encoder.get_outputs()), outputs, strict=True))
        encoded = encoder.values(tokens.source_ids.shape)
    if not sessions.keys().isdisjoint(_OVER_CANDIDATES) and tokens.operations is None:
        source.update(_all_candidates(artifact, weights, rows=len(tokens.target_ids), entries=entries))
    num_parts = candidate_parts(weights)
    traces = []
    for name, decoder in sessions.items():
        values, top_k = ({}, None) if decoder.is_empty else _decode(decoder, _read(source, name), tokens, weights)
        # Rows of a matrix that is not int8 are multiplied in float32.
        unrounded = {OUTPUT_PROJECTION} if name in _OVER_CANDIDATES and not num_parts else ()
        traces.append(
            Trace(
                part=name.removeprefix("decoder_").removesuffix(".onnx"),
                values={**encoded, **values},
                unrounded=frozenset(unrounded),
                top_k=top_k,
            )
        )
    return traces


def _all_candidates(artifact: Artifact, weights: Weights, *, rows: int, entries: Mapping[str, str]) -> dict[str, Array]:
    """The inputs of decoders over candidates, with every token of the vocabulary as a candidate of every row."""
    joint = np.arange(weights.config.vocab_size)
    ids = np.tile(joint, (rows, 1))
    lookup = open_session(artifact.path / CANDIDATE_LOOKUP, threads=1, entries=entries)
    names = [value.name for value in lookup.get_outputs()]
    fed = {CANDIDATES: ids, IS_CANDIDATE: np.ones(ids.shape, np.bool_), JOINT_CANDIDATES: joint}
    return {CANDIDATES: ids, CANDIDATE_PLACES: ids[:, None], **dict(zip(names, lookup.run(names, fed), strict=True))}


def _read(source: Mapping[str, Array], name: str) -> Mapping[str, Array]:
    """What the decoder `name` reads of the source: the one for many rows reads the candidates' bytes as int8."""
    if name != SHORTLIST_BATCH_DECODER or CANDIDATE_ROWS not in source:
        return source
    return {**source, CANDIDATE_ROWS: as_signed(source[CANDIDATE_ROWS])}


def _named(name: str, weights: Weights, details: OnnxExportDetails) -> tuple[NamedTensor, ...]:
    build = _BUILDERS[name]
    graph = build(weights, NoWeightFile(), num_positions=details.max_seq_len, opset_version=details.opset_version)
    return graph.named


def _decode(
    decoder: TracedSession, source: Mapping[str, Array], tokens: ForcedTokens, weights: Weights
) -> tuple[dict[str, Array], TopK | None]:
    """Values of the decoder's operations, and its choices where the graph gives them."""
    rows, length = tokens.target_ids.shape
    read = {value.name for value in decoder.get_inputs()}  # of a graph that was cut down to a few operations, none
    past = {
        f"past_{kept.name}": np.zeros((rows, kept.heads, 1 if kept.kind == "cell" else length, kept.width), np.float32)
        for kept in decoder_state(weights.config)
        if f"past_{kept.name}" in read
    }
    # A graph that is cut to its embedding reads no cache.
    past = {name: array for name, array in past.items() if name in {value.name for value in decoder.get_inputs()}}
    steps = TracedSteps()
    chosen: list[tuple[Array, Array]] = []
    for position, column in enumerate(np.ascontiguousarray(tokens.target_ids.T)):
        fed = {
            "tokens": np.ascontiguousarray(column[:, None]),
            "past_lengths": np.full(rows, position, np.int32),
            "total_length": np.array(position + 1, np.int32),
            "k": np.array([min(_BEST, weights.config.vocab_size)]),
        }
        outputs = decoder.run(None, {**fed, **source, **past})
        named = dict(zip((value.name for value in decoder.get_outputs()), outputs, strict=True))
        past = {name: named[name.replace("past", "present")] for name in past}
        steps.add(decoder.values((rows, 1)))
        chosen += [(named[TOP_IDS], named[TOP_LOG_PROBABILITIES])] if TOP_IDS in named else []
    return steps.joined(), _joined(chosen)


def _joined(chosen: Sequence[tuple[Array, Array]]) -> TopK | None:
    """[B, T, k] of the choices of T steps; None where a graph that was cut down makes none."""
    if not chosen:
        return None
    ids, values = (np.concatenate(parts, axis=1) for parts in zip(*chosen, strict=True))
    return TopK(ids=ids, log_probabilities=values)
