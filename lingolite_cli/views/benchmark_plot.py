"""What `lingolite bench --plot` draws: the figures of a benchmark as a page with its tables, or as a drawing."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.runs.measured_results import BenchmarkResult
from lingolite_cli.views.charts import PAGE, style
from lingolite_cli.views.drawing import draw_sheet
from lingolite_cli.views.page import render_page
from lingolite_cli.views.speed_figures import speed_charts
from lingolite_cli.views.speed_tables import buckets_table, speed_table, start_table

_STEP = "bench"
_COLUMNS = 2
"""Of charts on a sheet."""


def plot_benchmark(result: BenchmarkResult, path: Path) -> None:
    """Draw a benchmark to `path`, whole or not at all."""
    if path.suffix == PAGE:
        write_atomic(path, _page(result).encode())
        return
    charts = speed_charts(result, _STEP)
    draw_sheet([charts[start : start + _COLUMNS] for start in range(0, len(charts), _COLUMNS)], path)


def _page(result: BenchmarkResult) -> str:
    """One self-contained page, light and dark."""
    with style():
        figures = [chart.figure() for chart in speed_charts(result, _STEP)]
    tables = (make(result, step=_STEP) for make in (speed_table, start_table, buckets_table))
    return render_page(
        "bench.html.jinja",
        systems=[system.name for system in result.systems],
        effort=result.effort,
        rounds=result.rounds,
        figures=figures,
        tables=[table for table in tables if table is not None],
    )
