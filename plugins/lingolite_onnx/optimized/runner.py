"""Runs the graphs of the optimized profile: buffers are bound once, and each step writes into them.

Owns the sessions and bindings; which row lies where is the business of `lingolite_onnx.optimized.buffers`. B batch,
S source, V vocabulary, k candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime as ort

from lingolite_onnx.optimized.buffers import FIRST_CAPACITY, Buffers
from lingolite_onnx.runner import position_error
from lingolite_onnx.sessions import open_session
from lingolite_onnx.weights import Array

if TYPE_CHECKING:
    from lingolite_cli.architecture import ModelConfig
    from lingolite_cli.plugins.interfaces import BoolArray, FloatArray, IntArray

ENCODER = "encoder_optimized.onnx"
DECODER = "decoder_optimized.onnx"
BATCH_DECODER = "decoder_optimized_batch.onnx"

MANY_ROWS = 8
"""From how many rows on the decoder for many rows runs, where there is one. Measured, the two are equally fast at 6
rows with a d_model of 256, and at 12 with one of 512."""


class Step(msgspec.Struct):
    """A decoder's binding to the memory of a batch.

    Attributes:
        inputs: arrays by name that change from step to step, or are small.
        outputs: arrays by name, [R, 1, …].
        slots: [R] where each row lies; None when row i lies in slot i.
    """

    session: ort.InferenceSession
    binding: ort.IOBinding
    inputs: dict[str, Array]
    outputs: dict[str, Array]
    slots: Array | None

    def run(self, tokens: IntArray, length: int) -> None:
        """Read `tokens` [R], one a row, at position `length`."""
        self.inputs["tokens"][slice(None) if self.slots is None else self.slots, 0] = tokens
        self.inputs["past_lengths"].fill(length)
        self.inputs["total_length"].fill(length + 1)
        self.session.run_with_iobinding(self.binding)

    def output(self, name: str) -> Array:
        """An output by row, [R, …]."""
        array = self.outputs[name][:, 0]
        return array if self.slots is None else array[self.slots]


class State(msgspec.Struct):
    """Where a batch stands. `step` is None when its buffers have moved since the last one."""

    buffers: Buffers
    step: Step | None = None


class OptimizedRunner:
    """The encoder, and one or two decoders over the same weights.

    A decoder is opened when a batch first has as many rows as it is for.

    Args:
        directory: where the graphs and their weights are.
        config: shape of the model.
        max_seq_len: positions of the rotary tables in the graphs.
        threads: threads inside an operator.
    """

    def __init__(self, directory: Path, config: ModelConfig, *, max_seq_len: int, threads: int) -> None:
        self.max_seq_len = max_seq_len
        self._config = config
        self._directory = directory
        self._threads = threads
        self._has_batch_decoder = (directory / BATCH_DECODER).is_file()
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._source = {argument.name: argument.shape for argument in self._session(ENCODER).get_outputs()}
        self._past_names = tuple(
            f"past_{kind}_{layer}" for layer in range(config.n_decoder_layers) for kind in ("key", "value")
        )
        self._logits = np.empty((0, 1, config.vocab_size), np.float32)

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> State:
        """A state before the first target token; see `lingolite_cli.plugins.interfaces.Backend.encode`.

        Raises:
            LingoLiteError: the sources are longer than the rotary tables.
        """
        rows, length = source_ids.shape
        if length > self.max_seq_len:
            raise position_error(f"a source of {length} tokens", self.max_seq_len)
        source = _arrays(self._source, {"batch": rows, "source": length})
        if rows:
            self._run_encoder({"source_ids": source_ids, "source_mask": source_mask}, source)
        config, capacity = self._config, min(FIRST_CAPACITY, self.max_seq_len)
        past = np.empty((len(self._past_names), rows, config.n_kv_heads, capacity, config.head_dim), np.float32)
        return State(Buffers(np.arange(rows), np.arange(rows), source, past))

    def step(self, state: State, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the token after `tokens` [B]; advances `state`.

        Raises:
            LingoLiteError: there are as many target tokens as the rotary tables have rows.
        """
        return self._advance(state, tokens, 1).output("logits")

    def step_top_k(self, state: State, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """The same, but ids [B, k] and log-probabilities [B, k] of the best tokens; fewer columns when V < k."""
        step = self._advance(state, tokens, min(k, self._config.vocab_size))
        return step.output("top_ids").copy(), step.output("top_log_probabilities").copy()

    def select(self, state: State, rows: IntArray) -> State:
        """The state with the given rows. As many as before lie in the memory that is bound already."""
        was_bound = state.buffers.num_rows
        state.buffers.select(rows)
        if state.step is not None and len(rows) == was_bound:
            state.step.slots = _moved(state.buffers)
        else:
            state.step = None
        return state

    def close(self) -> None:
        """Free all sessions."""
        self._sessions.clear()

    def _session(self, name: str) -> ort.InferenceSession:
        if name not in self._sessions:
            self._sessions[name] = open_session(self._directory / name, threads=self._threads)
        return self._sessions[name]

    def _run_encoder(self, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        session = self._session(ENCODER)
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, _value(array))
        session.run_with_iobinding(binding)

    def _advance(self, state: State, tokens: IntArray, k: int) -> Step:
        buffers = state.buffers
        if buffers.length >= self.max_seq_len:
            raise position_error(f"target token {buffers.length + 1}", self.max_seq_len)
        if buffers.length == buffers.capacity:
            buffers.grow(self.max_seq_len)
            state.step = None
        step = state.step
        if step is None or step.outputs["top_ids"].shape[2] != k or step.outputs["logits"].base is not self._logits:
            step = state.step = self._bind(buffers, k)
        if buffers.num_rows:
            step.run(tokens, buffers.length)
        buffers.length += 1
        return step

    def _bind(self, buffers: Buffers, k: int) -> Step:
        rows = buffers.num_rows
        is_many = self._has_batch_decoder and rows >= MANY_ROWS
        session = self._session(BATCH_DECODER if is_many else DECODER)
        step = Step(
            session,
            session.io_binding(),
            _small_inputs(rows, k),
            {"logits": self._room_for_logits(rows), **_candidates(rows, k)},
            _moved(buffers),
        )
        if not rows:
            return step
        source = {name: array[:rows] for name, array in buffers.source.items()}
        for name, array in {**step.inputs, **source}.items():
            step.binding.bind_cpu_input(name, array)
        for name, array in step.outputs.items():
            step.binding.bind_ortvalue_output(name, _value(array))
        for name, array in zip(self._past_names, buffers.past, strict=True):
            value = _value(array[:rows])
            step.binding.bind_ortvalue_input(name, value)
            step.binding.bind_ortvalue_output(name.replace("past", "present"), value)
        return step

    def _room_for_logits(self, rows: int) -> Array:
        """All batches share it."""
        if len(self._logits) < rows:
            self._logits = np.empty((rows, 1, self._config.vocab_size), np.float32)
        return self._logits[:rows]


def _moved(buffers: Buffers) -> Array | None:
    """The slot of each row; None when row i lies in slot i."""
    return None if buffers.is_in_order else buffers.slots


def _small_inputs(rows: int, k: int) -> dict[str, Array]:
    return {
        "tokens": np.empty((rows, 1), np.int64),
        "past_lengths": np.empty(rows, np.int32),
        "total_length": np.empty((), np.int32),
        "k": np.array([k]),
    }


def _candidates(rows: int, k: int) -> dict[str, Array]:
    return {
        "top_ids": np.empty((rows, 1, k), np.int64),
        "top_log_probabilities": np.empty((rows, 1, k), np.float32),
    }


def _arrays(shapes: Mapping[str, list[int | str]], sizes: Mapping[str, int]) -> dict[str, Array]:
    """float32 arrays with the symbolic dimensions filled in; their contents are whatever was there."""
    return {
        name: np.empty([sizes[size] if isinstance(size, str) else size for size in shape], np.float32)
        for name, shape in shapes.items()
    }


def _value(array: Array) -> ort.OrtValue:
    """What onnxruntime binds, over the memory of a contiguous array."""
    return ort.OrtValue.ortvalue_from_numpy(array)
