"""What each kind of step leaves in the record of a run: its figures, as typed structs.

Owns these structs and what can be asked of any of them. Which step makes which is `lingolite_cli.recipe.steps`'s, the
manifest around them `lingolite_cli.runs.record`'s. Figures carry their unit in the name; `MB` is 10^6 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from lingolite_cli.benchmark.figures import BenchmarkRow, LengthBucket, Timing
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.corpora.pairs import TextReport
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.emulation.replaying import PlatformReplay
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.evaluation.faults import FaultCounts
from lingolite_cli.evaluation.parity import Parity
from lingolite_cli.monitoring.figures import ServedFigures
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.precision_search.figures import Sensitivity, Trial
from lingolite_cli.training.metrics import CurvePoint

ResultT = TypeVar("ResultT", bound="_StepResult")


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ArtifactSummary(_Struct, frozen=True, kw_only=True):
    """An artifact that a step read or made. `path` is relative to the run's directory, or as the recipe has it."""

    path: str
    format: str
    digest: str
    size_bytes: int
    scheme: str | None = None


class CorpusSummary(_Struct, frozen=True, kw_only=True):
    """The text that a step read. `digest` covers sources, references and languages."""

    name: str
    digest: str
    num_samples: int
    languages: tuple[str, str]


class _StepResult(_Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every result can be asked for, so that locks, run directories and reports need not know the kinds."""

    @property
    def made(self) -> ArtifactSummary | None:
        """The artifact that the step made, if it made one."""
        return None

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """All artifacts that the step read or made, sources first."""
        return ()

    @property
    def scores(self) -> Mapping[str, Score]:
        """Its scores, by metric."""
        return {}

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """A verdict for each of its budgets."""
        return ()

    @property
    def training(self) -> TrainingRecord | None:
        """The training that it did, if it trained a model."""
        return None

    def with_texts(self: ResultT, place: Callable[[str], str]) -> ResultT:
        """The result with the paths of its texts in the run's directory; `place` gives that of a text by its folder."""
        return self


class EvaluateResult(_StepResult, frozen=True, kw_only=True, tag="evaluate"):
    """Scores of one artifact through one backend on one corpus.

    `num_truncated` sources were longer than the model's positions; `num_unfinished` hypotheses reached
    `max_length` without `</s>`. `translations` is relative to the run's directory.
    """

    backend: str
    artifact: ArtifactSummary
    corpus: CorpusSummary
    decoding: DecodingOptions
    metrics: dict[str, Score]
    num_samples: int
    num_truncated: int
    num_unfinished: int
    num_tokens: int
    translations: str
    warnings: list[str] = []

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The artifact that was scored."""
        return (self.artifact,)

    @property
    def scores(self) -> Mapping[str, Score]:
        """Its scores, by metric."""
        return self.metrics

    def with_texts(self, place: Callable[[str], str]) -> EvaluateResult:
        """With the path of its translations."""
        return msgspec.structs.replace(self, translations=place("translations"))


class TrainingRecord(_Struct, frozen=True, kw_only=True):
    """What a training read, how long it took and how it ended.

    `minutes` counts every process that had a part, `loss` is that of the last step, in nats a token with label
    smoothing. `weights` says which were chosen; `dev_score` is theirs by `metric`. `metrics` is relative to the run's
    directory; `curve` is what it says, thinned for a drawing.
    """

    texts: list[TextReport]
    num_steps: int
    num_epochs: int
    num_tokens: int
    minutes: float
    loss: float
    ended_by: str
    weights: str
    metric: str | None
    dev_score: float | None
    metrics: str
    curve: list[CurvePoint] = []


class QuantizeResult(_StepResult, frozen=True, kw_only=True, tag="quantize"):
    """A smaller artifact.

    `calibration` is the text that the method was given to run the model on, `training` how it trained the model, if it
    did.
    """

    method: str
    source: ArtifactSummary
    artifact: ArtifactSummary
    calibration: CorpusSummary | None = None
    training: TrainingRecord | None = None

    @property
    def made(self) -> ArtifactSummary:
        """The new artifact."""
        return self.artifact

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The source and the new artifact."""
        return (self.source, self.artifact)

    def with_texts(self, place: Callable[[str], str]) -> QuantizeResult:
        """With the path of its training's measurements."""
        if self.training is None:
            return self
        return msgspec.structs.replace(self, training=msgspec.structs.replace(self.training, metrics=place("training")))


class ExportResult(_StepResult, frozen=True, kw_only=True, tag="export"):
    """An artifact in another format; `details` are the exporter's own (opset, files, checks)."""

    format: str
    source: ArtifactSummary
    artifact: ArtifactSummary
    details: dict[str, Any] = {}

    @property
    def made(self) -> ArtifactSummary:
        """The new artifact."""
        return self.artifact

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The source and the new artifact."""
        return (self.source, self.artifact)


class SentencePair(_Struct, frozen=True, kw_only=True):
    """One sentence translated by both systems. `delta` is sentence chrF of candidate minus reference."""

    index: int
    source: str
    reference: str
    reference_hypothesis: str
    candidate_hypothesis: str
    delta: float


class VerifyResult(_StepResult, frozen=True, kw_only=True, tag="verify"):
    """Candidate against reference: quality, parity, size, and each budget's verdict.

    `worst` is worst first; `faulty` are the sentences with new faults, in the order of the text, as many as `worst`.
    `download_mb` is the size after `download_codec`, and `download_ratio` its share of the reference's; None in
    manifests of older versions. `timing` is what budgets on time and memory were judged on. `exported` holds the
    candidate against the bundle that it was exported from, where it was; that is another question than the others.
    `reference_doubts` are what makes the reference's translations implausible, a line each; None in manifests of older
    versions.
    """

    reference: str
    candidate: str
    reference_artifact: ArtifactSummary
    candidate_artifact: ArtifactSummary
    differences: list[MetricDifference]
    parity: Parity | None
    exported: ExportedComparison | None = None
    size_mb: float
    size_ratio: float
    download_mb: float | None = None
    download_ratio: float | None = None
    download_codec: str | None = None
    timing: Timing | None = None
    verdicts: list[Verdict]
    worst: list[SentencePair]
    cpu_features: list[str]
    faults: list[FaultCounts] = []
    faulty: list[SentencePair] = []
    reference_doubts: list[str] | None = None
    warnings: list[str] = []

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """Reference and candidate."""
        return self.reference_artifact, self.candidate_artifact


class BenchmarkSystem(_Struct, frozen=True, kw_only=True):
    """One backend with one artifact, alone in a fresh process.

    `cold_start_seconds` is the time from making the process to its first translation, `first_token_ms` that of
    reading a source and making one token at batch 1; both are None in manifests of older versions. Where `workers`
    share the sentences there are no latencies, and `peak_memory_mb` is that of all their processes. `threads` None are
    those of the whole benchmark.
    """

    name: str
    backend: str
    artifact: ArtifactSummary
    options: dict[str, Any] = {}
    threads: int | None = None
    workers: int = 1
    load_seconds: float
    cold_start_seconds: float | None = None
    first_token_ms: float | None = None
    peak_memory_mb: float | None
    rows: list[BenchmarkRow]


class BenchmarkResult(_StepResult, frozen=True, kw_only=True, tag="benchmark"):
    """Speed, memory and size of several systems, measured in turn in one run.

    `timing` is what the budgets were judged on: rounds of their own.
    """

    threads: int
    rounds: int
    cold_starts: int = 1
    decoding: DecodingOptions = DecodingOptions()
    systems: list[BenchmarkSystem]
    buckets: list[LengthBucket] = []
    verdicts: list[Verdict] = []
    timing: Timing | None = None

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """One for each system."""
        return tuple(system.artifact for system in self.systems)

    @property
    def effort(self) -> str:
        """Threads and workers in words; for each system where they differ."""
        named = zip(self.systems, self._efforts(), strict=True)
        return self.common_effort or "; ".join(f"{system.name}: {each}" for system, each in named)

    @property
    def common_effort(self) -> str | None:
        """Threads and workers in words; None where systems differ."""
        efforts = self._efforts()
        return efforts[0] if len(set(efforts)) == 1 else None

    def _efforts(self) -> list[str]:
        return [effort(system.threads or self.threads, system.workers) for system in self.systems]


def effort(threads: int, workers: int = 1) -> str:
    """Threads and workers in words."""
    each = f"{threads} thread{'s' * (threads > 1)}"
    return each if workers == 1 else f"{each} in each of {workers} workers"


class TrainResult(TrainingRecord, _StepResult, frozen=True, kw_only=True, tag="train"):
    """A trained bundle; `source` is None for a model from scratch."""

    source: ArtifactSummary | None
    artifact: ArtifactSummary

    @property
    def made(self) -> ArtifactSummary:
        """The new artifact."""
        return self.artifact

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The source, if there is one, and the new artifact."""
        return (self.source, self.artifact) if self.source else (self.artifact,)

    @property
    def training(self) -> TrainingRecord:
        """The result itself: its figures are those of its training."""
        return self

    def with_texts(self, place: Callable[[str], str]) -> TrainResult:
        """With the path of its training's measurements."""
        return msgspec.structs.replace(self, metrics=place("training"))


class SearchResult(_StepResult, frozen=True, kw_only=True, tag="search"):
    """The smallest mix of precisions inside a budget, and what was measured to find it.

    `options` are those of the quantizer `method` that make the artifact again. `sensitivities` are most costly first;
    `trials` in the order in which they were measured, on `num_sentences` sentences, with the one that was `chosen`.
    Cross-entropies are of `sample_size` of these sentences; that of the model as it was is `cross_entropy`.
    """

    method: str
    options: dict[str, Any]
    source: ArtifactSummary
    artifact: ArtifactSummary
    metric: str
    num_sentences: int
    sample_size: int
    cross_entropy: float
    sensitivities: list[Sensitivity]
    trials: list[Trial]
    chosen: str

    @property
    def made(self) -> ArtifactSummary:
        """The new artifact."""
        return self.artifact

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The source and the new artifact."""
        return (self.source, self.artifact)


class TranslateResult(_StepResult, frozen=True, kw_only=True, tag="translate"):
    """A corpus that a model made of another. Counts are of lines; `faults` has them by kind."""

    backend: str
    source: ArtifactSummary
    model: ArtifactSummary
    corpus: ArtifactSummary
    languages: tuple[str, str]
    decoding: DecodingOptions
    num_lines: int
    num_failed: int
    num_truncated: int
    faults: dict[str, int]
    warnings: list[str] = []

    @property
    def made(self) -> ArtifactSummary:
        """The corpus."""
        return self.corpus

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The model, the text and the corpus."""
        return self.model, self.source, self.corpus


class FilterResult(_StepResult, frozen=True, kw_only=True, tag="filter"):
    """A corpus without the lines that filters left out; `removed` has these by reason."""

    source: ArtifactSummary
    corpus: ArtifactSummary
    num_lines: int
    removed: dict[str, int]

    @property
    def made(self) -> ArtifactSummary:
        """The new corpus."""
        return self.corpus

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The source and the new corpus."""
        return self.source, self.corpus


class MonitorResult(_StepResult, frozen=True, kw_only=True, tag="monitor"):
    """A sample log, measured and judged.

    `run` is the run that was signed off, where one is named, and `num_signed_off` its sentences. `metrics` are of the
    `num_scored` served sentences that have a reference.
    """

    log: str
    served: ServedFigures
    run: str | None = None
    num_signed_off: int = 0
    metrics: dict[str, Score] = {}
    num_scored: int = 0
    verdicts: list[Verdict] = []
    warnings: list[str] = []

    @property
    def scores(self) -> Mapping[str, Score]:
        """Scores of what was served, by metric."""
        return self.metrics


class ReplayResult(_StepResult, frozen=True, kw_only=True, tag="replay"):
    """The goldens of an artifact on processors; those that were not there say why."""

    artifact: ArtifactSummary
    platforms: list[PlatformReplay]
    verdicts: list[Verdict]

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The artifact whose goldens were replayed."""
        return (self.artifact,)


class ReportResult(_StepResult, frozen=True, kw_only=True, tag="report"):
    """Names of the reporters that write when the run ends."""

    reporters: list[str]


StepResult = (
    EvaluateResult
    | QuantizeResult
    | ExportResult
    | VerifyResult
    | BenchmarkResult
    | TrainResult
    | SearchResult
    | TranslateResult
    | FilterResult
    | MonitorResult
    | ReplayResult
    | ReportResult
)
