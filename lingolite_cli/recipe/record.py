"""What a run leaves behind: typed results of each kind of step, and the run's manifest.

Reporters and observers read these; the runner writes them as `runs/NAME/ID/manifest.json`. Figures carry their
unit in the name. `MB` is 10^6 bytes.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.plugins.interfaces import Score


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ArtifactSummary(_Struct):
    """An artifact that a step read or made. `path` is relative to the run's directory, or as the recipe has it."""

    path: str
    format: str
    digest: str
    size_bytes: int
    scheme: str | None = None


class CorpusSummary(_Struct):
    """The text that a step read. `digest` covers sources, references and languages."""

    name: str
    digest: str
    num_samples: int
    languages: tuple[str, str]


class EvaluateResult(_Struct, tag_field="kind", tag="evaluate"):
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


class QuantizeResult(_Struct, tag_field="kind", tag="quantize"):
    """A smaller artifact."""

    method: str
    source: ArtifactSummary
    artifact: ArtifactSummary


class ExportResult(_Struct, tag_field="kind", tag="export"):
    """An artifact in another format; `details` are the exporter's own (opset, files, checks)."""

    format: str
    source: ArtifactSummary
    artifact: ArtifactSummary
    details: dict[str, Any] = {}


class MetricDifference(_Struct):
    """Candidate minus reference on the same sentences, with a paired-bootstrap interval where one could be made."""

    metric: str
    reference: float
    candidate: float
    delta: float
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95


class Parity(_Struct):
    """How far the candidate follows the reference's own hypotheses.

    Attributes:
        top1_agreement: share of tokens, `</s>` included, that the candidate ranks first when it is fed the
            reference's hypothesis up to there (teacher forcing).
        exact_match: share of sentences whose hypothesis is token for token the same in free running.
        num_tokens: tokens compared.
        max_logit_margin: the largest margin (candidate's best logit minus its logit of the reference's token)
            at a disagreement; 0 when there is none.
    """

    top1_agreement: float
    exact_match: float
    num_tokens: int
    max_logit_margin: float


VerdictStatus = Literal["pass", "fail", "inconclusive", "not measured"]


class Verdict(_Struct):
    """One budget judged. `seen` is in the unit of `limit`; `why` is one line for people."""

    budget: str
    limit: float
    seen: float | None
    status: VerdictStatus
    why: str
    allowed: bool = False
    """The recipe allows this `inconclusive`."""

    @property
    def breaks_run(self) -> bool:
        """Whether this verdict fails the run."""
        return self.status != "pass" and not (self.status == "inconclusive" and self.allowed)


class SentencePair(_Struct):
    """One sentence translated by both systems. `delta` is sentence chrF of candidate minus reference."""

    index: int
    source: str
    reference: str
    reference_hypothesis: str
    candidate_hypothesis: str
    delta: float


class VerifyResult(_Struct, tag_field="kind", tag="verify"):
    """Candidate against reference: quality, parity, size, and each budget's verdict. `worst` is worst first."""

    reference: str
    candidate: str
    reference_artifact: ArtifactSummary
    candidate_artifact: ArtifactSummary
    differences: list[MetricDifference]
    parity: Parity | None
    size_mb: float
    size_ratio: float
    verdicts: list[Verdict]
    worst: list[SentencePair]
    cpu_features: list[str]
    warnings: list[str] = []


class BenchmarkRow(_Struct):
    """Speed at one batch size (sentences) over the same sentences for every system. Latency is that of one
    batch-of-one translation, so it is None at larger batches."""

    batch_size: int
    num_sentences: int
    num_tokens: int
    tokens_per_second: float
    spread: float
    """(largest − smallest) / median over the rounds, of tokens_per_second."""
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None


class BenchmarkSystem(_Struct):
    """One backend with one artifact, alone in a fresh process."""

    name: str
    backend: str
    artifact: ArtifactSummary
    load_seconds: float
    peak_memory_mb: float | None
    rows: list[BenchmarkRow]


class LengthBucket(_Struct):
    """Batch 1 with every hypothesis forced to `num_tokens` target tokens. `ratio` is to the first system, where
    above 1 is faster; `low` and `high` are over the paired rounds."""

    num_tokens: int
    system: str
    milliseconds: float
    ratio: float
    low: float
    high: float


class BenchmarkResult(_Struct, tag_field="kind", tag="benchmark"):
    """Speed, memory and size of several systems, measured in turn in one run."""

    threads: int
    rounds: int
    systems: list[BenchmarkSystem]
    buckets: list[LengthBucket] = []
    verdicts: list[Verdict] = []


class ReportResult(_Struct, tag_field="kind", tag="report"):
    """Files that reporters shall write when the run ends, relative to the run's directory."""

    reporters: list[str]


StepResult = (
    EvaluateResult | QuantizeResult | ExportResult | VerifyResult | BenchmarkResult | ReportResult
)


class PluginUse(_Struct):
    """A plugin that a step used, and where it came from."""

    kind: str
    name: str
    distribution: str
    version: str


class StepRecord(_Struct):
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


class Environment(_Struct):
    """Where a run took place."""

    lingolite: str
    python: str
    platform: str
    cpu: str
    cpu_features: list[str]
    cores: int
    threads: int
    packages: dict[str, str]


class RunManifest(_Struct):
    """`manifest.json` of a run. Times are UTC, ISO 8601. `status` is `broken budget` when a verdict fails the run."""

    schema: int = 1
    name: str
    id: str
    status: Literal["done", "broken budget"]
    started: str
    seconds: float
    seed: int
    recipe_path: str
    recipe: dict[str, Any]
    environment: Environment
    steps: list[StepRecord]

    @property
    def verdicts(self) -> list[tuple[str, Verdict]]:
        """(step id, verdict) for each budget of the run."""
        return [
            (step.id, verdict)
            for step in self.steps
            if isinstance(step.result, VerifyResult | BenchmarkResult)
            for verdict in step.result.verdicts
        ]
