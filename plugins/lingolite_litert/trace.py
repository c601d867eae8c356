"""Values of named operations in a file: its graphs, run over a copy whose tensors are outputs as well.

Owns the edit of the copy and the shapes of what is read. Which tensor is which operation, the builders of the graphs
say: they build the same graphs again, without writing them. B batch, S source, T target, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from lingolite_cli.arrays import Array
from lingolite_cli.plugins.interfaces import ForcedTokens, Trace
from lingolite_litert.exporter import build_file
from lingolite_litert.graph import NamedTensor, packed
from lingolite_litert.interface import DECODE, ENCODE, MODEL, SOURCE_IDS, TOKENS
from lingolite_litert.opening import open_interpreter
from lingolite_litert.runner import LitertRunner

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.weights.bundle import Weights
    from lingolite_litert.details import LitertDetails

_Named = Mapping[str, Sequence[NamedTensor]]


def trace_file(
    artifact: Artifact, details: LitertDetails, weights: Weights, tokens: ForcedTokens, *, delegate: str
) -> list[Trace]:
    """See `lingolite_cli.plugins.interfaces.TracingBackend`.

    Args:
        artifact: whose file it is.
        details: of its manifest.
        weights: of the bundle, for names and shapes.
        tokens: what is read.
        delegate: as in `LitertOptions`.
    """
    named = {graph.name: graph.named for graph in build_file(weights, details).graphs}
    content = artifact.read_bytes(MODEL)
    if tokens.operations is not None:
        values = _single_values(content, named, tokens, tokens.operations, delegate=delegate)
    else:
        values = _all_values(content, named, tokens, artifact, details, delegate=delegate)
    return [Trace(part=MODEL, values=values)]


def _all_values(
    content: bytes,
    named: _Named,
    tokens: ForcedTokens,
    artifact: Artifact,
    details: LitertDetails,
    *,
    delegate: str,
) -> dict[str, Array]:
    copy, named = _with_outputs(content, named)
    interpreter = open_interpreter(copy, delegate=delegate, threads=1)
    runner = LitertRunner(interpreter, artifact.manifest.model, max_seq_len=details.max_seq_len)
    rows, length = tokens.source_ids.shape
    encoded = [
        _encoder_values(named[ENCODE], runner.encoded(ids[mask][None].astype(np.int32)), length)
        for ids, mask in zip(tokens.source_ids, tokens.source_mask, strict=True)
    ]
    state = runner.encode(tokens.source_ids, tokens.source_mask)
    steps = []
    for position, column in enumerate(tokens.target_ids.T):
        found = runner.advance(state, column, lambda _: runner.outputs([one.name for one in named[DECODE]]))
        steps.append(_decoder_values(named[DECODE], found, rows, position))
    runner.close()
    return {**_side_by_side(encoded), **_joined(steps)}


def _single_values(
    content: bytes, named: _Named, tokens: ForcedTokens, operations: Collection[str], *, delegate: str
) -> dict[str, Array]:
    """The wanted operations alone, of graphs that compute nothing else: those that read nothing but ids."""
    wanted: _Named = {
        name: [one for one in tensors if set(operations).intersection(one.operations)]
        for name, tensors in named.items()
    }
    copy, wanted = _with_outputs(content, wanted, is_alone=True)
    interpreter = open_interpreter(copy, delegate=delegate, threads=1)
    values: dict[str, Array] = {}
    if wanted[ENCODE]:
        encode = interpreter.get_signature_runner(ENCODE)
        rows = [encode(**{SOURCE_IDS: ids[None].astype(np.int32)}) for ids in tokens.source_ids]
        values.update(_side_by_side([_encoder_values(wanted[ENCODE], row, tokens.source_ids.shape[1]) for row in rows]))
    if wanted[DECODE]:
        decode = interpreter.get_signature_runner(DECODE)
        steps = [decode(**{TOKENS: column.astype(np.int32)}) for column in tokens.target_ids.T]
        values.update(_joined([_decoder_values(wanted[DECODE], step, len(tokens.target_ids), 0) for step in steps]))
    return values


def _with_outputs(content: bytes, named: _Named, *, is_alone: bool = False) -> tuple[bytes, _Named]:
    """A copy of a file with named tensors as outputs, and which of them it has.

    Args:
        content: of the file.
        named: by signature. A changed graph may lack a tensor: its operation is then seen through those that follow.
        is_alone: leave what computes these, and nothing else.
    """
    model = schema.ModelT.InitFromPackedBuf(content)
    found = {}
    for signature in model.signatureDefs:
        name, graph = signature.signatureKey.decode(), model.subgraphs[signature.subgraphIndex]
        produced = {int(index) for operator in graph.operators for index in operator.outputs}
        places = {graph.tensors[index].name.decode(): index for index in produced}
        found[name] = [one for one in named.get(name, ()) if one.name in places]
        added = [places[one.name] for one in found[name]]
        if is_alone:
            _keep_only(graph, signature, added)
        known = {int(index) for index in graph.outputs}
        graph.outputs = np.array([*graph.outputs, *dict.fromkeys(one for one in added if one not in known)], np.int32)
        signature.outputs += [schema.TensorMapT(name=graph.tensors[index].name, tensorIndex=index) for index in added]
    return packed(model), found


def _keep_only(graph: Any, signature: Any, outputs: Sequence[int]) -> None:
    """Leave of a graph what computes `outputs`, and have it give nothing yet."""
    needed, kept = set(outputs), []
    for operator in reversed(graph.operators):
        if not needed.isdisjoint(operator.outputs.tolist()):
            kept.append(operator)
            needed.update(operator.inputs.tolist())
    graph.operators = kept[::-1]
    signature.inputs = [one for one in signature.inputs if one.tensorIndex in needed]
    graph.inputs = np.array([one.tensorIndex for one in signature.inputs], np.int32)
    graph.outputs, signature.outputs = np.array([], np.int32), []


def _encoder_values(named: Sequence[NamedTensor], found: Mapping[str, Array], length: int) -> dict[str, Array]:
    """[1, length, width] of a sentence that may be shorter, padded with zeros."""
    values: dict[str, Array] = {}
    for one in named:
        array = found[one.name]
        rows = _heads_as_rows(array) if one.layout == "heads" else array.reshape(1, -1, array.shape[-1])
        padding = ((0, 0), (0, length - rows.shape[1]), (0, 0))
        values.update(_parted(one, np.pad(rows, padding)))
    return values


def _decoder_values(
    named: Sequence[NamedTensor], found: Mapping[str, Array], rows: int, position: int
) -> dict[str, Array]:
    """[rows, 1, width] of a step, and [rows, position + 1, width] of caches."""
    values: dict[str, Array] = {}
    for one in named:
        array = found[one.name]
        if one.layout == "heads":
            # Between the past and the new row lie places that are not filled yet.
            seen = np.append(np.arange(position), array.shape[2] - 1)
            values[one.operations[0]] = _heads_as_rows(array[:, :, seen])
        else:
            values.update(_parted(one, array.reshape(rows, 1, -1)))
    return values


def _heads_as_rows(array: Array) -> Array:
    """[B, positions, heads · D] from [B, heads, positions, D], or from [heads, positions, D] of one sentence."""
    whole = array.reshape(-1, *array.shape[-3:]).transpose(0, 2, 1, 3)
    return whole.reshape(*whole.shape[:2], -1)


def _parted(one: NamedTensor, rows: Array) -> dict[str, Array]:
    """By operation, its part of the last axis."""
    if len(one.operations) == 1:
        return {one.operations[0]: rows}
    if rows.shape[-1] != sum(one.widths):
        return {}
    return dict(zip(one.operations, np.split(rows, np.cumsum(one.widths)[:-1], axis=-1), strict=True))


def _side_by_side(rows: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """By operation, values of several sentences."""
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _joined(steps: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """By operation, values [B, T, width] of T steps. A cache is that of the last step, which holds all of them."""
    last = steps[-1]
    return {
        name: np.concatenate([step[name] for step in steps], axis=1) if array.shape[1] == 1 else array
        for name, array in last.items()
    }
