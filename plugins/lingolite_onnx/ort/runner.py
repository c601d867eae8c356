"""Runs the graphs of the optimized profile: buffers are bound once, and each step writes into them.

Owns the sessions and bindings; which row lies where is the business of `lingolite_onnx.ort.buffers`. B batch,
S source, V vocabulary, k candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime as ort

from lingolite_cli.arrays import Array
from lingolite_cli.shortlist.candidates import IMPOSSIBLE
from lingolite_onnx.ort.buffers import FIRST_CAPACITY, Buffers
from lingolite_onnx.portable.runner import position_error
from lingolite_onnx.session.sessions import open_session

if TYPE_CHECKING:
    from lingolite_cli.architecture.architecture import ModelConfig
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.shortlist.candidates import CandidateChooser

ENCODER = "encoder_optimized.onnx"
DECODER = "decoder_optimized.onnx"
BATCH_DECODER = "decoder_optimized_batch.onnx"
WORDS = "words_optimized.onnx"
SHORTLIST_DECODER = "decoder_optimized_shortlist.onnx"
SHORTLIST_BATCH_DECODER = "decoder_optimized_shortlist_batch.onnx"

MANY_ROWS, MANY_WIDE_ROWS = 6, 12
"""From how many rows on the decoder for many rows runs, where there is one: measured, the two are equally fast at 5 or
6 rows with a d_model of 256, and at about 12 with one of 512, where a row of activations has several scales."""

WIDE = 256
"""The largest d_model with one scale a row, see `lingolite_onnx.ort.products.LARGEST_BLOCK`."""

WORD_ROWS, WORD_BIAS = "word_rows", "word_bias"
"""Inputs of the decoders over words: the rows of the projection, and which words are a row's own."""

CHUNK_TOKENS = 256
"""Source tokens, padding included, that are encoded together: enough for products to be as fast as they get, and few
enough that their activations need little memory."""


class BoundStep(msgspec.Struct):
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


class OrtState(msgspec.Struct):
    """Where a batch stands. `step` is None when its buffers have moved since the last one, `words` where all may be
    chosen."""

    buffers: Buffers
    step: BoundStep | None = None
    words: BatchCandidates | None = None


class BatchCandidates(msgspec.Struct, frozen=True):
    """The words that a batch chooses from: `ids` [W] int64, ascending, and `rows` [W, d_model] of the projection."""

    ids: Array
    rows: Array

    @property
    def count(self) -> int:
        """W."""
        return len(self.ids)


