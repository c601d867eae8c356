"""The tables on training: what it cost, how it ended, and on what text."""

from __future__ import annotations

from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table


def trainings_table(manifest: RunManifest) -> Table | None:
    """Steps, time and end of each training."""
    columns = [
        Column("Step", "code"),
        Column("Steps", "number"),
        Column("Epochs", "number"),
        Column("Target tokens", "number"),
        Column("Minutes", "number"),
        Column("Last loss", "number"),
        Column("Ended by", "code"),
        Column("Weights"),
        Column("Dev score", "number"),
    ]
    rows = [
        [
            step,
            f"{result.num_steps:,}",
            str(result.num_epochs),
            f"{result.num_tokens:,}",
            formats.significant(result.minutes),
            f"{result.loss:.3f}",
            result.ended_by,
            result.weights,
            formats.NOTHING if result.dev_score is None else f"{result.metric} {result.dev_score:.2f}",
        ]
        for step, result in manifest.trainings
    ]
    return Table("Trainings", columns, rows) if rows else None


def texts_table(manifest: RunManifest) -> Table | None:
    """What was trained on, and what was skipped."""
    columns = [
        Column("Text", "code"),
        Column("Rows", "number"),
        Column("Pairs", "number"),
        Column("Of them short", "number"),
        Column("Skipped"),
    ]
    texts = {text.name: text for _, result in manifest.trainings for text in result.texts}
    rows = [
        [
            text.name,
            f"{text.num_rows:,}",
            f"{text.num_pairs:,}",
            f"{text.num_short:,}",
            ", ".join(f"{count:,} {kind}" for kind, count in text.bad.items()) or formats.NOTHING,
        ]
        for text in texts.values()
    ]
    return Table("Text trained on", columns, rows) if rows else None
