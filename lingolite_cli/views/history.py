"""How runs over time look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from lingolite_cli.console import Console, status_text
from lingolite_cli.history.entry import RunEntry, SystemFigures
from lingolite_cli.history.series import UNITS, Trend, trends_of
from lingolite_cli.runs.measured_results import effort

_BARS = "▁▂▃▄▅▆▇█"
_MAX_BARS = 24


_MOST_ROWS_BESIDE_PLOT = 100
"""The plot has the others; a table of thousands of rows takes longer than drawing them."""


def show_entries(
    entries: Sequence[RunEntry], trends: Sequence[Trend], *, num_hidden: int, is_plotted: bool, console: Console
) -> None:
    """A line a run, whose id says when it started, and below how each figure went."""
    if not entries:
        console.print("no runs yet" if not num_hidden else "no such runs")
        return
    num_plotted = len(entries)
    if is_plotted:
        entries = entries[-_MOST_ROWS_BESIDE_PLOT:]
    systems = [entry.system(entry.shipped) for entry in entries]
    metrics = list(dict.fromkeys(score.metric for system in systems if system for score in system.scores))
    columns = ["run", "recipe", "verdict", *metrics, "MB", "p50 ms"]
    rows = [
        [entry.id, entry.recipe, status_text(entry.verdict), *_figures(system, metrics)]
        for entry, system in zip(entries, systems, strict=True)
    ]
    console.table(columns, rows, right=",".join(columns[3:]))
    if len(entries) < num_plotted:
        console.print(f"{num_plotted - len(entries):,} older ones are in the plot alone")
    if num_hidden:
        console.print(f"{num_hidden:,} older ones are not shown; --limit {num_plotted + num_hidden} shows all")
    if trends:
        show_trends(trends, console)


def show_trends(trends: Sequence[Trend], console: Console) -> None:
    """Each figure from the first to the last run that can be compared in it."""
    console.table(
        ["recipe", "figure", "runs", "first", "last", "change", "trend"],
        [
            [
                trend.recipe,
                _label(trend.figure),
                str(trend.runs),
                f"{trend.first:.2f}",
                f"{trend.last:.2f}",
                f"{trend.change:+.2f}",
                sparkline(trend.values),
            ]
            for trend in trends
        ],
        right="runs,first,last,change",
    )


def show_entry(entry: RunEntry, before: RunEntry | None, *, root: Path, console: Console) -> None:
    """Everything that is kept of a run, and its figures beside those of the run before."""
    console.print(f"{entry.id}: {entry.recipe}, {status_text(entry.verdict)}, {entry.seconds:.1f} s")
    if entry.problem:
        console.print(f"problem: {entry.problem}")
    console.print(f"started: {_time(entry)} UTC, lingolite {entry.lingolite}, {entry.cpu}, {effort(entry.threads)}")
    if entry.directory is not None:
        is_there = (root / entry.directory).is_dir()
        console.print(f"run: {entry.directory}" + ("" if is_there else " (no longer there)"))
    metrics = list(dict.fromkeys(score.metric for system in entry.systems for score in system.scores))
    figures = [*metrics, "MB", "p50 ms"]
    columns = ["system", "backend", "artifact", *figures, "tokens/s"]
    rows = [
        [*_names(system), *_figures(system, metrics), _number(system.tokens_per_second, 0)] for system in entry.systems
    ]
    if rows:
        console.table(columns, rows, right=",".join([*figures, "tokens/s"]))
        if entry.shipped is not None and entry.reference is not None:
            console.print(f"{entry.shipped} was judged against {entry.reference}")
    if before is not None:
        trends = trends_of([before, entry])
        console.print(f"the run before: {before.id}, {before.verdict}")
        for trend in trends:
            console.print(f"  {_label(trend.figure)}: {trend.first:.2f} → {trend.last:.2f} ({trend.change:+.2f})")


def sparkline(values: Sequence[float]) -> str:
    """The last values as bars between the lowest and the highest of them."""
    shown = values[-_MAX_BARS:]
    low, high = min(shown), max(shown)
    if high == low:
        return _BARS[3] * len(shown)
    return "".join(_BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] for value in shown)


def _time(entry: RunEntry) -> str:
    return f"{datetime.fromisoformat(entry.started).astimezone(timezone.utc):%Y-%m-%d %H:%M}"


def _label(figure: str) -> str:
    return UNITS.get(figure, figure)


def _names(system: SystemFigures) -> list[str]:
    label = f"{system.format}, {system.scheme}" if system.scheme else system.format
    return [system.name, system.backend or "", label]


def _figures(system: SystemFigures | None, metrics: Sequence[str]) -> list[str]:
    if system is None:
        return [""] * (len(metrics) + 2)
    scores = {score.metric: score.value for score in system.scores}
    cells = [_number(scores.get(metric), 2) for metric in metrics]
    return [*cells, _number(system.size_bytes / 1e6, 2), _number(system.latency_p50_ms, 2)]


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
