"""The tables of a report, as text: HTML and Markdown render the same ones.

Owns which rows and columns there are and how their figures are written. A builder returns None where the run
has nothing to show.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from lingolite_cli.evaluation.differences import p_value_text
from lingolite_cli.plugins.interfaces import Score
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
from lingolite_reports import formats

Kind = Literal["text", "number", "status", "code"]


class Column(msgspec.Struct, frozen=True):
    """A heading, and how the cells below it look."""

    label: str
    kind: Kind = "text"


class Table(msgspec.Struct, frozen=True):
    """Rows of text. The first cell of a row is its heading. `is_folded` tables are details."""

    caption: str
    columns: list[Column]
    rows: list[list[str]]
    is_folded: bool = False


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


def budgets_table(manifest: RunManifest) -> Table | None:
    """Each budget with its verdict, broken ones first."""
    if not manifest.verdicts:
        return None
    columns = [
        Column("Budget", "code"),
        Column("Verdict", "status"),
        Column("Limit", "number"),
        Column("Seen", "number"),
        Column("Why"),
        Column("Step", "code"),
    ]
    ordered = sorted(manifest.verdicts, key=lambda pair: not pair[1].breaks_run)
    rows = [
        [
            verdict.budget,
            "inconclusive (allowed)" if verdict.allowed and not verdict.breaks_run else verdict.status,
            formats.limit(verdict.limit),
            formats.seen(verdict.seen, verdict.limit),
            verdict.why,
            step,
        ]
        for step, verdict in ordered
    ]
    return Table("Budgets and what was seen", columns, rows)


def systems_table(manifest: RunManifest) -> Table | None:
    """Each evaluated system: what it is, how big, and how well it translates."""
    systems = evaluations(manifest)
    if not systems:
        return None
    labels = {row.artifact.digest: row for row in artifacts(manifest)}
    metrics = _unique(name for _, result in systems for name in result.metrics)
    columns = [
        Column("System", "code"),
        Column("Backend", "code"),
        Column("Artifact"),
        Column("Size, MB", "number"),
        Column("Of the first", "number"),
        *(Column(metric, "number") for metric in metrics),
        Column("Sentences", "number"),
        Column("Truncated", "number"),
        Column("Unfinished", "number"),
    ]
    first = systems[0][1].artifact.size_bytes
    rows = [
        [
            step,
            result.backend,
            f"{labels[result.artifact.digest].label} ({labels[result.artifact.digest].form})",
            formats.megabytes(result.artifact.size_bytes),
            formats.ratio(result.artifact.size_bytes / first),
            *(_score(result.metrics.get(metric)) for metric in metrics),
            f"{result.num_samples:,}",
            f"{result.num_truncated:,}",
            f"{result.num_unfinished:,}",
        ]
        for step, result in systems
    ]
    return Table("Systems and their scores", columns, rows)


def _score(found: Score | None) -> str:
    return formats.NOTHING if found is None else formats.score(found.value)


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def differences_table(manifest: RunManifest) -> Table | None:
    """Candidate minus reference for each metric, with its interval."""
    rows = [
        [
            f"{result.candidate} − {result.reference}",
            difference.metric,
            formats.score(difference.reference),
            formats.score(difference.candidate),
            formats.signed(difference.delta),
            formats.interval(difference.low, difference.high),
            f"{100 * difference.confidence:g} %" if difference.low is not None else formats.NOTHING,
            p_value_text(difference.p_value) or formats.NOTHING,
        ]
        for _, result in verifications(manifest)
        for difference in result.differences
    ]
    columns = [
        Column("Candidate − reference", "code"),
        Column("Metric"),
        Column("Reference", "number"),
        Column("Candidate", "number"),
        Column("Difference", "number"),
        Column("Interval", "number"),
        Column("Confidence", "number"),
        Column("p", "number"),
    ]
    title = "Differences on the same sentences (paired bootstrap; p by approximate randomization)"
    return Table(title, columns, rows) if rows else None


def scores_table(manifest: RunManifest) -> Table | None:
    """Parts and signature of every score."""
    rows = [
        [
            step,
            metric,
            ", ".join(f"{name} {value:.6g}" for name, value in score.details.items()) or formats.NOTHING,
            score.signature,
        ]
        for step, result in evaluations(manifest)
        for metric, score in result.metrics.items()
    ]
    columns = [Column("System", "code"), Column("Metric"), Column("Parts"), Column("Signature", "code")]
    return Table("Parts and signatures of the scores", columns, rows, is_folded=True) if rows else None


def sizes_table(manifest: RunManifest) -> Table | None:
    """Every artifact with its size."""
    found = artifacts(manifest)
    if not found:
        return None
    columns = [
        Column("Artifact", "code"),
        Column("Format"),
        Column("Size, MB", "number"),
        Column("Of the first", "number"),
    ]
    rows = [
        [
            row.label,
            row.form,
            formats.megabytes(row.artifact.size_bytes),
            formats.ratio(row.artifact.size_bytes / found[0].artifact.size_bytes),
        ]
        for row in found
    ]
    return Table("Artifacts", columns, rows)


def digests_table(manifest: RunManifest) -> Table | None:
    """Where every artifact lies, and the digest that identifies it."""
    rows = [[row.label, row.artifact.path, row.artifact.digest] for row in artifacts(manifest)]
    columns = [Column("Artifact", "code"), Column("Path", "code"), Column("SHA-256", "code")]
    return Table("Digests of the artifacts", columns, rows) if rows else None


def steps_table(manifest: RunManifest) -> Table:
    """What ran, how long it took and which plugins did it."""
    columns = [
        Column("Step", "code"),
        Column("Kind"),
        Column("Status"),
        Column("Time", "number"),
        Column("Plugins"),
        Column("Inputs"),
    ]
    rows = [
        [
            step.id,
            step.uses,
            step.status,
            formats.duration(step.seconds),
            ", ".join(f"{use.name} ({use.distribution} {use.version})" for use in step.plugins) or formats.NOTHING,
            ", ".join(f"{name} {digest[:12]}" for name, digest in step.inputs.items()) or formats.NOTHING,
        ]
        for step in manifest.steps
    ]
    for left in manifest.unfinished:
        is_stopped = manifest.stop is not None and left.id == manifest.stop.step
        seconds = formats.duration(manifest.stop.seconds) if manifest.stop and is_stopped else formats.NOTHING
        status = "stopped" if is_stopped else "not reached"
        rows.append([left.id, left.uses, status, seconds, formats.NOTHING, formats.NOTHING])
    return Table("Steps in order", columns, rows)


def environment_table(manifest: RunManifest) -> Table:
    """Where the run took place."""
    environment = manifest.environment
    rows = [
        ["Recipe", manifest.recipe_path],
        ["Started (UTC)", manifest.started],
        ["Took", formats.duration(manifest.seconds)],
        ["Seed", str(manifest.seed)],
        ["LingoLite", environment.lingolite],
        ["Python", environment.python],
        ["Platform", environment.platform],
        ["CPU", environment.cpu],
        ["CPU features", ", ".join(environment.cpu_features) or formats.NOTHING],
        ["Cores and threads", f"{environment.cores} and {environment.threads}"],
        ["Packages", ", ".join(f"{name} {version}" for name, version in environment.packages.items())],
    ]
    return Table("Environment", [Column("What"), Column("Value")], rows)


def corpora_table(manifest: RunManifest) -> Table | None:
    """The texts that were translated or calibrated on, by digest."""
    uses = [("tested on", result.corpus) for _, result in evaluations(manifest)]
    uses += [
        ("calibrated on", step.result.calibration)
        for step in manifest.steps
        if isinstance(step.result, QuantizeResult) and step.result.calibration is not None
    ]
    rows = [
        [corpus.name, use, " → ".join(corpus.languages), f"{corpus.num_samples:,}", corpus.digest]
        for (use, _), corpus in {(use, corpus.digest): corpus for use, corpus in uses}.items()
    ]
    columns = [
        Column("Text", "code"),
        Column("Use"),
        Column("Languages"),
        Column("Sentences", "number"),
        Column("SHA-256", "code"),
    ]
    return Table("Texts", columns, rows) if rows else None
