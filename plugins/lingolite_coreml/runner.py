"""Drives the two functions sentence by sentence: what the backends have in common.

Owns the state of a batch. Which engine computes is the backend's choice. R rows, S source, V vocabulary.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from lingolite_cli.architecture.architecture import Architecture
from lingolite_cli.architecture.network import decoder_state, source_state
from lingolite_cli.arrays import Array, BoolArray, FloatArray, IntArray
from lingolite_cli.errors import LingoLiteError
from lingolite_coreml.details import CoreMLDetails
from lingolite_coreml.interface import (
    DECODE,
    ENCODE,
    LOGITS,
    POSITION,
    SOURCE_IDS,
    SOURCE_MASK,
    TOKEN,
    kept_shape,
    past_name,
    present_name,
    source_name,
)


class Engine(Protocol):
    """Runs one function of a package."""

    def run(self, inputs: Mapping[str, Array], states: Any) -> Mapping[str, Array]:
        """The outputs, by name. States are changed in place."""

    def new_states(self) -> Any:
        """States before the first call."""

    def copied(self, states: Any) -> Any:
        """States that change by themselves."""


OpenEngine = Callable[[Path, str], Engine]
"""Opens a function of a package: `encode` or `decode`."""


class Row(msgspec.Struct, frozen=True):
    """A sentence and the target tokens that were read of it.

    Attributes:
        source: inputs of the decoder that stay as they are.
        past: inputs that the call before gave; empty where states are the engine's.
        states: the engine's.
        position: target tokens read.
    """

    source: dict[str, Array]
    past: dict[str, Array]
    states: Any
    position: int


class BatchState(msgspec.Struct):
    """The rows of a batch."""

    rows: list[Row]


class Runner:
    """Both functions of an artifact.

    Args:
        directory: of the artifact.
        architecture: of the model.
        details: of the export.
        open_engine: opens a function.
    """

    def __init__(
        self, directory: Path, architecture: Architecture, details: CoreMLDetails, open_engine: OpenEngine
    ) -> None:
        self.max_seq_len = details.max_seq_len
        self._is_fixed = details.shapes == "fixed"
        self._dtype = np.dtype(details.compute)
        encode, decode = (directory / details.packages[name] for name in (ENCODE, DECODE))
        self.encoder: Any = open_engine(encode, ENCODE)
        self.decoder: Any = open_engine(decode, DECODE)
        self._source = [source_name(kept) for kept in source_state(architecture)]
        kept = [] if details.cache == "state" else decoder_state(architecture)
        self._past = {past_name(one): present_name(one) for one in kept}
        self._shapes = {past_name(one): kept_shape(one, details.max_seq_len) for one in kept}

    def over(self, encoder: Engine, decoder: Engine) -> Runner:
        """The same with other engines."""
        made = copy.copy(self)
        made.encoder, made.decoder = encoder, decoder
        return made

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> BatchState:
        """A state before the first target token; see `lingolite_cli.plugins.interfaces.Backend.encode`.

        Raises:
            LingoLiteError: a source is longer than the program's positions.
        """
        longest = int(source_mask.sum(axis=1).max())
        if longest > self.max_seq_len:
            raise _position_error(f"a source of {longest} tokens", self.max_seq_len)
        return BatchState([self.read(ids[mask]) for ids, mask in zip(source_ids, source_mask, strict=True)])

    def read(self, source_ids: IntArray) -> Row:
        """One sentence [S], without padding."""
        given, mask = {SOURCE_IDS: source_ids[None].astype(np.int32)}, {}
        if self._is_fixed:
            given[SOURCE_IDS] = np.zeros((1, self.max_seq_len), np.int32)
            given[SOURCE_IDS][0, : len(source_ids)] = source_ids
            mask = {SOURCE_MASK: (np.arange(self.max_seq_len) < len(source_ids)).astype(self._dtype)[None]}
        found = self.encoder.run({**given, **mask}, self.encoder.new_states())
        return Row(
            source={**mask, **{name: found[name].astype(self._dtype) for name in self._source}},
            past={name: np.zeros(shape, self._dtype) for name, shape in self._shapes.items()},
            states=self.decoder.new_states(),
            position=0,
        )

    def step(self, state: BatchState, tokens: IntArray) -> FloatArray:
        """[R, V] float32 logits of the token after `tokens` [R]; advances `state`.

        Raises:
            LingoLiteError: the target is longer than the program's positions.
        """
        found = [self.advance(row, int(token)) for row, token in zip(state.rows, tokens, strict=True)]
        state.rows = [row for row, _ in found]
        return np.concatenate([outputs[LOGITS] for _, outputs in found]).astype(np.float32, copy=False)

    def advance(self, row: Row, token: int) -> tuple[Row, Mapping[str, Array]]:
        """A row with one more target token, and what the decoder gave."""
        if row.position >= self.max_seq_len:
            raise _position_error(f"target token {row.position + 1}", self.max_seq_len)
        given = {TOKEN: np.array([[token]], np.int32), POSITION: np.array([row.position], np.int32)}
        found = self.decoder.run({**given, **row.source, **row.past}, row.states)
        past = {name: found[present].astype(self._dtype) for name, present in self._past.items()}
        return Row(source=row.source, past=past, states=row.states, position=row.position + 1), found

    def select(self, state: BatchState, rows: IntArray) -> BatchState:
        """A state of the given rows; a row that is there twice goes on twice."""
        taken: set[int] = set()
        chosen = []
        for index in rows.tolist():
            row = state.rows[index]
            if index in taken:
                row = msgspec.structs.replace(row, states=self.decoder.copied(row.states))
            taken.add(index)
            chosen.append(row)
        return BatchState(chosen)

    def close(self) -> None:
        """Free the engines."""
        del self.encoder, self.decoder


def _position_error(what: str, positions: int) -> LingoLiteError:
    return LingoLiteError(
        f"{what} is beyond the {positions} positions of this program",
        hint="export with a larger max_seq_len, or translate shorter texts",
    )
