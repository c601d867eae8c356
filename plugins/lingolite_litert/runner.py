"""Runs `model.tflite`: encode sentence by sentence, step a batch by one token, keep or reorder rows.

Owns the interpreter, and what lies in its tensors. The host keeps the cache: the arrays of a state grow by `GROWTH`
positions, and each step adds one row to them. R rows, S source, P past, V vocabulary, k best tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from lingolite_cli.architecture.network import decoder_state
from lingolite_litert.interface import (
    DECODE,
    DISTANCES,
    ENCODE,
    GROWTH,
    LOG_TOTAL,
    LOGITS,
    MASKED,
    POSITION,
    SOURCE_IDS,
    TARGET_MASK,
    TOKENS,
)
from lingolite_litert.state import LitertState, Read, empty_past, encoded_rows, grown, position_error, run, selected

if TYPE_CHECKING:
    from ai_edge_litert.interpreter import Interpreter

    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.arrays import Array, BoolArray, IntArray


T = TypeVar("T")

_SOURCE_STEP = 8
"""Source positions of the decoder are a multiple of it; padding is masked."""


class LitertRunner:
    """Both graphs in one interpreter.

    Several threads may use one runner: one at a time is in the interpreter.

    Args:
        interpreter: over the file.
        config: the architecture of the model.
        max_seq_len: positions of the tables in the graphs.
    """

    def __init__(self, interpreter: Interpreter, config: Architecture, *, max_seq_len: int) -> None:
        self._config, self.max_seq_len = config, max_seq_len
        self._interpreter = interpreter
        decode = self._interpreter.get_signature_runner(DECODE)
        self._inputs = {name: int(one["index"]) for name, one in decode.get_input_details().items()}
        outputs = {name: int(one["index"]) for name, one in decode.get_output_details().items()}
        self._views: dict[str, Callable[[], Array]] = {
            name: self._interpreter.tensor(index) for name, index in {**self._inputs, **outputs}.items()
        }
        self._kept = [(f"past_{kept.name}", f"new_{kept.name}") for kept in decoder_state(config)]
        self._lock = threading.Lock()
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._loaded: LitertState | None = None

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> LitertState:
        """A state before the first target token; see `lingolite_cli.plugins.interfaces.Backend.encode`.

        Raises:
            LingoLiteError: the sources are longer than the tables of positions.
        """
        rows, length = source_ids.shape
        if length > self.max_seq_len:
            raise position_error(f"a source of {length} tokens", self.max_seq_len)
        # Rounded up, so that fewer sentences have a length of their own, for which all tensors are allocated anew.
        rounded = -(-length // _SOURCE_STEP) * _SOURCE_STEP
        source = encoded_rows(self._config, source_ids, source_mask, self.encoded, length=rounded)
        return LitertState(np.arange(rows), source, empty_past(self._config, rows, GROWTH), 0)

    def outputs(self, names: Sequence[str]) -> dict[str, Array]:
        """Copies of outputs of the decoder, for what `advance` is to return."""
        return {name: self._views[name]().copy() for name in names}

    def close(self) -> None:
        """Free the interpreter."""
        self._views.clear()
        del self._interpreter

    def encoded(self, ids: Array) -> dict[str, Array]:
        """Outputs of the encoder for one sentence, from ids [S]."""
        with self._lock:
            return self._encoded(ids[None].astype(np.int32))

    def _encoded(self, ids: Array) -> dict[str, Array]:
        # A signature's runner is gone when the lock is: as long as there is one, the interpreter changes no shapes.
        found: dict[str, Array] = run(self._interpreter.get_signature_runner(ENCODE), **{SOURCE_IDS: ids})
        return found

    def advance(self, state: LitertState, tokens: IntArray, read: Read[T]) -> T:
        """Run one step, and return what `read` makes of the logits [R, V] and their totals, which lie in the
        interpreter.

        Raises:
            LingoLiteError: there are as many target tokens as the tables of positions have rows.
        """
        position = state.position
        if position >= self.max_seq_len:
            raise position_error(f"target token {position + 1}", self.max_seq_len)
        with self._lock:
            if position and position % GROWTH == 0:
                self._sync(state)
                state.past = {name: grown(array, GROWTH) for name, array in state.past.items()}
                self._loaded = None if self._loaded is state else self._loaded
            self._load(state)
            self._set(TOKENS, tokens)
            if POSITION in self._inputs:
                self._set(POSITION, position)
            if DISTANCES in self._inputs:
                self._views[DISTANCES]()[:position] = np.arange(position, 0, -1)
            run(self._interpreter.invoke)
            for past, new in self._kept:
                self._keep(position, past, new)
            if TARGET_MASK in self._inputs:
                self._views[TARGET_MASK]()[..., position] = 0
            state.position += 1
            return read(self._views[LOGITS](), self._views[LOG_TOTAL]())

    def select(self, state: LitertState, rows: IntArray) -> LitertState:
        """A state of the given rows."""
        with self._lock:
            self._sync(state)
        return selected(state, rows)

    def _set(self, name: str, value: Any) -> None:
        self._views[name]()[:] = value

    def _keep(self, position: int, past: str, new: str) -> None:
        """Put what a step computed where the next step reads it."""
        found, view = self._views[new](), self._views[past]()
        if view.ndim == 2:
            view[:] = found
        else:
            view[:, :, position] = found[:, :, 0]

    def _sync(self, state: LitertState) -> None:
        """Bring the arrays of `state` up to date, if the interpreter has been computing on it."""
        if self._loaded is not state:
            return
        for name, array in state.past.items():
            view = self._views[name]()
            if array.ndim == 2:
                array[:] = view
            else:
                array[:, :, state.num_synced : state.position] = view[:, :, state.num_synced : state.position]
        state.num_synced = state.position

    def _load(self, state: LitertState) -> None:
        """Make the interpreter's tensors those of `state`; nothing is copied that lies there already."""
        before = self._loaded
        if before is state:
            return
        if before is not None:
            self._sync(before)
        self._loaded = None  # until all is there
        has_moved = self._resize(state)
        if has_moved or before is None or before.source is not state.source:
            for name, array in state.source.items():
                self._set(name, array)
        for name, array in state.past.items():
            self._set(name, array)
        self._load_positions(state.position)
        self._loaded = state

    def _load_positions(self, position: int) -> None:
        """Positions before this one, and the last, which is this one's, are seen."""
        if TARGET_MASK in self._inputs:
            mask = np.full(self._shapes[TARGET_MASK], MASKED, np.float32)
            mask[..., :position] = mask[..., -1] = 0
            self._set(TARGET_MASK, mask)
        if DISTANCES in self._inputs:
            self._set(DISTANCES, 0)

    def _resize(self, state: LitertState) -> bool:
        """Give the interpreter's tensors the shapes of `state`; whether any has another one than before."""
        shapes = {name: array.shape for name, array in (*state.source.items(), *state.past.items())}
        shapes[TOKENS] = (len(state.sources),)
        capacity = max((shape[2] for name, shape in shapes.items() if name.startswith("past_key")), default=0)
        for name, shape in ((TARGET_MASK, (1, 1, 1, capacity + 1)), (DISTANCES, (capacity + 1,))):
            if name in self._inputs:
                shapes[name] = shape
        if shapes == self._shapes:
            return False
        self._shapes = {}
        for name, shape in shapes.items():
            self._interpreter.resize_tensor_input(self._inputs[name], shape)
        run(self._interpreter.allocate_tensors)
        self._shapes = shapes
        return True