class OrtRunner:
    """The encoder, and one or two decoders over the same weights.

    A decoder is opened when a batch first has as many rows as it is for. To open the one for many rows needs several
    times the memory that it has afterwards, for ONNX Runtime turns its matrices. So a large batch opens it before it
    is encoded, and the other decoder is closed first, to be opened again by the next few rows. Both stay open then.

    Args:
        directory: where the graphs and their weights are.
        config: shape of the model.
        max_seq_len: positions of the rotary tables in the graphs.
        threads: threads inside an operator.
        entries: further settings of the sessions.
        chooser: of each source's words; without it all of the vocabulary may be chosen.
    """

    def __init__(
        self,
        directory: Path,
        config: ModelConfig,
        *,
        max_seq_len: int,
        threads: int,
        entries: Mapping[str, str] | None = None,
        chooser: CandidateChooser | None = None,
    ) -> None:
        self.max_seq_len = max_seq_len
        self._config = config
        self._directory = directory
        self._threads = threads
        self._entries = entries
        self._many_rows = MANY_WIDE_ROWS if config.d_model > WIDE else MANY_ROWS
        self._chooser = chooser
        self._decoders = (SHORTLIST_DECODER, SHORTLIST_BATCH_DECODER) if chooser else (DECODER, BATCH_DECODER)
        self._has_batch_decoder = (directory / self._decoders[1]).is_file()
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._source = {argument.name: argument.shape for argument in self._session(ENCODER).get_outputs()}
        self._past_names = tuple(
            f"past_{kind}_{layer}" for layer in range(config.n_decoder_layers) for kind in ("key", "value")
        )
        self._logits = np.empty(0, np.float32)

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> OrtState:
        """A state before the first target token; see `lingolite_cli.plugins.interfaces.Backend.encode`.

        Raises:
            LingoLiteError: the sources are longer than the rotary tables.
        """
        rows, length = source_ids.shape
        if length > self.max_seq_len:
            raise position_error(f"a source of {length} tokens", self.max_seq_len)
        if self._are_many(rows):
            self._session(self._decoders[True])
        source = self._empty_source(rows, length)
        chunks = _chunks(source_mask)
        if len(chunks) == 1:
            self._run_encoder(source_ids, source_mask, source)
        else:
            self._encode_chunks(chunks, source_ids, source_mask, source)
        config, capacity = self._config, min(FIRST_CAPACITY, self.max_seq_len)
        past = np.empty((len(self._past_names), rows, config.n_kv_heads, capacity, config.head_dim), np.float32)
        words = self._choose_words(source_ids, source_mask, source)
        return OrtState(Buffers(np.arange(rows), np.arange(rows), source, past), words=words)

    def step(self, state: OrtState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the token after `tokens` [B]; advances `state`.

        Raises:
            LingoLiteError: there are as many target tokens as the rotary tables have rows.
        """
        logits = self._advance(state, tokens, 1).output("logits")
        if state.words is None:
            return logits
        everywhere = np.full((len(logits), self._config.vocab_size), IMPOSSIBLE, np.float32)
        everywhere[:, state.words.ids] = logits
        return everywhere

    def step_top_k(self, state: OrtState, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """The same, but ids [B, k] and log-probabilities [B, k] of the best tokens; fewer columns when V < k."""
        words = state.words
        step = self._advance(state, tokens, min(k, words.count if words else self._config.vocab_size))
        ids, log_probabilities = step.output("top_ids").copy(), step.output("top_log_probabilities").copy()
        return (ids, log_probabilities) if words is None else self._of_vocabulary(words, ids, log_probabilities, k)

    def select(self, state: OrtState, rows: IntArray) -> OrtState:
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

    def _choose_words(
        self, source_ids: IntArray, source_mask: BoolArray, source: dict[str, Array]
    ) -> BatchCandidates | None:
        """The words of a batch; which are a row's own goes into `source`, as the input of the decoder."""
        if self._chooser is None:
            return None
        words = self._chooser.choose(source_ids, source_mask)
        bias = np.where(words.is_own, np.float32(0), np.float32(IMPOSSIBLE))[:, None]
        source[WORD_BIAS] = np.ascontiguousarray(bias)  # ONNX Runtime binds a copy of what is not contiguous
        (rows,) = self._session(WORDS).run(None, {"words": words.ids})
        return BatchCandidates(words.ids, rows)

    def _of_vocabulary(
        self, words: BatchCandidates, places: IntArray, log_probabilities: FloatArray, k: int
    ) -> tuple[IntArray, FloatArray]:
        """Ids of places [B, k or W]; what was asked for beyond the words is tokens that nothing is given to."""
        ids = words.ids[places]
        num_more = min(k, self._config.vocab_size) - ids.shape[1]
        if num_more <= 0:
            return ids, log_probabilities
        others = np.setdiff1d(np.arange(self._config.vocab_size), words.ids)[:num_more]
        padding = [(0, 0), (0, num_more)]
        impossible = np.pad(log_probabilities, padding, constant_values=np.float32(IMPOSSIBLE))
        return np.concatenate([ids, np.tile(others, (len(ids), 1))], axis=1), impossible

    def _are_many(self, rows: int) -> bool:
        """Whether a batch of so many rows is for the decoder for many."""
        return self._has_batch_decoder and rows >= self._many_rows

    def _session(self, name: str) -> ort.InferenceSession:
        if name not in self._sessions:
            if name == self._decoders[True]:
                self._sessions.pop(self._decoders[False], None)  # a state that is bound to it keeps it alive
            self._sessions[name] = open_session(self._directory / name, threads=self._threads, entries=self._entries)
        return self._sessions[name]

    def _encode_chunks(
        self, chunks: Sequence[_Chunk], source_ids: IntArray, source_mask: BoolArray, source: Mapping[str, Array]
    ) -> None:
        for chunk in chunks:
            part = self._empty_source(len(chunk.rows), chunk.length)
            cut = chunk.rows, slice(chunk.length)
            self._run_encoder(source_ids[cut], source_mask[cut], part)
            for name, array in source.items():
                _, _, height, width = part[name].shape
                array[chunk.rows, :, :height, :width] = part[name]

    def _run_encoder(self, source_ids: IntArray, source_mask: BoolArray, outputs: Mapping[str, Array]) -> None:
        session = self._session(ENCODER)
        binding = session.io_binding()
        binding.bind_cpu_input("source_ids", source_ids)
        binding.bind_cpu_input("source_mask", source_mask)
        for name, array in outputs.items():
            binding.bind_ortvalue_output(name, _value(array))
        session.run_with_iobinding(binding)

    def _empty_source(self, rows: int, length: int) -> dict[str, Array]:
        """Room for what the encoder says of sources, where nothing but padding is said yet."""
        sizes: dict[int | str, int] = {"batch": rows, "source": length}
        arrays = {
            name: np.zeros([sizes.get(size, size) for size in shape], np.float32)
            for name, shape in self._source.items()
        }
        arrays["source_bias"].fill(-np.inf)
        return arrays

    def _advance(self, state: OrtState, tokens: IntArray, k: int) -> BoundStep:
        buffers = state.buffers
        if buffers.length >= self.max_seq_len:
            raise position_error(f"target token {buffers.length + 1}", self.max_seq_len)
        if buffers.length == buffers.capacity:
            buffers.grow(self.max_seq_len)
            state.step = None
        step = state.step
        if step is None or step.outputs["top_ids"].shape[2] != k or step.outputs["logits"].base is not self._logits:
            step = state.step = self._bind(state, k)
        if buffers.num_rows:
            step.run(tokens, buffers.length)
        buffers.length += 1
        return step

    def _bind(self, state: OrtState, k: int) -> BoundStep:
        buffers, words = state.buffers, state.words
        rows = buffers.num_rows
        session = self._session(self._decoders[self._are_many(rows)])
        step = BoundStep(
            session,
            session.io_binding(),
            _small_inputs(rows, k),
            {"logits": self._room_for_logits(rows, words), **_candidates(rows, k)},
            _moved(buffers),
        )
        if not rows:
            return step
        source = {name: array[:rows] for name, array in buffers.source.items()}
        shared = {} if words is None else {WORD_ROWS: words.rows}
        for name, array in {**step.inputs, **source, **shared}.items():
            step.binding.bind_cpu_input(name, array)
        for name, array in step.outputs.items():
            step.binding.bind_ortvalue_output(name, _value(array))
        for name, array in zip(self._past_names, buffers.past, strict=True):
            value = _value(array[:rows])
            step.binding.bind_ortvalue_input(name, value)
            step.binding.bind_ortvalue_output(name.replace("past", "present"), value)
        return step

    def _room_for_logits(self, rows: int, words: BatchCandidates | None) -> Array:
        """[R, 1, V], or [R, 1, W] for words. All batches share it."""
        width = self._config.vocab_size if words is None else words.count
        if len(self._logits) < rows * width:
            self._logits = np.empty(rows * width, np.float32)
        return self._logits[: rows * width].reshape(rows, 1, width)


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


class _Chunk(msgspec.Struct, frozen=True):
    """Rows [R] of a batch of sources that are encoded together, and the length of the longest."""

    rows: IntArray
    length: int


def _chunks(source_mask: BoolArray) -> list[_Chunk]:
    """All rows of source_mask [B, S], those of like length together; as they are where one chunk has room for them."""
    rows, length = source_mask.shape
    if not rows:
        return []
    if rows * length <= CHUNK_TOKENS:
        return [_Chunk(np.arange(rows), length)]
    lengths = np.maximum(source_mask.sum(axis=1), 1)
    chunks: list[_Chunk] = []
    waiting = np.argsort(-lengths, kind="stable")
    while len(waiting):
        longest = int(lengths[waiting[0]])
        taken = max(1, CHUNK_TOKENS // longest)
        chunks.append(_Chunk(waiting[:taken], longest))
        waiting = waiting[taken:]
    return chunks


def _value(array: Array) -> ort.OrtValue:
    """What onnxruntime binds, over the memory of a contiguous array."""
    return ort.OrtValue.ortvalue_from_numpy(array)
