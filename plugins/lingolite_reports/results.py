"""The results of a run by kind of step, and its artifacts under the names that a report gives them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lingolite_cli.runs.record import RunManifest, StepRecord
from lingolite_cli.runs.results import (
    ArtifactSummary,
    BenchmarkResult,
    EvaluateResult,
    ExportResult,
    QuantizeResult,
    SearchResult,
    TrainResult,
    VerifyResult,
)


class ArtifactRow(msgspec.Struct, frozen=True):
    """An artifact of the run under the name that its report gives it."""

    label: str
    artifact: ArtifactSummary

    @property
    def form(self) -> str:
        """Format and quantization scheme in one."""
        scheme = self.artifact.scheme
        return f"{self.artifact.format}, {scheme}" if scheme else self.artifact.format


def evaluations(manifest: RunManifest) -> list[tuple[str, EvaluateResult]]:
    """(step id, result) of each `evaluate` step."""
    return [(step.id, step.result) for step in manifest.steps if isinstance(step.result, EvaluateResult)]


def verifications(manifest: RunManifest) -> list[tuple[str, VerifyResult]]:
    """(step id, result) of each `verify` step."""
    return [(step.id, step.result) for step in manifest.steps if isinstance(step.result, VerifyResult)]


def benchmarks(manifest: RunManifest) -> list[tuple[str, BenchmarkResult]]:
    """(step id, result) of each `benchmark` step."""
    return [(step.id, step.result) for step in manifest.steps if isinstance(step.result, BenchmarkResult)]


def artifacts(manifest: RunManifest) -> list[ArtifactRow]:
    """Every artifact once, in the order of appearance, named after the step that made it or after its path."""
    makers = {
        step.result.artifact.digest: step.id
        for step in manifest.steps
        if isinstance(step.result, QuantizeResult | ExportResult | TrainResult | SearchResult)
    }
    rows: dict[str, ArtifactRow] = {}
    for artifact in _mentioned(manifest.steps):
        label = makers.get(artifact.digest) or "/".join(artifact.path.split("/")[-2:])
        rows.setdefault(artifact.digest, ArtifactRow(label, artifact))
    return list(rows.values())


def _mentioned(steps: Iterable[StepRecord]) -> Iterable[ArtifactSummary]:
    for step in steps:
        match step.result:
            case QuantizeResult() | ExportResult() | SearchResult() as made:
                yield from (made.source, made.artifact)
            case TrainResult() as trained:
                yield from ((trained.source, trained.artifact) if trained.source else (trained.artifact,))
            case EvaluateResult() as evaluated:
                yield evaluated.artifact
            case VerifyResult() as verified:
                yield from (verified.reference_artifact, verified.candidate_artifact)
            case BenchmarkResult() as measured:
                yield from (system.artifact for system in measured.systems)
