"""What the classes behind plugins' factories must be able to do.

B batch, S source length, V vocabulary, K statistics, N sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import msgspec

if TYPE_CHECKING:
    from concurrent.futures import Future

    from lingolite_cli.architecture.arithmetic import Arithmetic
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray, StatisticsArray
    from lingolite_cli.artifact import Artifact, Product
    from lingolite_cli.benchmark.figures import RecordedTiming
    from lingolite_cli.decoding.hypothesis import Hypothesis
    from lingolite_cli.decoding.options import DecodingOptions
    from lingolite_cli.evaluation.goldens import Replayed
    from lingolite_cli.importing.imported import Imported
    from lingolite_cli.runs.record import RunManifest
    from lingolite_cli.tokenization.description import DecodingIds

T = TypeVar("T")
State: TypeAlias = Any  # a backend's own: the host passes it back and never looks inside
AnyBackend: TypeAlias = "Backend | TranslateBackend | PoolBackend"


class Backend(Protocol):
    """Runs a model one target token at a time. Made by `factory(artifact, options=OPTIONS, threads=N)`.

    The host owns search, batching and finished rows; a backend only computes logits. A state belongs to the
    backend that made it. Special ids, such as those of padding and of the end, differ between artifacts: they are in
    `artifact.manifest.tokenizer_description.ids`. An optional attribute `warnings`, a sequence of str, holds what users
    must know before they trust results from this machine; commands print it and records keep it.

    Several threads may use one backend at once, each with states of its own. In a process that is forked off after a
    backend was opened, its methods give the same results or raise a `LingoLiteError`, and never wait for threads that
    are not there; `lingolite_cli.workers.home_process` has the check.
    """

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> State:
        """Read a batch of sources.

        Args:
            source_ids: [B, S] int64, padded on the right with the pad id.
            source_mask: [B, S] bool, True on real tokens; every row has at least one.

        Returns:
            A state that stands before the first target token.
        """

    def step(self, state: State, tokens: IntArray) -> FloatArray:
        """Read one target token a row, and advance the state.

        Args:
            state: from `encode`, `select` or the step before; this call may change it in place.
            tokens: [B] int64, the last token of each row; at first the start token.

        Returns:
            [B, V] float32 logits of the next token; the next call with this state may overwrite them.
        """

    def select(self, state: State, rows: IntArray) -> State:
        """Keep, drop, reorder or repeat rows.

        Args:
            state: the state before; it is not used again.
            rows: [R] int64, indices into the batch, in any order, repeats allowed.

        Returns:
            A state with R rows.
        """

    def close(self) -> None:
        """Free what the backend holds. It is not used again."""


class TopKBackend(Backend, Protocol):
    """A backend with the capability `top_k`."""

    def step_top_k(self, state: State, tokens: IntArray, k: int) -> tuple[IntArray, FloatArray]:
        """As `step`, with softmax and selection inside the engine.

        Args:
            state: as in `step`.
            tokens: as in `step`.
            k: at least 1. May exceed V; then all V are returned.

        Returns:
            ids [B, k] int64 and log-probabilities [B, k] float32, best first, ties towards the smaller id.
        """


class ScoringBackend(Backend, Protocol):
    """A backend with the capability `score`: it reads whole targets at once."""

    def score(self, source_ids: IntArray, source_mask: BoolArray, target_ids: IntArray) -> FloatArray:
        """Log-probability of each target token after the ones before it.

        Args:
            source_ids: as in `encode`.
            source_mask: as in `encode`.
            target_ids: [B, T] int64, without the start token and padded on the right with the pad id.

        Returns:
            [B, T] float32; what stands at padding means nothing.
        """


class TranslateBackend(Protocol):
    """A backend with the capability `translate`: an engine that searches by itself. Made as a `Backend` is.

    Such an engine need not stop after each token. One that gives `encode`, `step` and `select` all the same declares
    the capability `step` besides; of the others parity by logits is not measured, and the contracts skip it visibly.
    The engine is told the ids of its artifact by the manifest (`tokenizer_description`): the start and the end token,
    and those that it must never generate. An artifact with a forced prefix of targets is given to a `PrefixBackend`
    only.
    """

    def translate(
        self, source_ids: IntArray, source_mask: BoolArray, options: DecodingOptions
    ) -> list[list[Hypothesis]]:
        """Search as `lingolite_cli.decoding.search` does, to the same tokens.

        Args:
            source_ids: as in `encode`.
            source_mask: as in `encode`.
            options: every field is to be obeyed, or refused.

        Returns:
            For each row its `n_best` hypotheses, best first.

        Raises:
            LingoLiteError: the engine has no such search; the message names the field.
        """

    def close(self) -> None:
        """Free what the backend holds. It is not used again."""


class PrefixBackend(TranslateBackend, Protocol):
    """A backend with the capabilities `translate` and `prefix`: its own search goes on from a forced prefix."""

    def translate(
        self,
        source_ids: IntArray,
        source_mask: BoolArray,
        options: DecodingOptions,
        *,
        prefix: tuple[int, ...] = (),
    ) -> list[list[Hypothesis]]:
        """As `TranslateBackend.translate`.

        Args:
            source_ids: as there.
            source_mask: as there.
            options: as there; lengths are those of hypotheses.
            prefix: ids that the decoder reads after its start token. They are no part of a hypothesis or of its score.
        """


class RecordedBackend(TranslateBackend, Protocol):
    """A backend with the capability `recorded`: its translations were made on another machine, and so were its rounds.

    Budgets on time and memory are judged by these rounds, and relative ones are refused: the reference is measured
    here. It is never timed.
    """

    def recorded_timing(self) -> RecordedTiming:
        """The rounds."""


class PoolBackend(Protocol):
    """The host's own: several workers as one backend, with the capability `submit`. Plugins do not declare it."""

    num_workers: int

    def submit(
        self, source_ids: IntArray, source_mask: BoolArray, options: DecodingOptions, ids: DecodingIds
    ) -> Future[list[list[Hypothesis]]]:
        """Queue a batch; see `lingolite_cli.decoding.search.search` for the arguments and the result."""

    def close(self) -> None:
        """End the workers. It is not used again."""


