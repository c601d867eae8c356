"""The backend `litert`: `model.tflite` in LiteRT's interpreter.

Owns what is known when a file is opened: which arithmetic runs here. The graphs are run by
`lingolite_litert.runner` or `lingolite_litert.buckets`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.artifact import Artifact
from lingolite_cli.workers.home_process import HomeProcess
from lingolite_litert.arithmetic import arithmetic_of
from lingolite_litert.details import LitertDetails
from lingolite_litert.interface import MODEL
from lingolite_litert.opening import open_interpreter, require_signatures
from lingolite_litert.options import LitertOptions
from lingolite_litert.probe import diagnosis, warnings_of
from lingolite_litert.running import best_of, runner_of
from lingolite_litert.state import LitertState

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.plugins.interfaces import ForcedTokens, Trace


class LitertBackend:
    """Runs an artifact of format `litert`; see `lingolite_cli.plugins.interfaces.TopKBackend`.

    Args:
        artifact: made by the exporter `litert`.
        options: the delegate.
        threads: inside an operator.

    Attributes:
        warnings: what users must know before they trust results from this machine; empty where all is well.

    Raises:
        LingoLiteError: the runtime cannot open the file, or it is of another model.
    """

    def __init__(self, artifact: Artifact, *, options: LitertOptions, threads: int) -> None:
        details = LitertDetails.of(artifact)
        self._artifact, self._details, self._options = artifact, details, options
        self.warnings = warnings_of(details, options.delegate)
        model, path = artifact.manifest.model, artifact.file(MODEL)
        interpreter = open_interpreter(path, delegate=options.delegate, threads=threads)
        require_signatures(interpreter, model, details.buckets, where=path)
        self._runner = runner_of(interpreter, model, details)
        # An interpreter of one thread has no pool: a fork can use it, and free it.
        self._home = (
            HomeProcess("a LiteRT interpreter of several threads", engine=self._runner) if threads > 1 else None
        )

    @staticmethod
    def diagnose() -> list[str]:
        """What this machine does to int8 files, found out by computing."""
        return [diagnosis()]

    @staticmethod
    def arithmetic(artifact: Artifact, bundle: Artifact, options: LitertOptions) -> Arithmetic:
        """How the file computes; see `lingolite_cli.plugins.interfaces.DeclaredBackend`."""
        return arithmetic_of(LitertDetails.of(artifact), options)

    @staticmethod
    def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
        """What the manifest says otherwise than the bundle; see `lingolite_cli.plugins.interfaces.DescribedBackend`."""
        from lingolite_litert.exporter import data_differences  # who only runs a file needs no schema

        return data_differences(artifact, bundle)

    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        """Values of named operations; see `lingolite_cli.plugins.interfaces.TracingBackend`."""
        # Imported here: who only runs a file needs neither its schema nor a bundle.
        from lingolite_cli.weights.bundle import Weights
        from lingolite_litert.trace import trace_file

        weights = Weights.read(bundle)
        return trace_file(self._artifact, self._details, weights, tokens, delegate=self._options.delegate)

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> LitertState:
        """A state before the first target token.

        Raises:
            LingoLiteError: the sources are longer than the model's positions.
        """
        self._require_home()
        return self._runner.encode(np.asarray(source_ids), np.asarray(source_mask, np.bool_))

    def step(self, state: LitertState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the next token; advances `state` in place.

        Raises:
            LingoLiteError: the target is longer than the model's positions.
        """
        self._require_home()
        return self._runner.advance(state, np.asarray(tokens), lambda logits, _: logits.copy())

    def step_top_k(self, state: LitertState, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """As `step`, but ids [B, k] int64 and log-probabilities [B, k] float32 of the best next tokens.

        Raises:
            LingoLiteError: the target is longer than the model's positions.
        """
        self._require_home()
        return self._runner.advance(state, np.asarray(tokens), lambda logits, log_total: best_of(logits, log_total, k))

    def select(self, state: LitertState, rows: IntArray) -> LitertState:
        """A state of the given rows, in any order, repeats allowed."""
        self._require_home()
        return self._runner.select(state, np.asarray(rows, dtype=np.int64))

    def close(self) -> None:
        """Free the interpreter. A fork leaves one that has a pool of threads alone."""
        if self._home is None or self._home.is_here:
            self._runner.close()

    def _require_home(self) -> None:
        if self._home is not None:
            self._home.require()
