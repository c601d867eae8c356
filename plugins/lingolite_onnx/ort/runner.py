"""Runs the graphs of the ORT profile: memory is bound once, and each step writes into it.

Several threads may use one runner: all that a step writes belongs to its state, and sessions are opened under a lock.

Owns the sessions and which of two decoders runs a batch. Parts are modules of their own: the encoder's chunks
(`encoding`), what is bound (`binding`), which row lies where (`buffers`), and candidate tokens (`candidates`). B batch,
S source, V vocabulary, N candidate tokens of a row, k best tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime as ort

from lingolite_cli.architecture.network import decoder_state
from lingolite_cli.arrays import Array
from lingolite_cli.artifact import SHORTLIST_NAME
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.candidates import DirectedChooser
from lingolite_cli.shortlist.shortlist import read_shortlist
from lingolite_cli.tokenization.opening import open_tokenizer
from lingolite_onnx.ort.binding import BoundStep, bind_step
from lingolite_onnx.ort.buffers import FIRST_CAPACITY, Buffers
from lingolite_onnx.ort.candidates import as_signed, join_candidates, logits_of_vocabulary, with_impossible_tokens
from lingolite_onnx.ort.encoding import SourceEncoder
from lingolite_onnx.ort.interface import (
    BATCH_DECODER,
    CANDIDATE_LOOKUP,
    CANDIDATE_PLACES,
    CANDIDATE_ROWS,
    CANDIDATES,
    DECODER,
    ENCODER,
    IS_CANDIDATE,
    JOINT_CANDIDATES,
    SHORTLIST_BATCH_DECODER,
    SHORTLIST_DECODER,
    TOP_IDS,
    TOP_LOG_PROBABILITIES,
)
from lingolite_onnx.runner import position_error, require_files, shortlist_error
from lingolite_onnx.session.saturation import asks_for_precision
from lingolite_onnx.session.sessions import CPU, execution_providers, open_session

if TYPE_CHECKING:
    from lingolite_cli.architecture.architecture import Architecture
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.shortlist.candidates import CandidateChooser, Candidates
    from lingolite_onnx.backend_options import OnnxBackendOptions
    from lingolite_onnx.details import OnnxExportDetails

MANY_ROWS, MANY_WIDE_ROWS = 6, 12
"""From how many rows on the decoder for many rows runs, where there is one: measured, the two are equally fast at 5 or
6 rows with a d_model of 256, and at about 12 with one of 512, where a row of activations has several scales."""

WIDE = 256
"""The largest d_model with one scale a row, because `MatMulNBits` rounds at most 256 activations together."""


class OrtState(msgspec.Struct):
    """Where a batch stands.

    Attributes:
        buffers: its memory.
        logits: where its steps write, V or N floats a row and perhaps more; nobody reads it when k are asked for.
        step: a decoder bound to that; None when buffers have moved since the last step.
        chosen: the candidate tokens of each sentence; None where any token may be chosen.
        joint: by input name, what its decoder reads of the candidates of all rows together.
        num_joint: rows that `joint` was made for; 0 before it is made.
        is_for_many: whether that is the decoder for many rows.
    """

    buffers: Buffers
    logits: Array
    step: BoundStep | None = None
    chosen: Candidates | None = None
    joint: dict[str, Array] = {}
    num_joint: int = 0
    is_for_many: bool = False

    @property
    def candidates(self) -> IntArray | None:
        """[R, N] the tokens that each row chooses from; None where that is the vocabulary."""
        source, slots = self.buffers.source, self.buffers.slots
        return source[CANDIDATES][slots] if CANDIDATES in source else None


class OrtRunner:
    """The encoder, and one or two decoders over the same weights.

    A decoder is opened when a batch first has as many rows as it is for. Opening the one for many rows needs several
    times the memory that it has afterwards, because ONNX Runtime transposes its matrices. So the order of sessions
    decides the peak of memory. A large batch opens that decoder before it is encoded, while there are no activations,
    and closes the other decoder first; the next batch of few rows opens that again, and then both stay open.

    Args:
        directory: where the graphs and their weights are.
        config: shape of the model.
        max_seq_len: positions of the rotary tables in the graphs.
        threads: threads inside an operator.
        entries: further settings of the sessions.
        chooser: of each source's candidate tokens; None: any token of the vocabulary may be chosen.

    Raises:
        LingoLiteError: there is a chooser, and the graphs over candidates are those of an earlier version.
    """

    def __init__(
        self,
        directory: Path,
        config: Architecture,
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
        # What asks for precision turns constants only, and the candidates' rows of the decoder for many are none.
        is_right = chooser is None or not asks_for_precision(entries or {})
        self._has_batch_decoder = is_right and (directory / self._decoders[1]).is_file()
        self._sessions: dict[str, ort.InferenceSession] = {}
        self._opening = threading.Lock()
        self._encoder = SourceEncoder(self._session(ENCODER))
        if chooser is not None:
            self._require_own_candidates()
        self._state = decoder_state(config)
        self._grows = all(kept.kind != "cell" for kept in self._state)
        self._past_names = tuple(f"past_{kept.name}" for kept in self._state)

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> OrtState:
        """A state before the first target token; see `lingolite_cli.plugins.interfaces.Backend.encode`.

        Raises:
            LingoLiteError: the sources are longer than the rotary tables.
        """
        rows, length = source_ids.shape
        if length > self.max_seq_len:
            raise position_error(f"a source of {length} tokens", self.max_seq_len)
        if self._are_many(rows):
            self._session(self._decoders[True])  # before the encoder's activations are there, see the class
        source = self._encoder.encode(source_ids, source_mask)
        buffers = Buffers(np.arange(rows), np.arange(rows), source, self._empty_past(rows), grows=self._grows)
        if self._chooser is None:
            return OrtState(buffers, np.empty(0, np.float32))
        chosen = self._chooser.choose(source_ids, source_mask)
        source[CANDIDATES] = chosen.ids
        return OrtState(buffers, np.empty(0, np.float32), chosen=chosen)

    def step(self, state: OrtState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the token after `tokens` [B]; advances `state`.

        Raises:
            LingoLiteError: there are as many target tokens as the rotary tables have rows.
        """
        logits = self._advance(state, tokens, 1).output("logits")
        candidates = state.candidates
        if candidates is None:
            return logits
        return logits_of_vocabulary(logits, candidates, vocab_size=self._config.vocab_size)

    def step_top_k(self, state: OrtState, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """The same, but ids [B, k] and log-probabilities [B, k] of the best tokens; fewer columns when V < k."""
        width, count = self._width(state), min(k, self._config.vocab_size)
        step = self._advance(state, tokens, min(count, width))
        # Copies: the next step writes into the same memory, and a host may keep what it was given.
        best = step.output(TOP_IDS).copy(), step.output(TOP_LOG_PROBABILITIES).copy()
        candidates = state.candidates if count > width else None
        return best if candidates is None else with_impossible_tokens(best, candidates, count=count)

    def select(self, state: OrtState, rows: IntArray) -> OrtState:
        """The state with the given rows. As many as before lie in the memory that is bound already."""
        was_bound = state.buffers.num_rows
        state.buffers.select(rows)
        if state.step is not None and len(rows) == was_bound:
            state.step.slots = state.buffers.moved
        else:
            state.step = None
        return state

    def close(self) -> None:
        """Free all sessions."""
        self._sessions.clear()
        del self._encoder

    def _empty_past(self, rows: int) -> Array:
        """Room for what is kept of the target: keys and values, or the states of recurrent units, which begin at 0."""
        kept = self._state[0]
        if not self._grows:
            return np.zeros((len(self._state), rows, kept.heads, 1, kept.width), np.float32)
        # Not zeroed: attention reads up to the length of a row, and never what lies beyond.
        capacity = min(FIRST_CAPACITY, self.max_seq_len)
        return np.empty((len(self._state), rows, kept.heads, capacity, kept.width), np.float32)

    def _require_own_candidates(self) -> None:
        """Refuse graphs of earlier versions, which look up other things.

        Raises:
            LingoLiteError: there are such.
        """
        names = {value.name for value in self._session(CANDIDATE_LOOKUP).get_inputs()}
        if names != {CANDIDATES, IS_CANDIDATE, JOINT_CANDIDATES}:
            raise LingoLiteError(
                f"{self._directory / CANDIDATE_LOOKUP} was exported by another version, whose shortlists this one does "
                "not run",
                hint="export the bundle again",
            )

    def _look_up(self, state: OrtState, chosen: Candidates) -> None:
        """Give the state what its decoder reads of the candidate tokens of its rows.

        Again when half of the rows have ended: those left have fewer candidates together.
        """
        buffers, rows = state.buffers, state.buffers.num_rows
        is_for_many = self._are_many(rows)
        if state.num_joint and is_for_many == state.is_for_many and 2 * rows > state.num_joint:
            state.num_joint = max(rows, state.num_joint)  # beams are more rows than sentences
            return
        sentences = buffers.sentences[:rows]
        ids = chosen.ids[sentences]
        joint, places = join_candidates(ids, vocab_size=self._config.vocab_size)
        lookup = self._session(CANDIDATE_LOOKUP)
        names = [value.name for value in lookup.get_outputs()]
        fed = {CANDIDATES: ids, IS_CANDIDATE: chosen.is_own[sentences], JOINT_CANDIDATES: joint}
        found = dict(zip(names, lookup.run(names, fed), strict=True))
        of_all = found.pop(CANDIDATE_ROWS)
        state.joint = {CANDIDATE_ROWS: as_signed(of_all) if is_for_many else of_all}
        state.num_joint, state.is_for_many = rows, is_for_many
        buffers.replace_source({CANDIDATES: ids, CANDIDATE_PLACES: places, **found})

    def _width(self, state: OrtState) -> int:
        """N, or V without a shortlist."""
        candidates = state.buffers.source.get(CANDIDATES)
        return self._config.vocab_size if candidates is None else int(candidates.shape[1])

    def _are_many(self, rows: int) -> bool:
        """Whether a batch of so many rows is for the decoder for many."""
        return self._has_batch_decoder and rows >= self._many_rows

    def _session(self, name: str) -> ort.InferenceSession:
        with self._opening:  # another thread may want the same one, or close this one for its own
            if name not in self._sessions:
                if name == self._decoders[True]:
                    self._sessions.pop(self._decoders[False], None)  # a state that is bound to it keeps it alive
                session = open_session(self._directory / name, threads=self._threads, entries=self._entries)
                _require_inputs(session, self._directory / name)
                self._sessions[name] = session
            return self._sessions[name]

    def _advance(self, state: OrtState, tokens: IntArray, k: int) -> BoundStep:
        buffers = state.buffers
        if buffers.length >= self.max_seq_len:
            raise position_error(f"target token {buffers.length + 1}", self.max_seq_len)
        if buffers.is_full:
            buffers.grow(self.max_seq_len)
            state.step = None
        step = state.step
        if step is None or step.num_best != k:
            step = state.step = self._bind(state, k)
        if buffers.num_rows:
            step.run(tokens, buffers.length)
        buffers.length += 1
        return step

    def _bind(self, state: OrtState, k: int) -> BoundStep:
        rows = state.buffers.num_rows
        if state.chosen is not None and rows:
            self._look_up(state, state.chosen)
        return bind_step(
            self._session(self._decoders[self._are_many(rows)]),
            state.buffers,
            joint=state.joint,
            past_names=self._past_names,
            logits=self._room_for_logits(state),
            k=k,
        )

    def _room_for_logits(self, state: OrtState) -> Array:
        """[R, 1, V], or [R, 1, N] for candidates, in the memory of the state, which grows with its rows alone."""
        rows, width = state.buffers.num_rows, self._width(state)
        if len(state.logits) < rows * width:
            state.logits = np.empty(rows * width, np.float32)
        return state.logits[: rows * width].reshape(rows, 1, width)


def _require_inputs(session: ort.InferenceSession, path: Path) -> None:
    """Refuse a graph that lies under the name of another one.

    Raises:
        LingoLiteError: it does not read what tells its kind apart.
    """
    wanted = {ENCODER: "source_ids", CANDIDATE_LOOKUP: CANDIDATES}.get(path.name, "tokens")
    found = {value.name for value in session.get_inputs()}
    is_over_candidates = path.name in (CANDIDATE_LOOKUP, SHORTLIST_DECODER, SHORTLIST_BATCH_DECODER)
    if wanted not in found or (CANDIDATES in found) != is_over_candidates:
        raise LingoLiteError(
            f"{path} is another graph than its name says: it reads {', '.join(sorted(found))}",
            hint="export the bundle again",
        )


def open_ort_runner(
    artifact: Artifact,
    details: OnnxExportDetails,
    options: OnnxBackendOptions,
    *,
    threads: int,
    entries: Mapping[str, str],
) -> OrtRunner:
    """The runner of an artifact of this profile; see `lingolite_onnx.profiles.OpenRunner`.

    Raises:
        LingoLiteError: the provider is not the CPU, a graph was chosen, or a file or the shortlist is missing.
    """
    _require_cpu(options)
    require_files(artifact, details.graphs, hint="export again")
    return OrtRunner(
        artifact.closed_directory(),
        artifact.manifest.model,
        max_seq_len=details.max_seq_len,
        threads=threads,
        entries=entries,
        chooser=_chooser(artifact, details) if options.shortlist else None,
    )


def _require_cpu(options: OnnxBackendOptions) -> None:
    provider, *_ = execution_providers(options.provider)
    if provider != CPU:
        raise LingoLiteError(
            f"the ORT profile runs on the CPU only, not on {provider}",
            hint='export with profile = "portable" for other providers',
        )
    if options.graph is not None:
        raise LingoLiteError(
            f'this artifact has the graphs of the ORT profile only, and no choice of graph = "{options.graph}"',
            hint='leave the option out, or export with profile = "portable"',
        )


def _chooser(artifact: Artifact, details: OnnxExportDetails) -> DirectedChooser:
    if details.shortlist is None:
        raise shortlist_error(artifact)
    shortlist = read_shortlist(artifact.file(SHORTLIST_NAME))
    return DirectedChooser(shortlist, open_tokenizer(artifact))
