"""Runs files of fixed shapes: a pair of signatures for each of a few lengths, one row at a time.

Owns which bucket a batch is in. Such files are for delegates that take no other shapes; here they are run to be
checked, and speed does not matter. R rows, S source, n the length of a bucket, V vocabulary.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from lingolite_cli.architecture.network import decoder_state
from lingolite_litert.interface import (
    DECODE,
    DISTANCES,
    ENCODE,
    LOG_TOTAL,
    LOGITS,
    MASKED,
    POSITION,
    SOURCE_IDS,
    SOURCE_MASK,
    TARGET_MASK,
    TOKENS,
    decode_signature,
    signature_name,
)
from lingolite_litert.state import LitertState, Read, empty_past, encoded_rows, grown, position_error, run, selected

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.arrays import Array, BoolArray, IntArray


T = TypeVar("T")


class BucketRunner:
    """All pairs of graphs in one interpreter; methods are those of `lingolite_litert.runner.LitertRunner`.

    Args:
        interpreter: over the file.
        config: the architecture of the model.
        buckets: lengths, from the shortest to the positions of the model.
    """

    def __init__(self, interpreter: Interpreter, config: Architecture, *, buckets: Sequence[int]) -> None:
        self._interpreter, self._config, self._buckets = interpreter, config, tuple(buckets)
        self._inputs = {port.name for port in decode_signature(config).inputs}
        self._grows = all(kept.kind != "cell" for kept in decoder_state(config))
        self._found: dict[str, Array] = {}
        self._lock = threading.Lock()

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> LitertState:
        """A state before the first target token.

        Raises:
            LingoLiteError: the sources are longer than the longest bucket.
        """
        rows, length = source_ids.shape
        if length > self._buckets[-1]:
            raise position_error(f"a source of {length} tokens", self._buckets[-1])
        bucket = self._fitting(length)
        source = encoded_rows(
            self._config, source_ids, source_mask, lambda ids: self._encoded(ids, bucket), length=bucket
        )
        return LitertState(np.arange(rows), source, empty_past(self._config, rows, bucket), 0)

    def encoded(self, ids: IntArray) -> dict[str, Array]:
        """Outputs of the encoder for one sentence, from ids [S], in its bucket."""
        return self._encoded(ids, self._fitting(len(ids)))

    def advance(self, state: LitertState, tokens: IntArray, read: Read[T]) -> T:
        """Run one step, row by row, and return what `read` makes of the logits [R, V] and their
        totals.

        Raises:
            LingoLiteError: there are as many target tokens as the longest bucket has positions.
        """
        position = state.position
        if position >= self._buckets[-1]:
            raise position_error(f"target token {position + 1}", self._buckets[-1])
        if self._grows and position == _bucket_of(state):
            self._grow(state)
        with self._lock:
            decode = self._interpreter.get_signature_runner(signature_name(DECODE, _bucket_of(state)))
            rows = [run(decode, **self._fed(state, row, token)) for row, token in enumerate(tokens)]
            self._found = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
            for kept in decoder_state(self._config):
                array, found = state.past[f"past_{kept.name}"], self._found[f"new_{kept.name}"]
                if kept.kind == "cell":
                    array[:] = found
                else:
                    array[:, :, position] = found[:, :, 0]
            state.position = state.num_synced = position + 1
            return read(self._found[LOGITS], self._found[LOG_TOTAL])

    def select(self, state: LitertState, rows: IntArray) -> LitertState:
        """A state of the given rows."""
        return selected(state, rows)

    def outputs(self, names: Sequence[str]) -> dict[str, Array]:
        """Outputs of the decoder, for what `advance` is to return."""
        return {name: self._found[name] for name in names}

    def close(self) -> None:
        """Free the interpreter."""
        del self._interpreter

    def _fitting(self, length: int) -> int:
        return next(bucket for bucket in self._buckets if bucket >= length)

    def _encoded(self, ids: IntArray, bucket: int) -> dict[str, Array]:
        padded = np.full((1, bucket), self._config.pad_token_id, np.int32)
        hidden = np.full((1, 1, 1, bucket), MASKED, np.float32)
        padded[:, : len(ids)], hidden[..., : len(ids)] = ids, 0
        with self._lock:
            encode = self._interpreter.get_signature_runner(signature_name(ENCODE, bucket))
            found: dict[str, Array] = run(encode, **{SOURCE_IDS: padded, SOURCE_MASK: hidden})
            return found

    def _fed(self, state: LitertState, row: int, token: int) -> dict[str, Array]:
        """The decoder's inputs for one row."""
        position, bucket = state.position, _bucket_of(state)
        fed = {name: array[row : row + 1] for name, array in (*state.source.items(), *state.past.items())}
        fed[TOKENS] = np.array([token], np.int32)
        if POSITION in self._inputs:
            fed[POSITION] = np.array([position], np.int32)
        if DISTANCES in self._inputs:
            fed[DISTANCES] = np.append(np.maximum(position - np.arange(bucket), 0), 0).astype(np.int32)
        if TARGET_MASK in self._inputs:
            fed[TARGET_MASK] = np.full((1, 1, 1, bucket + 1), MASKED, np.float32)
            fed[TARGET_MASK][..., :position] = fed[TARGET_MASK][..., -1] = 0
        return fed

    def _grow(self, state: LitertState) -> None:
        """Go over to the next bucket."""
        bucket = _bucket_of(state)
        more = self._fitting(bucket + 1) - bucket
        mask = np.pad(state.source[SOURCE_MASK], ((0, 0), (0, 0), (0, 0), (0, more)), constant_values=MASKED)
        source = {name: grown(array, more) for name, array in state.source.items() if name != SOURCE_MASK}
        state.source = {SOURCE_MASK: mask, **source}
        state.past = {name: grown(array, more) for name, array in state.past.items()}


def _bucket_of(state: LitertState) -> int:
    return int(state.source[SOURCE_MASK].shape[-1])
