"""The backend `onnx`: exported graphs in ONNX Runtime.

Owns what is the same for every profile: the probe of the processor, threads and pages. The graphs are run by the
runner of their profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.artifact import Artifact
from lingolite_cli.workers.home_process import HomeProcess
from lingolite_onnx.backend_options import OnnxBackendOptions
from lingolite_onnx.details import OnnxExportDetails
from lingolite_onnx.profiles import PROFILES
from lingolite_onnx.session.affinity import PinnedThread, check_cores, pool_entries
from lingolite_onnx.session.huge_pages import HugePages
from lingolite_onnx.session.saturation import int8_is_exact
from lingolite_onnx.session.sessions import execution_providers

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.plugins.interfaces import ForcedTokens, State, Trace


class OnnxBackend:
    """Runs an artifact of format `onnx`; see `lingolite_cli.plugins.interfaces.Backend`.

    Args:
        artifact: made by the exporter `onnx`.
        options: provider, graph, processors and pages.
        threads: threads inside an operator.

    Attributes:
        warnings: what users must know before they trust results from this machine; empty where all is well.
        max_seq_len: positions that source and target may have, perhaps fewer than the model's.

    Raises:
        LingoLiteError: the provider is not available, the artifact lacks the graph or the shortlist that was asked
            for, or threads cannot run on the given cores.
    """

    def __init__(self, artifact: Artifact, *, options: OnnxBackendOptions, threads: int) -> None:
        # Pages of what the process had before are left alone, so this comes before any graph is opened.
        self._huge_pages = HugePages() if options.huge_pages else None
        execution_providers(options.provider)  # an unknown one is refused before anything is computed
        details = OnnxExportDetails.of(artifact)
        self._artifact, self._details, self._options = artifact, details, options
        self.max_seq_len = details.max_seq_len
        if options.cores:
            check_cores(options.cores, threads=threads)
        probe = int8_is_exact(threads) if details.weights == "int8" else None
        self.warnings = [probe.warning] if probe and probe.warning else []
        entries = {**(probe.entries if probe else {}), **pool_entries(options.cores)}
        self._entries = dict(probe.entries) if probe else {}
        open_runner = PROFILES[details.profile].open_runner
        self._runner = open_runner(artifact, details, options, threads=threads, entries=entries)
        # A session of one thread has no pool: a fork can use it, and free it.
        is_pooled = threads > 1
        what = "an ONNX Runtime session of several threads"
        self._home = HomeProcess(what, engine=self._runner) if is_pooled else None
        self._pinned = PinnedThread(options.cores[0]) if options.cores else None

    @staticmethod
    def diagnose() -> list[str]:
        """What this machine does to int8 graphs, found out by computing."""
        return [int8_is_exact(1).warning or "MatMulInteger is exact on this CPU, so int8 graphs can be measured here"]

    @staticmethod
    def arithmetic(artifact: Artifact, bundle: Artifact, options: OnnxBackendOptions) -> Arithmetic:
        """How the graphs compute; see `lingolite_cli.plugins.interfaces.DeclaredBackend`."""
        from lingolite_cli.weights.bundle import Weights  # as in `trace`: who only runs graphs reads no bundle

        details = OnnxExportDetails.of(artifact)
        return PROFILES[details.profile].arithmetic(details, Weights.read(bundle), options)

    @staticmethod
    def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
        """What files say otherwise than the bundle; see `lingolite_cli.plugins.interfaces.DescribedBackend`."""
        from lingolite_onnx.data import data_differences

        return data_differences(artifact, bundle)

    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        """Values of named operations; see `lingolite_cli.plugins.interfaces.TracingBackend`."""
        from lingolite_cli.weights.bundle import Weights

        trace = PROFILES[self._details.profile].trace_graphs
        weights = Weights.read(bundle)
        return trace(self._artifact, self._details, self._options, weights, tokens, entries=self._entries)

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> State:
        """A state before the first target token.

        Raises:
            LingoLiteError: the sources are longer than the graphs' positions.
        """
        self._require_home()
        ids = np.ascontiguousarray(source_ids, dtype=np.int64)
        return self._runner.encode(ids, np.ascontiguousarray(source_mask, dtype=np.bool_))

    def step(self, state: State, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the next token; advances `state` in place.

        Raises:
            LingoLiteError: the target is longer than the graphs' positions.
        """
        self._require_home()
        logits = self._runner.step(state, np.ascontiguousarray(tokens, dtype=np.int64))
        self._count(tokens)
        return logits

    def step_top_k(self, state: State, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """As `step`, but ids [B, k] int64 and log-probabilities [B, k] float32 of the best next tokens.

        Raises:
            LingoLiteError: the target is longer than the graphs' positions.
        """
        self._require_home()
        best = self._runner.step_top_k(state, np.ascontiguousarray(tokens, dtype=np.int64), k)
        self._count(tokens)
        return best

    def select(self, state: State, rows: IntArray) -> State:
        """A state of the given rows, in any order, repeats allowed."""
        self._require_home()
        return self._runner.select(state, np.asarray(rows, dtype=np.int64))

    def close(self) -> None:
        """Free all sessions, and the thread. A fork leaves sessions that have a pool of threads alone."""
        if self._home is None or self._home.is_here:
            self._runner.close()
        if self._pinned is not None:
            self._pinned.release()

    def _require_home(self) -> None:
        if self._home is not None:
            self._home.require()

    def _count(self, tokens: IntArray) -> None:
        if self._huge_pages is not None:
            self._huge_pages.count(len(tokens))
