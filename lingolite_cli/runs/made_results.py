"""What steps that make an artifact leave in the record of a run.

Owns their results, as typed structs. Steps that only measure are in `measured_results`. Which step makes which is
`lingolite_cli.recipe.steps`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.precision_search.figures import Sensitivity, Trial
from lingolite_cli.runs.step_result import (
    ArtifactSummary,
    CorpusSummary,
    RecordedResult,
    TrainingRecord,
)


class QuantizeResult(RecordedResult, frozen=True, kw_only=True, tag="quantize"):
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


class ExportResult(RecordedResult, frozen=True, kw_only=True, tag="export"):
    """An artifact in another format; `details` are the exporter's own (opset, files, checks)."""

    format: str
    source: ArtifactSummary
    artifact: ArtifactSummary
    details: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def made(self) -> ArtifactSummary:
        """The new artifact."""
        return self.artifact

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The source and the new artifact."""
        return (self.source, self.artifact)


class TrainResult(TrainingRecord, RecordedResult, frozen=True, kw_only=True, tag="train"):
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


class SearchResult(RecordedResult, frozen=True, kw_only=True, tag="search"):
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


class TranslateResult(RecordedResult, frozen=True, kw_only=True, tag="translate"):
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
    warnings: list[str] = msgspec.field(default_factory=list)

    @property
    def made(self) -> ArtifactSummary:
        """The corpus."""
        return self.corpus

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """The model, the text and the corpus."""
        return self.model, self.source, self.corpus


class FilterResult(RecordedResult, frozen=True, kw_only=True, tag="filter"):
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
