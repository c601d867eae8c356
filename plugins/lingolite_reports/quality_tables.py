"""The tables on budgets and quality: verdicts, systems with their scores, differences, signatures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lingolite_cli.budgets.questions import MODEL_QUESTION, by_question
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.evaluation.differences import p_value_text
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table
from lingolite_reports.results import artifacts, evaluations, gauge_name, verifications


def budgets_tables(manifest: RunManifest) -> list[Table | None]:
    """Each budget with its verdict, broken ones first: a table for each question."""
    questions = by_question(manifest.verdicts)
    is_plain = list(questions) == [MODEL_QUESTION]
    return [
        _budgets_table(asked, "Budgets and what was seen" if is_plain else f"{question} Budgets and what was seen")
        for question, asked in questions.items()
    ]


def _budgets_table(verdicts: Sequence[tuple[str, Verdict]], caption: str) -> Table:
    columns = [
        Column("Budget", "code"),
        Column("Verdict", "status"),
        Column("Limit", "number", is_drawn=True),
        Column("Seen", "number", is_drawn=True),
        Column("Why"),
        Column("Step", "code"),
    ]
    ordered = sorted(verdicts, key=lambda pair: not pair[1].breaks_run)
    rows = [
        [
            verdict.budget,
            f"{verdict.status} (allowed)" if verdict.allowed else verdict.status,
            formats.limit(verdict.limit),
            formats.seen(verdict.seen, verdict.limit),
            verdict.why,
            step,
        ]
        for step, verdict in ordered
    ]
    return Table(caption, columns, rows, figures=[gauge_name(step, verdict.budget) for step, verdict in ordered])


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
