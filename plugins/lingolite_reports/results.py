"""The results of a run by kind of step, and its artifacts under the names that a report gives them."""

from __future__ import annotations

import msgspec

from lingolite_cli.runs.measured_results import BenchmarkResult, EvaluateResult, VerifyResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.step_result import ArtifactSummary


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


def gauge_name(step: str, budget: str) -> str:
    """The name of the figure that draws a budget of a step."""
    return f"budget-{step}-{budget}"


def artifacts(manifest: RunManifest) -> list[ArtifactRow]:
    """Every artifact once, in the order of appearance, named after the step that made it or after its path."""
    makers = {step.result.made.digest: step.id for step in manifest.steps if step.result.made is not None}
    rows: dict[str, ArtifactRow] = {}
    for artifact in (artifact for step in manifest.steps for artifact in step.result.artifacts):
        label = makers.get(artifact.digest) or "/".join(artifact.path.split("/")[-2:])
        rows.setdefault(artifact.digest, ArtifactRow(label, artifact))
    return list(rows.values())
