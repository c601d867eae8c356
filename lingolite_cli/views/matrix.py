"""How the runs of a matrix look beside one another."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lingolite_cli.console import Console, status_text
from lingolite_cli.jobs.recipe_matrix import MatrixRow


def show_matrix(rows: Sequence[MatrixRow], console: Console) -> None:
    """A row for each run: settings, verdict, the size of what was shipped, and the scores of its last evaluation."""
    keys = list(dict.fromkeys(key for row in rows for key in row.settings))
    metrics = list(dict.fromkeys(name for row in rows for name in _scores(row)))
    columns = ["recipe", *keys, "status", "MB", *metrics, "run"]
    console.table(
        columns,
        [
            [
                os.path.relpath(row.recipe),
                *(row.settings.get(key, "") for key in keys),
                status_text(row.manifest.status),
                _size(row),
                *(_scores(row).get(name, "") for name in metrics),
                os.path.relpath(row.directory),
            ]
            for row in rows
        ],
        right=",".join(["MB", *metrics]),
    )
    console.print_json(rows)


def _size(row: MatrixRow) -> str:
    shipped = row.manifest.shipped
    return "" if shipped is None else f"{shipped.size_bytes / 1e6:.2f}"


def _scores(row: MatrixRow) -> dict[str, str]:
    scored = [step.result.scores for step in row.manifest.steps if step.result.scores]
    return {name: f"{score.value:.2f}" for name, score in scored[-1].items()} if scored else {}
