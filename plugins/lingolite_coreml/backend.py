"""The backends `coreml-reference`, which computes the saved program in numpy, and `coreml`, which asks Core ML.

Owns both, which differ in the engine alone. B batch, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.artifact import Artifact
from lingolite_cli.workers.home_process import HomeProcess
from lingolite_coreml.described import DescribedProgram
from lingolite_coreml.details import CoreMLDetails
from lingolite_coreml.engines import open_core_ml, open_reference
from lingolite_coreml.options import CoreMLBackendOptions
from lingolite_coreml.runner import BatchState, Runner
from lingolite_coreml.trace import trace_program

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.plugins.interfaces import ForcedTokens, Trace
    from lingolite_cli.plugins.specs import NoOptions


class _ProgramBackend(DescribedProgram):
    """What both do; see `lingolite_cli.plugins.interfaces.Backend`.

    Attributes:
        max_seq_len: positions that source and target may have, perhaps fewer than the model's.
    """

    _runner: Runner
    max_seq_len: int

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> BatchState:
        """A state before the first target token.

        Raises:
            LingoLiteError: the sources are longer than the program's positions.
        """
        return self._runner.encode(source_ids, source_mask)

    def step(self, state: BatchState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the next token; advances `state` in place.

        Raises:
            LingoLiteError: the target is longer than the program's positions.
        """
        return self._runner.step(state, tokens)

    def select(self, state: BatchState, rows: IntArray) -> BatchState:
        """A state of the given rows, in any order, repeats allowed."""
        return self._runner.select(state, np.asarray(rows, dtype=np.int64))

    def close(self) -> None:
        """Free the program."""
        self._runner.close()


class CoreMLReferenceBackend(_ProgramBackend):
    """Runs an artifact of format `coreml` anywhere.

    Args:
        artifact: made by the exporter `coreml`.
        options: empty.
        threads: ignored; numpy uses its own.

    Raises:
        LingoLiteError: a package is damaged.
    """

    def __init__(self, artifact: Artifact, *, options: NoOptions, threads: int) -> None:
        details = CoreMLDetails.of(artifact)
        self._architecture, self._compute = artifact.manifest.model, details.compute
        self.max_seq_len = details.max_seq_len
        self._runner = Runner(
            artifact.closed_directory(), self._architecture, details, open_reference(details, self._architecture)
        )

    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        """Values of named operations; see `lingolite_cli.plugins.interfaces.TracingBackend`."""
        return trace_program(self._runner, self._architecture, tokens, compute=self._compute)


class CoreMLBackend(_ProgramBackend):
    """Runs an artifact of format `coreml` in Core ML, on macOS.

    Args:
        artifact: made by the exporter `coreml`.
        options: which processors may be used.
        threads: ignored; Core ML uses its own.
    """

    def __init__(self, artifact: Artifact, *, options: CoreMLBackendOptions, threads: int) -> None:
        details = CoreMLDetails.of(artifact)
        self.max_seq_len = details.max_seq_len
        open_engine = open_core_ml(options, details, artifact.manifest.model)
        self._runner = Runner(artifact.closed_directory(), artifact.manifest.model, details, open_engine)
        self._home = HomeProcess("a Core ML model", engine=self._runner)

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> BatchState:
        """A state before the first target token.

        Raises:
            LingoLiteError: the sources are too long, or this process is a fork of the one that opened the model.
        """
        self._home.require()
        return super().encode(source_ids, source_mask)

    def step(self, state: BatchState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the next token; advances `state` in place.

        Raises:
            LingoLiteError: the target is too long, or this process is a fork of the one that opened the model.
        """
        self._home.require()
        return super().step(state, tokens)
