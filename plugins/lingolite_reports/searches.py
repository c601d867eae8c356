"""The tables on searches for the smallest mix of precisions."""

from __future__ import annotations

from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table


def searches(manifest: RunManifest) -> list[tuple[str, SearchResult]]:
    """(step id, result) of each `search` step."""
    return [(step.id, step.result) for step in manifest.steps if isinstance(step.result, SearchResult)]


def search_tables(manifest: RunManifest) -> list[Table]:
    """The tried mixes and the sensitivity of each unit, for each search."""
    return [
        table
        for step, result in searches(manifest)
        for table in (_trials_table(step, result), _units_table(step, result))
    ]


def _trials_table(step: str, result: SearchResult) -> Table:
    columns = [
        Column("Configuration"),
        Column("Size, MB", "number"),
        Column(result.metric, "number"),
        Column("Difference", "number"),
        Column("Interval", "number"),
        Column("Cross-entropy", "number"),
        Column("Verdict", "status"),
        Column("Precisions"),
    ]
    rows = [
        [
            f"{trial.name} (chosen)" if trial.name == result.chosen else trial.name,
            formats.megabytes(trial.size_bytes),
            formats.score(trial.difference.candidate),
            formats.signed(trial.difference.delta),
            formats.interval(trial.difference.low, trial.difference.high),
            _nats(trial.cross_entropy_delta),
            "inconclusive (allowed)" if trial.verdict.allowed else trial.verdict.status,
            "; ".join([trial.default, *(f"{unit} {precision}" for unit, precision in trial.layers.items())]),
        ]
        for trial in sorted(result.trials, key=lambda trial: trial.size_bytes)
    ]
    return Table(f"Configurations ({step}: {result.num_sentences:,} sentences)", columns, rows)


def _units_table(step: str, result: SearchResult) -> Table:
    columns = [
        Column("Unit", "code"),
        Column("Weights", "number"),
        Column("Precision"),
        Column("Saves, MB", "number"),
        Column("Cross-entropy", "number"),
        Column(f"{result.metric} difference", "number"),
        Column("Interval", "number"),
    ]
    rows = [
        [
            row.unit,
            f"{row.num_weights:,}",
            row.precision,
            formats.megabytes(row.saved_bytes),
            _nats(row.cross_entropy_delta),
            formats.NOTHING if row.difference is None else formats.signed(row.difference.delta),
            formats.NOTHING if row.difference is None else formats.interval(row.difference.low, row.difference.high),
        ]
        for row in result.sensitivities
    ]
    return Table(f"Each unit alone ({step}: {result.sample_size:,} sentences)", columns, rows, is_folded=True)


def _nats(value: float) -> str:
    return f"{value:+.4f}".replace("-", formats.MINUS)
