"""Values of named operations in a saved program.

The functions are driven by the backend's own runner, sentence by sentence, so that caches travel as in a translation.
B batch, S source, T target.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.recording import KEY_CACHE, SUM, VALUE_CACHE, record
from lingolite_cli.arrays import Array
from lingolite_cli.plugins.interfaces import ForcedTokens, Trace
from lingolite_coreml.engines import ReferenceEngine
from lingolite_coreml.interface import SOURCE_IDS, TOKEN, operation_names
from lingolite_coreml.options import Compute
from lingolite_coreml.runner import Row, Runner

_CACHES = (KEY_CACHE, VALUE_CACHE)


class _Tracing(ReferenceEngine):
    """An engine that keeps the values of its last run."""

    def __init__(self, engine: ReferenceEngine) -> None:
        super().__init__(engine.interpreter)
        self.values: Mapping[str, Array] = {}

    def run(self, inputs: Mapping[str, Array], states: dict[str, Array]) -> Mapping[str, Array]:
        """As of `ReferenceEngine`; the values are kept."""
        self.values = super().run(inputs, states)
        return self.values


def trace_program(runner: Runner, architecture: Architecture, tokens: ForcedTokens, *, compute: Compute) -> list[Trace]:
    """The values of all operations, or of those that are wanted, which need no cache.

    Residual sums in float16 are not shown. They are compared by what a block adds to them, and are rounded by their own
    size, which may be a hundred times that: on the starter model 0.04 of it. The norm after a sum shows whether it is
    right.
    """
    names = operation_names(architecture)
    if compute == "float16":
        names = {value: name for value, name in names.items() if not name.endswith(SUM)}
    if tokens.operations is not None:
        wanted = {value: name for value, name in names.items() if name in tokens.operations}
        return [Trace(part="program", values=_single(runner, wanted, tokens))]
    reads_source = {name for name, operation in record(architecture).operations.items() if operation.reads_source}
    encoder, decoder = _Tracing(runner.encoder), _Tracing(runner.decoder)
    traced = runner.over(encoder, decoder)
    found = []
    for ids, mask, target in zip(tokens.source_ids, tokens.source_mask, tokens.target_ids, strict=True):
        row = traced.read(ids[mask])
        own = _named(encoder.values, names)
        own = {name: values[:, : mask.sum()] for name, values in own.items() if name in reads_source}
        found.append({**own, **_decoded(traced, row, target, names, decoder, reads_source)})
    return [Trace(part="program", values=_padded(found, tokens, reads_source))]


def _decoded(
    runner: Runner,
    row: Row,
    target: Array,
    names: Mapping[str, str],
    decoder: _Tracing,
    reads_source: set[str],
) -> dict[str, Array]:
    """Values [1, T, width] of the decoder; of caches what attention reads at the last step."""
    own = {value: name for value, name in names.items() if name not in reads_source}
    # A cache has as many rows as there are positions, at every step: all of them would be a square.
    caches = {value: name for value, name in own.items() if name.endswith(_CACHES)}
    others = {value: name for value, name in own.items() if value not in caches}
    steps: list[dict[str, Array]] = []
    for token in target.tolist():
        row, _ = runner.advance(row, token)
        steps.append(_named(decoder.values, others))
    found = {name: np.concatenate([step[name] for step in steps], axis=1) for name in steps[-1]}
    return {**found, **{name: rows[:, : len(target)] for name, rows in _named(decoder.values, caches).items()}}


def _single(runner: Runner, wanted: Mapping[str, str], tokens: ForcedTokens) -> dict[str, Array]:
    """The wanted operations alone: those of the encoder, and those of the decoder that read no cache."""
    values: dict[str, Array] = {}
    for engine, name, ids in (
        (runner.encoder, SOURCE_IDS, tokens.source_ids),
        (runner.decoder, TOKEN, tokens.target_ids),
    ):
        own = {value: named for value, named in wanted.items() if engine.interpreter.gives(value)}
        if not own:
            continue
        # Operations without a cache have no other tokens to look at, so that a call may have any number of them.
        rows = [engine.interpreter.run({name: row[None].astype(np.int32)}, {}, wanted=own.keys()) for row in ids]
        for value, named in own.items():
            values[named] = np.concatenate([_as_rows(row[value]) for row in rows])
    return values


def _named(values: Mapping[str, Array], names: Mapping[str, str]) -> dict[str, Array]:
    return {name: _as_rows(values[value]) for value, name in names.items() if value in values}


def _as_rows(values: Array) -> Array:
    """[1, T, width] float32, heads side by side."""
    if values.ndim == 4:
        values = values.transpose(0, 2, 1, 3).reshape(1, values.shape[2], -1)
    rows: Array = values.reshape(1, -1, values.shape[-1]).astype(np.float32)
    return rows


def _padded(rows: list[dict[str, Array]], tokens: ForcedTokens, reads_source: set[str]) -> dict[str, Array]:
    """[B, S or T, width]; padding of sources is zero."""
    joined: dict[str, Array] = {}
    for name in rows[0]:
        length = tokens.source_ids.shape[1] if name in reads_source else tokens.target_ids.shape[1]
        joined[name] = np.zeros((len(rows), length, rows[0][name].shape[-1]), np.float32)
        for index, row in enumerate(rows):
            joined[name][index, : row[name].shape[1]] = row[name][0]
    return joined
