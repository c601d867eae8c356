"""The backend `chromium`: a page's graphs and scripts in a real browser, so that `eval` and `verify` judge what ships.

Owns the states, and the arrays that go to the page and come back. B batch, S source, R rows, V vocabulary.
"""

from __future__ import annotations

import base64
import queue
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.goldens import Golden, Replayed
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.workers.home_process import HomeProcess
from lingolite_web.browser import PageEngine
from lingolite_web.details import WebDetails, onnx_inside
from lingolite_web.options import ONNX, ChromiumOptions

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.artifact import Artifact


class PageState(msgspec.Struct, weakref=True):
    """A state in the page.

    Attributes:
        number: by which the page knows it.
        rows: how many it has.
        position: target tokens read so far.
    """

    number: int
    rows: int
    position: int


class ChromiumBackend:
    """Runs a page; see `lingolite_cli.plugins.interfaces.Backend`.

    Args:
        artifact: made by the exporter `web`.
        options: the browser.
        threads: of the runtime in the page.

    Attributes:
        max_seq_len: positions that source and target may have.

    Raises:
        LingoLiteError: there is no Chromium, or the page cannot be opened in it.
    """

    def __init__(self, artifact: Artifact, *, options: ChromiumOptions, threads: int) -> None:
        onnx_inside(artifact)
        self._runtime = WebDetails.of(artifact).runtime
        self.max_seq_len = artifact.manifest.model.max_seq_len
        self._engine = PageEngine(artifact.closed_directory(), executable=options.executable, threads=threads)
        self._home = HomeProcess("a browser", engine=self._engine)
        # Finalizers of states put into it, and one may interrupt another: `SimpleQueue.put` is reentrant.
        self._forgotten: queue.SimpleQueue[int] = queue.SimpleQueue()

    @staticmethod
    def arithmetic(artifact: Artifact, bundle: Artifact, options: ChromiumOptions) -> Arithmetic:
        """As the backend of the ONNX files inside has it; see `lingolite_cli.plugins.interfaces.DeclaredBackend`."""
        loaded = load_registry().backend_running(ONNX, None)
        factory: Any = loaded.load_factory()
        found: Arithmetic = factory.arithmetic(onnx_inside(artifact), bundle, loaded.options())
        return found

    @staticmethod
    def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
        """What files say otherwise than the bundle; see `lingolite_cli.plugins.interfaces.DescribedBackend`."""
        from lingolite_web.data import data_differences  # imports the exporter, which running a page does not need

        return data_differences(artifact, bundle)

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> PageState:
        """A state before the first target token.

        Raises:
            LingoLiteError: the sources are longer than the graphs' positions.
        """
        rows, length = source_ids.shape
        self._require_position(length - 1, f"a source of {length} tokens")
        number = self._call("encode", {"ids": source_ids.tolist(), "mask": source_mask.tolist()})
        return self._state(number, rows, 0)

    def step(self, state: PageState, tokens: IntArray) -> FloatArray:
        """[R, V] float32 logits of the next token; advances `state` in place.

        Raises:
            LingoLiteError: the target is longer than the graphs' positions.
        """
        self._require_position(state.position, f"target token {state.position + 1}")
        found = self._call("step", {"state": state.number, "tokens": tokens.tolist()})
        state.position += 1
        logits: FloatArray = np.frombuffer(bytearray(base64.b64decode(found)), dtype="<f4").reshape(state.rows, -1)
        return logits

    def select(self, state: PageState, rows: IntArray) -> PageState:
        """A state of the given rows, in any order, repeats allowed."""
        number = self._call("select", {"state": state.number, "rows": np.asarray(rows).tolist()})
        return self._state(number, len(rows), state.position)

    def replay(self, sources: Sequence[str]) -> Replayed:
        """What the page's own worker makes of each source; see `lingolite_cli.plugins.interfaces.ReplayingBackend`."""
        begin = time.perf_counter()
        found = msgspec.convert(self._call("replay", list(sources)), tuple[Golden, ...])
        seconds = time.perf_counter() - begin
        return Replayed(runtime=f"{self._runtime}, {self._engine.version}", seconds=seconds, sentences=found)

    def close(self) -> None:
        """End the browser."""
        if self._home.is_here:
            self._engine.close()

    def _state(self, number: int, rows: int, position: int) -> PageState:
        state = PageState(number, rows, position)
        weakref.finalize(state, self._forgotten.put, number)
        return state

    def _call(self, method: str, argument: Any) -> Any:
        self._home.require()
        forgotten = []
        with suppress(queue.Empty):
            while True:
                forgotten.append(self._forgotten.get_nowait())
        if forgotten:
            self._engine.call("forget", forgotten)
        return self._engine.call(method, argument)

    def _require_position(self, position: int, what: str) -> None:
        if position >= self.max_seq_len:
            raise LingoLiteError(
                f"{what} lies beyond the {self.max_seq_len} positions of this page", hint="lower --max-length"
            )
