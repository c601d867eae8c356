"""Runs a pair of exported graphs: encode a batch, step by one token, keep or reorder rows.

Caches travel as numpy arrays: measured, plain calls beat I/O binding here by about 5 % at batch 1 and tie at 32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnxruntime as ort

from lingolite_cli.decoding.continuations import top_k
from lingolite_onnx.portable.interface import GRAPHS, POSITION
from lingolite_onnx.runner import position_error, require_files, shortlist_error
from lingolite_onnx.session.sessions import open_session

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.artifact import Artifact
    from lingolite_onnx.backend_options import OnnxBackendOptions
    from lingolite_onnx.details import OnnxExportDetails


class PortableState(msgspec.Struct):
    """Where a batch of R rows stands.

    Attributes:
        sources: [R] int64, which source each row has; rows with equal numbers have equal cross-attention.
        source: arrays by input name that stay as they are: `source_mask` and the cross-attention.
        past: arrays by input name that grow with each step.
        position: target tokens read so far.
    """

    sources: IntArray
    source: dict[str, FloatArray | BoolArray]
    past: dict[str, FloatArray]
    position: int


class PortableRunner:
    """Both graphs in ONNX Runtime.

    Args:
        directory: where the graphs and their weights are.
        graph: a key of `GRAPHS`.
        max_seq_len: positions of the rotary tables in the graphs.
        threads: threads inside an operator.
        provider: see `lingolite_onnx.session.sessions.execution_providers`.
        entries: further settings of the sessions.
        open_graph: opens a session otherwise, for traces; the three settings before are then its own business.
    """

    def __init__(
        self,
        directory: Path,
        graph: str = "portable",
        *,
        max_seq_len: int,
        threads: int,
        provider: str = "cpu",
        entries: Mapping[str, str] | None = None,
        open_graph: Callable[[Path], Any] | None = None,
    ) -> None:
        encoder, decoder = GRAPHS[graph]
        self.max_seq_len = max_seq_len
        opener = open_graph or partial(open_session, threads=threads, provider=provider, entries=entries)
        self._encoder, self._decoder = opener(directory / encoder), opener(directory / decoder)
        self._cross = [output.name for output in self._encoder.get_outputs()]
        self._reads_position = any(argument.name == POSITION for argument in self._decoder.get_inputs())
        self._past = [argument for argument in self._decoder.get_inputs() if argument.name.startswith("past_")]

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> PortableState:
        """A state before the first target token; see `lingolite_cli.plugins.interfaces.Backend.encode`.

        Raises:
            LingoLiteError: the sources are longer than the rotary tables.
        """
        rows, length = source_ids.shape
        if length > self.max_seq_len:
            raise position_error(f"a source of {length} tokens", self.max_seq_len)
        cross = self._encoder.run(None, {"source_ids": source_ids, "source_mask": source_mask})
        source = {"source_mask": source_mask, **dict(zip(self._cross, cross, strict=True))}
        past = {argument.name: empty_cache(argument, rows) for argument in self._past}
        return PortableState(np.arange(rows), source, past, 0)

    def step(self, state: PortableState, tokens: IntArray) -> FloatArray:
        """[R, V] float32 logits of the token after `tokens` [R]; advances `state`.

        Raises:
            LingoLiteError: there are as many target tokens as the rotary tables have rows.
        """
        if state.position >= self.max_seq_len:
            raise position_error(f"target token {state.position + 1}", self.max_seq_len)
        logits: FloatArray
        fed = {"tokens": tokens, **state.source, **state.past}
        if self._reads_position:
            fed[POSITION] = np.array([state.position])
        logits, *present = self._decoder.run(None, fed)
        state.past = dict(zip(state.past, present, strict=True))
        state.position += 1
        return logits

    def step_top_k(self, state: PortableState, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """The same, but ids [R, k] and log-probabilities [R, k] of the best tokens; fewer columns when V < k."""
        return top_k(self.step(state, tokens), k)

    def select(self, state: PortableState, rows: IntArray) -> PortableState:
        """A state of the given rows. Beams that change places within a sentence leave its cross-attention alone."""
        sources, source = state.sources[rows], state.source
        if not np.array_equal(sources, state.sources):
            source = {name: array[rows] for name, array in source.items()}
        past = {name: array[rows] for name, array in state.past.items()}
        return PortableState(sources, source, past, state.position)

    def close(self) -> None:
        """Free both sessions."""
        del self._encoder, self._decoder


_REMEDIES = {
    "portable": "export again",
    "optimized": 'export with the option optimize = "onnxruntime"',
    "ort": "export with the option ort = true",
}


def open_portable_runner(
    artifact: Artifact,
    details: OnnxExportDetails,
    options: OnnxBackendOptions,
    *,
    threads: int,
    entries: Mapping[str, str],
) -> PortableRunner:
    """The runner of an artifact of this profile; see `lingolite_onnx.profiles.OpenRunner`.

    Raises:
        LingoLiteError: it lacks the graphs that were asked for, or a shortlist was.
    """
    if options.shortlist:
        raise shortlist_error(artifact)
    graph = options.graph or "portable"
    require_files(artifact, GRAPHS[graph], hint=_REMEDIES[graph])
    return PortableRunner(
        artifact.closed_directory(),
        graph,
        max_seq_len=details.max_seq_len,
        threads=threads,
        provider=options.provider,
        entries=entries,
    )


def empty_cache(argument: ort.NodeArg, rows: int) -> FloatArray:
    """A cache of length 0: the batch comes first, and the other symbolic dimension is the length."""
    _, *rest = argument.shape
    return np.zeros((rows, *(0 if isinstance(size, str) else size for size in rest)), dtype=np.float32)
