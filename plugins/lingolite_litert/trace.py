"""Values of named operations in a file: its graphs, run over a copy whose tensors are outputs as well.

Owns the edit of the copy and the shapes of what is read. Which tensor is which operation, the builders of the graphs
say: they build the same graphs again, without writing them. B batch, S source, T target, K key/value heads, D head_dim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from lingolite_cli.arrays import Array
from lingolite_cli.evaluation.traced_steps import TracedSteps
from lingolite_cli.plugins.interfaces import ForcedTokens, TopK, Trace
from lingolite_litert.exporter import build_file
from lingolite_litert.graph import NamedTensor, packed
from lingolite_litert.interface import DECODE, ENCODE, MODEL, SOURCE_IDS, TOKENS, signature_name
from lingolite_litert.opening import open_interpreter
from lingolite_litert.running import best_of, runner_of

if TYPE_CHECKING:
    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.weights.bundle import Weights
    from lingolite_litert.details import LitertDetails

_Named = Mapping[str, Sequence[NamedTensor]]

_BEST = 8
"""Next tokens that are chosen at each step."""


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
    named: _Named = {graph.name: graph.named for graph in build_file(weights, details).graphs}
    content, config = artifact.read_bytes(MODEL), artifact.manifest.model
    if tokens.operations is not None:
        return [Trace(part=MODEL, values=_single_values(content, named, tokens, config, details, delegate=delegate))]
    return [_whole_trace(content, named, tokens, config, details, delegate=delegate)]


def _whole_trace(
    content: bytes,
    named: _Named,
    tokens: ForcedTokens,
    config: Architecture,
    details: LitertDetails,
    *,
    delegate: str,
) -> Trace:
    copy, named = _with_outputs(content, named)
    runner = runner_of(open_interpreter(copy, delegate=delegate, threads=1), config, details)
    # In every bucket the tensors have the same names.
    encoder, decoder = (named[signature_name(kind, next(iter(details.buckets), None))] for kind in (ENCODE, DECODE))
    rows, length = tokens.source_ids.shape
    encoded = [
        _encoder_values(encoder, runner.encoded(ids[mask]), count=int(mask.sum()), length=length)
        for ids, mask in zip(tokens.source_ids, tokens.source_mask, strict=True)
    ]
    state = runner.encode(tokens.source_ids, tokens.source_mask)
    steps = TracedSteps()
    ids, log_probabilities = [], []
    for position, column in enumerate(tokens.target_ids.T):
        found, best, values = runner.advance(
            state,
            column,
            lambda logits, log_total: (
                runner.outputs([one.name for one in decoder]),
                *best_of(logits, log_total, min(_BEST, config.vocab_size)),
            ),
        )
        steps.add(_decoder_values(decoder, found, rows, position))
        ids.append(best)
        log_probabilities.append(values)
    runner.close()
    return Trace(
        part=MODEL,
        values={**_side_by_side(encoded), **steps.joined()},
        top_k=TopK(ids=np.stack(ids, axis=1), log_probabilities=np.stack(log_probabilities, axis=1)),
    )


def _single_values(
    content: bytes,
    named: _Named,
    tokens: ForcedTokens,
    config: Architecture,
    details: LitertDetails,
    *,
    delegate: str,
) -> dict[str, Array]:
    """The wanted operations alone, of graphs that compute nothing else: those that read nothing but ids."""
    operations = tokens.operations or frozenset()
    wanted: _Named = {
        name: [one for one in tensors if operations.intersection(one.operations)] for name, tensors in named.items()
    }
    copy, wanted = _with_outputs(content, wanted, is_alone=True)
    interpreter = open_interpreter(copy, delegate=delegate, threads=1)
    length = tokens.source_ids.shape[1]
    bucket = next((bucket for bucket in details.buckets if bucket >= length), None)
    encode, decode = (signature_name(kind, bucket) for kind in (ENCODE, DECODE))
    values: dict[str, Array] = {}
    if wanted[encode]:
        run = interpreter.get_signature_runner(encode)
        padding = ((0, 0), (0, 0 if bucket is None else bucket - length))
        padded = np.pad(tokens.source_ids, padding, constant_values=config.pad_token_id).astype(np.int32)
        found = [run(**{SOURCE_IDS: ids[None]}) for ids in padded]
        values.update(
            _side_by_side([_encoder_values(wanted[encode], one, count=length, length=length) for one in found])
        )
    if wanted[decode]:
        run = interpreter.get_signature_runner(decode)
        steps = TracedSteps()
        for column in tokens.target_ids.T.astype(np.int32):
            parts = [run(**{TOKENS: part}) for part in ([column] if bucket is None else column[:, None])]
            joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            steps.add(_decoder_values(wanted[decode], joined, len(column), 0))
        values.update(steps.joined())
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


def _encoder_values(
    named: Sequence[NamedTensor], found: Mapping[str, Array], *, count: int, length: int
) -> dict[str, Array]:
    """[1, length, width] of a sentence of `count` tokens, padded with zeros."""
    values: dict[str, Array] = {}
    for one in named:
        array = found[one.name]
        rows = _heads_as_rows(array) if one.layout == "heads" else array.reshape(1, -1, array.shape[-1])
        values.update(_parted(one, np.pad(rows[:, :count], ((0, 0), (0, length - count), (0, 0)))))
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
