"""The backend: its logits point at the next token of the source. B batch, S source, V vocabulary."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lingolite_cli.artifact import Artifact
from lingolite_echo import EchoOptions


class Copying:
    """Targets of each row, and how many tokens of them were read."""

    def __init__(self, targets: list[list[int]], position: int = 0) -> None:
        self.targets = targets
        self.position = position


class EchoBackend:
    """Repeats its source, whatever the weights are."""

    def __init__(self, artifact: Artifact, *, options: EchoOptions, threads: int) -> None:
        self._vocab_size = artifact.manifest.model.vocab_size
        described = artifact.manifest.tokenizer_description
        self._end = described.ids.end
        self._framing = len(described.frame.source_prefix), len(described.frame.source_suffix)
        self._skip_every = options.skip_every
        self._suffix = options.suffix
        self._is_fatal = options.fatal
        self._options = options
        if not options.gate_length:
            self._pass_gate()

    def _pass_gate(self) -> None:
        if self._options.gate is not None:
            sys.stderr.write("waiting at the gate\n")  # in one piece, for several workers may write at once
            sys.stderr.flush()
            Path(self._options.gate).read_bytes()

    def encode(self, source_ids: npt.NDArray[np.int64], source_mask: npt.NDArray[np.bool_]) -> Copying:
        """Remember what is to be repeated."""
        if self._is_fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        framing = sum(self._framing)
        for length in (source_mask.sum(axis=1) - framing).tolist():
            self._meet(length)
        return Copying([self._target(ids[mask].tolist()) for ids, mask in zip(source_ids, source_mask, strict=True)])

    def _meet(self, length: int) -> None:
        options = self._options
        if length == options.fatal_length:
            os.kill(os.getpid(), signal.SIGKILL)
        if length == options.failing_length:
            raise ValueError(f"a sentence of {length} tokens")
        if length == options.gate_length:
            self._pass_gate()

    def step(self, state: Copying, tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """[B, V] logits: 10 for the token that is due, 0 for all others."""
        logits = np.zeros((len(tokens), self._vocab_size), np.float32)
        for row, target in enumerate(state.targets):
            logits[row, target[state.position] if state.position < len(target) else self._end] = 10.0
        state.position += 1
        return logits

    def select(self, state: Copying, rows: npt.NDArray[np.int64]) -> Copying:
        """Keep, drop, reorder or repeat rows."""
        return Copying([state.targets[row] for row in rows.tolist()], state.position)

    def close(self) -> None:
        """Nothing is held."""

    def _target(self, ids: list[int]) -> list[int]:
        before, after = self._framing
        body = [*ids[before : len(ids) - after], *self._suffix]
        if not self._skip_every:
            return body
        return [id for number, id in enumerate(body, start=1) if number % self._skip_every]