class DiagnosingBackend(Backend, Protocol):
    """A backend with the capability `diagnose`."""

    @staticmethod
    def diagnose() -> list[str]:
        """What this machine does to the backend's results, a line each. No artifact is needed."""


class DeclaredBackend(Backend, Protocol):
    """A backend with the capability `arithmetic`: it says how it computes with an exported bundle's numbers.

    With that, `verify` asks whether the artifact is what was exported, and judges the answer by the limits that are
    declared. Without it, that question is not answered.
    """

    @staticmethod
    def arithmetic(artifact: Artifact, bundle: Artifact, options: Any) -> Arithmetic:
        """How `artifact`, which was exported from `bundle`, is computed with `options`."""


class DescribedBackend(Backend, Protocol):
    """A backend with the capability `data`: it knows what an artifact's files say besides what they compute."""

    @staticmethod
    def data_differences(artifact: Artifact, bundle: Artifact) -> list[str]:
        """What files say otherwise than the bundle, or than the version that wrote them says, a line each.

        Such files are those that an app or its developer reads: descriptions, vocabularies, lists of files, scripts.
        `lingolite_cli.evaluation.described` compares them with what they must hold.

        Args:
            artifact: exported by this version. What its manifest says of the model the host compares.
            bundle: what it was exported from.

        Raises:
            LingoLiteError: a file that must be read cannot be.
        """


class ForcedTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace is made on.

    Attributes:
        source_ids: [B, S] int64, padded on the right.
        source_mask: [B, S] bool, True on real tokens.
        target_ids: [B, T] int64, what the decoder reads, the start token included.
        operations: the only ones that are wanted; None for all. Those named here need no cache.
    """

    source_ids: IntArray
    source_mask: BoolArray
    target_ids: IntArray
    operations: frozenset[str] | None = None


class TopK(msgspec.Struct, frozen=True, kw_only=True):
    """The best next tokens, as a computation of an artifact chose them at each step.

    Attributes:
        ids: [B, T, k] int64, best first, ties towards the smaller id.
        log_probabilities: [B, T, k] float32.
    """

    ids: IntArray
    log_probabilities: FloatArray


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Values of named operations (`lingolite_cli.architecture.recording`) in one of an artifact's computations.

    Attributes:
        part: which one, such as the decoder for few rows; any name.
        values: [B, S, width] float32 of the encoder and of the keys and values of cross-attention, [B, T, width] of the
            decoder, heads side by side. A cache is as attention reads it at the last step. Operations that an engine
            does not show are left out.
        unrounded: operations over activations that this computation does not round, where others of the artifact do.
        top_k: what this computation gives a search in the place of logits, where it does.
    """

    part: str
    values: dict[str, FloatArray]
    unrounded: frozenset[str] = frozenset()
    top_k: TopK | None = None


class TracingBackend(Backend, Protocol):
    """A backend with the capability `trace`: it shows the values of named operations in the file that it runs."""

    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        """Feed the targets one token a step, as a translation does, and return what operations gave.

        Args:
            tokens: what is read.
            bundle: what the artifact was exported from. It may be asked for names and shapes; values are the file's.

        Returns:
            A trace for each computation of the artifact, each with the values of its encoder and of its decoder.
        """


class ReplayingBackend(Backend, Protocol):
    """A backend with the capability `replay`."""

    def replay(self, sources: Sequence[str]) -> Replayed:
        """What the artifact's own tokenizer and loop make of each source, in the first of its languages."""


class Exporter(Protocol):
    """Turns an artifact into another format. Made by `factory(options=OPTIONS)`."""

    def export(self, source: Artifact, directory: Path) -> Product:
        """Write the files of the new artifact into `directory`, tokenizer and manifest excepted."""


class ShortlistExporter(Protocol):
    """An exporter with the capability `shortlist`: its artifacts may carry a vocabulary shortlist."""

    def export(self, source: Artifact, directory: Path, *, shortlist: Path | None = None) -> Product:
        """As `Exporter.export`.

        Args:
            source: what is exported.
            directory: where to.
            shortlist: a file that `lingolite_cli.shortlist.shortlist` reads; the artifact holds a copy under the name
                `lingolite_cli.artifact.SHORTLIST_NAME`. Nothing is shortlisted unless the backend is told so.

        Raises:
            LingoLiteError: the file is not a shortlist, or it was made with another tokenizer.
        """


class Importer(Protocol):
    """Reads the models of a foreign format. Made by `factory(options=OPTIONS)`."""

    def read(self, path: Path) -> Imported:
        """Read a model under LingoLite's names.

        The host writes the bundle, and checks before what must hold of every model. An importer refuses what the
        architecture or the tokenizer kinds cannot say, and any size that a file claims before memory is taken for it.

        Args:
            path: a file or directory that the recognizer knows, or that the user named this importer for.

        Raises:
            LingoLiteError: naming what is missing, damaged or cannot be carried.
        """


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """A corpus score: its value, the signature that makes it comparable, and named parts of it."""

    value: float
    signature: str
    details: dict[str, float] = {}


class Metric(Protocol):
    """Scores hypotheses. Made by `factory(options=OPTIONS)`."""

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Score:
        """Score a corpus.

        Args:
            hypotheses: N sentences.
            references: R streams of N sentences each.
        """


class ResamplableMetric(Metric, Protocol):
    """A metric with the capability `sentence_statistics`: its corpus score is a function of sums over sentences."""

    def statistics(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> StatisticsArray:
        """[N, K] float64: one row of additive statistics a sentence."""

    def from_statistics(self, totals: StatisticsArray) -> StatisticsArray:
        """[M] float64 corpus scores from [M, K] summed statistics."""


class SourceMetric(Protocol):
    """A metric with the capability `sources`: it reads what was translated, as well. `statistics` is called alike."""

    def score(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, sources: Sequence[str]) -> Score:
        """As of any `Metric`, with N sources."""


class Reporter(Protocol):
    """Writes files about a run. Made by `factory(options=OPTIONS)`."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write into the run's `directory` and return the files written."""
