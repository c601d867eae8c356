"""Traces of portable graphs, and how these compute.

The graphs are driven by the backend's own runner, so that caches travel as in a translation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.architecture.arithmetic import FLOAT32_ERROR, Arithmetic
from lingolite_cli.arrays import Array
from lingolite_cli.evaluation.traced_steps import TracedSteps
from lingolite_cli.plugins.interfaces import ForcedTokens, Trace
from lingolite_onnx.graph import NamedTensor
from lingolite_onnx.portable.graphs import build_portable_decoder, build_portable_encoder
from lingolite_onnx.portable.interface import GRAPHS
from lingolite_onnx.portable.runner import PortableRunner
from lingolite_onnx.trace.session import NoWeightFile, TracedSession

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.weights.bundle import Weights
    from lingolite_onnx.backend_options import OnnxBackendOptions
    from lingolite_onnx.details import OnnxExportDetails


def portable_arithmetic(details: OnnxExportDetails, weights: Weights, options: OnnxBackendOptions) -> Arithmetic:
    """How these graphs compute: in integers as the bundle says, otherwise in float32 or float64."""
    names = {
        "float32": "float32",
        "by row": "int8, activations rounded by row",
        "calibrated": "int8, activations of calibrated ranges",
        "by group": "float32",
    }
    name = "float32 over weights by groups" if weights.has_groups else names[details.activations]
    if not weights.has_int8:
        return Arithmetic(name=name, rounding=1e-4, kl_max=1e-6, parity_min=0.9999)
    if details.exact:
        return Arithmetic(name=name, is_exact=True, rounding=1e-4, kl_max=1e-6, parity_min=0.9999)
    return Arithmetic(name=name, rounding=1e-4, kl_max=1e-3, quotient_error=FLOAT32_ERROR, parity_min=0.99)


def trace_portable(
    artifact: Artifact,
    details: OnnxExportDetails,
    options: OnnxBackendOptions,
    weights: Weights,
    tokens: ForcedTokens,
    *,
    entries: Mapping[str, str],
) -> list[Trace]:
    """See `lingolite_onnx.profiles.TraceGraphs`."""
    graph = options.graph or "portable"
    if graph == "ort":
        return []  # such a file can be run, and not be read and given further outputs
    named = {
        name: build(
            weights,
            NoWeightFile(),
            num_positions=details.max_seq_len,
            opset_version=details.opset_version,
            is_exact=details.exact,
        ).named
        for name, build in zip(GRAPHS[graph], (build_portable_encoder, build_portable_decoder), strict=True)
    }
    if tokens.operations is not None:
        return [Trace(part=graph, values=_single_values(artifact.path, named, tokens, entries=entries))]
    sessions: list[TracedSession] = []

    def open_graph(path: Path) -> TracedSession:
        sessions.append(TracedSession(path, named[path.name], entries=entries))
        return sessions[-1]

    runner = PortableRunner(artifact.path, graph, max_seq_len=details.max_seq_len, threads=1, open_graph=open_graph)
    state = runner.encode(tokens.source_ids, tokens.source_mask)
    encoder, decoder = sessions
    steps = TracedSteps()
    for column in np.ascontiguousarray(tokens.target_ids.T):
        runner.step(state, column)
        steps.add(decoder.values((len(column), 1)))
    runner.close()
    return [Trace(part=graph, values={**encoder.values(tokens.source_ids.shape), **steps.joined()})]


def _single_values(
    directory: Path,
    named: Mapping[str, tuple[NamedTensor, ...]],
    tokens: ForcedTokens,
    *,
    entries: Mapping[str, str],
) -> dict[str, Array]:
    """The wanted operations alone: those of the encoder, and those of the decoder that read no cache."""
    values: dict[str, Array] = {}
    for name, tensors in named.items():
        session = TracedSession(directory / name, tensors, entries=entries, operations=tokens.operations)
        if session.is_empty:
            continue
        is_encoder = name == next(iter(named))
        columns = [tokens.source_ids] if is_encoder else list(np.ascontiguousarray(tokens.target_ids.T))
        steps = TracedSteps()
        for column in columns:
            fed = {"source_ids": column, "source_mask": tokens.source_mask} if is_encoder else {"tokens": column}
            session.run(None, fed)
            steps.add(session.values(column.shape if is_encoder else (len(column), 1)))
        values.update(steps.joined())
    return values
