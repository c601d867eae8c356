"""What steps that measure leave in the record of a run: their figures and verdicts.

Owns their results, as typed structs. Steps that make an artifact are in `made_results`. Figures carry their unit in the
name; `MB` is 10^6 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lingolite_cli.benchmark.figures import BenchmarkRow, LengthBucket, Timing
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.emulation.replaying import PlatformReplay
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.evaluation.faults import FaultCounts
from lingolite_cli.evaluation.parity import Parity
from lingolite_cli.monitoring.figures import ServedFigures
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.runs.step_result import (
    ArtifactSummary,
    CorpusSummary,
    RecordedResult,
    RecordedStruct,
)


class EvaluateResult(RecordedResult, frozen=True, kw_only=True, tag="evaluate"):
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
    warnings: list[str] = msgspec.field(default_factory=list)

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


class SentencePair(RecordedStruct, frozen=True, kw_only=True):
    """One sentence translated by both systems. `delta` is sentence chrF of candidate minus reference."""

    index: int
    source: str
    reference: str
    reference_hypothesis: str
    candidate_hypothesis: str
    delta: float


class VerifyResult(RecordedResult, frozen=True, kw_only=True, tag="verify"):
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
    faults: list[FaultCounts] = msgspec.field(default_factory=list)
    faulty: list[SentencePair] = msgspec.field(default_factory=list)
    reference_doubts: list[str] | None = None
    warnings: list[str] = msgspec.field(default_factory=list)

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """Reference and candidate."""
        return self.reference_artifact, self.candidate_artifact


class BenchmarkSystem(RecordedStruct, frozen=True, kw_only=True):
    """One backend with one artifact, alone in a fresh process.

    `cold_start_seconds` is the time from making the process to its first translation, `first_token_ms` that of
    reading a source and making one token at batch 1; both are None in manifests of older versions. Where `workers`
    share the sentences there are no latencies, and `peak_memory_mb` is that of all their processes. `threads` None are
    those of the whole benchmark.
    """

    name: str
    backend: str
    artifact: ArtifactSummary
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    threads: int | None = None
    workers: int = 1
    load_seconds: float
    cold_start_seconds: float | None = None
    first_token_ms: float | None = None
    peak_memory_mb: float | None
    rows: list[BenchmarkRow]


class BenchmarkResult(RecordedResult, frozen=True, kw_only=True, tag="benchmark"):
    """Speed, memory and size of several systems, measured in turn in one run.

    `timing` is what the budgets were judged on: rounds of their own.
    """

    threads: int
    rounds: int
    cold_starts: int = 1
    decoding: DecodingOptions = DecodingOptions()
    systems: list[BenchmarkSystem]
    buckets: list[LengthBucket] = msgspec.field(default_factory=list)
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
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


class MonitorResult(RecordedResult, frozen=True, kw_only=True, tag="monitor"):
    """A sample log, measured and judged.

    `run` is the run that was signed off, where one is named, and `num_signed_off` its sentences. `metrics` are of the
    `num_scored` served sentences that have a reference; `differences` are served minus signed off, on the `num_paired`
    different translations of them whose source the run translated, too.
    """

    log: str
    served: ServedFigures
    run: str | None = None
    num_signed_off: int = 0
    metrics: dict[str, Score] = msgspec.field(default_factory=dict)
    num_scored: int = 0
    differences: list[MetricDifference] = msgspec.field(default_factory=list)
    num_paired: int = 0
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
    warnings: list[str] = msgspec.field(default_factory=list)

    @property
    def scores(self) -> Mapping[str, Score]:
        """Scores of what was served, by metric."""
        return self.metrics


class ReplayResult(RecordedResult, frozen=True, kw_only=True, tag="replay"):
    """The goldens of an artifact on processors; those that were not there say why."""

    artifact: ArtifactSummary
    platforms: list[PlatformReplay]
    verdicts: list[Verdict]

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The artifact whose goldens were replayed."""
        return (self.artifact,)
