"""What a run leaves behind: typed results of each kind of step, and the run's manifest.

Reporters and observers read these; the runner writes them as `runs/NAME/ID/manifest.json`. Figures carry their
unit in the name. `MB` is 10^6 bytes.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

from lingolite_cli.benchmark.figures import BenchmarkRow, LengthBucket, Timing
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.corpora.pairs import TextReport
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.environment import Environment
from lingolite_cli.evaluation.degeneration import Degeneration
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.parity import Parity
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.precision_search.figures import Sensitivity, Trial
from lingolite_cli.training.metrics import CurvePoint


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


class EvaluateResult(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="evaluate"):
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


class QuantizeResult(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="quantize"):
    """A smaller artifact.

    `calibration` is the text that the method was given to run the model on, `training` how it trained the model, if it
    did.
    """

    method: str
    source: ArtifactSummary
    artifact: ArtifactSummary
    calibration: CorpusSummary | None = None
    training: TrainingRecord | None = None


class ExportResult(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="export"):
    """An artifact in another format; `details` are the exporter's own (opset, files, checks)."""

    format: str
    source: ArtifactSummary
    artifact: ArtifactSummary
    details: dict[str, Any] = {}


class SentencePair(_Struct, frozen=True, kw_only=True):
    """One sentence translated by both systems. `delta` is sentence chrF of candidate minus reference."""

    index: int
    source: str
    reference: str
    reference_hypothesis: str
    candidate_hypothesis: str
    delta: float


class VerifyResult(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="verify"):
    """Candidate against reference: quality, parity, size, and each budget's verdict.

    `worst` is worst first; `faulty` are the sentences with new faults, in the order of the text, as many as `worst`.
    `download_mb` is the size after `download_codec`, and `download_ratio` its share of the reference's; None in
    manifests of older versions. `timing` is what budgets on time and memory were judged on.
    """

    reference: str
    candidate: str
    reference_artifact: ArtifactSummary
    candidate_artifact: ArtifactSummary
    differences: list[MetricDifference]
    parity: Parity | None
    size_mb: float
    size_ratio: float
    download_mb: float | None = None
    download_ratio: float | None = None
    download_codec: str | None = None
    timing: Timing | None = None
    verdicts: list[Verdict]
    worst: list[SentencePair]
    cpu_features: list[str]
    faults: list[Degeneration] = []
    faulty: list[SentencePair] = []
    warnings: list[str] = []


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


class BenchmarkResult(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="benchmark"):
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
    def effort(self) -> str:
        """Threads and workers in words; system by system where they differ."""
        named = zip(self.systems, self._efforts(), strict=True)
        return self.common_effort or "; ".join(f"{system.name}: {each}" for system, each in named)

    @property
    def common_effort(self) -> str | None:
        """The same, None where systems differ."""
        efforts = self._efforts()
        return efforts[0] if len(set(efforts)) == 1 else None

    def _efforts(self) -> list[str]:
        return [effort(system.threads or self.threads, system.workers) for system in self.systems]


def effort(threads: int, workers: int = 1) -> str:
    """Threads and workers in words."""
    each = f"{threads} thread{'s' * (threads > 1)}"
    return each if workers == 1 else f"{each} in each of {workers} workers"


class TrainResult(TrainingRecord, frozen=True, kw_only=True, tag_field="kind", tag="train"):
    """A trained bundle; `source` is None for a model from scratch."""

    source: ArtifactSummary | None
    artifact: ArtifactSummary


class SearchResult(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="search"):
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


class ReportResult(_Struct, frozen=True, kw_only=True, tag_field="kind", tag="report"):
    """Files that reporters shall write when the run ends, relative to the run's directory."""

    reporters: list[str]


StepResult = (
    EvaluateResult
    | QuantizeResult
    | ExportResult
    | VerifyResult
    | BenchmarkResult
    | TrainResult
    | SearchResult
    | ReportResult
)


class PluginUse(_Struct, frozen=True, kw_only=True):
    """A plugin that a step used, and where it came from."""

    kind: str
    name: str
    distribution: str
    version: str


class StepRecord(_Struct, frozen=True, kw_only=True):
    """One step of a run. `status` is `cached` when the result came from an earlier run; `seconds` is the time that
    this run spent on it. `key` identifies the work; None for a step that is never cached."""

    id: str
    uses: str
    status: Literal["done", "cached"]
    seconds: float
    key: str | None
    plugins: list[PluginUse]
    inputs: dict[str, str]
    result: StepResult


class Stop(_Struct, frozen=True, kw_only=True):
    """What ended a run before its end.

    Attributes:
        where: in words, such as "at `verify`".
        step: id of the step that it was at; None after the last one.
        seconds: that this step had taken.
        error: name of the exception's class.
        message: what it said; empty for an interruption.
        hint: what to do about it.
    """

    where: str
    step: str | None
    seconds: float
    error: str
    message: str
    hint: str | None

    @property
    def said(self) -> str:
        """Where and why."""
        return f"{self.where}: {self.message}" if self.message else self.where


class StepName(NamedTuple):
    """A step by its id, the kind that it `uses` and the names of its budgets."""

    id: str
    uses: str
    budgets: tuple[str, ...]


_JUDGED = ("verify", "benchmark")
RunStatus = Literal["done", "broken budget", "failed", "interrupted"]


class RunManifest(_Struct, frozen=True, kw_only=True):
    """`manifest.json` of a run. Times are UTC, ISO 8601.

    `status` is `broken budget` when a verdict fails the run. One that is `failed` or `interrupted` has a `stop`, and
    its `steps` are those that were finished before.
    """

    schema: int = 1
    name: str
    id: str
    status: RunStatus
    started: str
    seconds: float
    seed: int
    recipe_path: str
    recipe: dict[str, Any]
    environment: Environment
    steps: list[StepRecord]
    stop: Stop | None = None

    @property
    def unfinished(self) -> list[StepName]:
        """The steps of a run that stopped, from the one that it was at; without reports, which are written still."""
        if self.stop is None:
            return []
        finished = {step.id for step in self.steps}
        return [
            StepName(step["id"], step["uses"], tuple(step.get("budget", ())) if step["uses"] in _JUDGED else ())
            for step in self.recipe["steps"]
            if step["id"] not in finished and (step["uses"] != "report" or step["id"] == self.stop.step)
        ]

    @property
    def verdicts(self) -> list[tuple[str, Verdict]]:
        """(step id, verdict) for each budget of the run."""
        return [
            (step.id, verdict)
            for step in self.steps
            if isinstance(step.result, VerifyResult | BenchmarkResult)
            for verdict in step.result.verdicts
        ]

    @property
    def trainings(self) -> list[tuple[str, TrainingRecord]]:
        """(step id, training) for each step that trained a model."""
        found = [(step.id, training_of(step.result)) for step in self.steps]
        return [(step, training) for step, training in found if training is not None]


def training_of(result: StepResult) -> TrainingRecord | None:
    """The training that a step did, if it did one."""
    if isinstance(result, QuantizeResult):
        return result.training
    return result if isinstance(result, TrainResult) else None
