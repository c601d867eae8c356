"""What a sample log shows, as tables: on a terminal and in reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lingolite_cli.console import Console
from lingolite_cli.monitoring.figures import Drift, WindowFigures
from lingolite_cli.runs.measured_results import MonitorResult
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table

_MOST_HOURS = 48
"""Hours that a terminal shows; reports have all."""

_SENTENCES = "Sentences"
_COLUMNS: dict[str, Callable[[WindowFigures], str]] = {
    "Requests": lambda one: f"{one.num_requests:,}",
    "Failed": lambda one: _share(one.share("failed", "late")),
    "Refused": lambda one: _share(one.share("refused")),
    _SENTENCES: lambda one: f"{one.num_sentences:,}",
    "p50 ms": lambda one: _number(one.latency_p50_ms),
    "p95 ms": lambda one: _number(one.latency_p95_ms),
    "p99 ms": lambda one: _number(one.latency_p99_ms),
    "Length ratio": lambda one: formats.NOTHING if one.length_ratio is None else f"{one.length_ratio:.3f}",
    "log p": lambda one: _signed(one.log_probability),
    "Faults": lambda one: ", ".join(f"{kind} {count:,}" for kind, count in one.faults.items()) or formats.NOTHING,
}


def windows_table(windows: Sequence[WindowFigures], *, caption: str, is_folded: bool = False) -> Table:
    """A row for each hour or day."""
    columns = [Column("Begin, UTC"), *(Column(name, "text" if name == "Faults" else "number") for name in _COLUMNS)]
    rows = [[_time(one.begin), *(text(one) for text in _COLUMNS.values())] for one in windows]
    return Table(caption, columns, rows, is_folded=is_folded)


def onsets_table(result: MonitorResult) -> Table | None:
    """What began; None where nothing did."""
    if not result.served.onsets:
        return None
    columns = [
        Column("Figure"),
        Column("From, UTC"),
        Column("Before", "number"),
        Column("After", "number"),
        Column("p", "number"),
    ]
    rows = [
        [onset.figure, _time(onset.hour), *map(formats.small, (onset.before, onset.after, onset.p_value))]
        for onset in result.served.onsets
    ]
    return Table("What began", columns, rows)


def drifts_table(result: MonitorResult) -> Table | None:
    """Served against signed off; None without a run."""
    if not result.served.drifts:
        return None
    columns = [
        Column("Figure"),
        Column("Signed off", "number"),
        Column("Served", "number"),
        Column("Difference", "number"),
        Column("95% interval", "number"),
    ]
    caption = f"Against {result.run} ({result.num_signed_off:,} sentences)"
    return Table(caption, columns, [_drift_row(drift) for drift in result.served.drifts])


def scores_of_served(result: MonitorResult) -> Table | None:
    """Scores of what has references; None where nothing has."""
    if not result.metrics:
        return None
    rows = [[name, formats.score(score.value), score.signature] for name, score in result.metrics.items()]
    columns = [Column("Metric"), Column("Score", "number"), Column("Signature", "code")]
    return Table(f"Served sentences with a reference ({result.num_scored:,})", columns, rows)


def losses_table(result: MonitorResult) -> Table | None:
    """Served against signed off by scores, on the same sentences; None where there are none."""
    if not result.differences:
        return None
    columns = [
        Column("Metric"),
        Column("Signed off", "number"),
        Column("Served", "number"),
        Column("Difference", "number"),
        Column("95% interval", "number"),
    ]
    rows = [
        [
            seen.metric,
            formats.score(seen.reference),
            formats.score(seen.candidate),
            formats.signed(seen.delta),
            formats.interval(seen.low, seen.high),
        ]
        for seen in result.differences
    ]
    return Table(f"Against the run, on the same sentences ({result.num_paired:,})", columns, rows)


def monitoring_tables(result: MonitorResult) -> list[Table]:
    """All of them, in the order in which a reader asks."""
    served = result.served
    found = [onsets_table(result), drifts_table(result), scores_of_served(result), losses_table(result)]
    windows = [
        windows_table(served.days, caption="By day"),
        windows_table(served.hours, caption="By hour", is_folded=len(served.hours) > _MOST_HOURS),
    ]
    return [table for table in (*found, *windows) if table is not None]


def show_monitoring(result: MonitorResult, console: Console) -> None:
    """The tables on a terminal, with the latest hours."""
    for warning in result.warnings:
        console.warn(warning)
    served = result.served
    models = ", ".join(f"{model} ({count:,})" for model, count in served.models.items())
    languages = ", ".join(f"{pair} ({count:,})" for pair, count in served.languages.items())
    console.print(
        f"{result.log}: {served.total.num_requests:,} requests; {languages or 'no languages'}; model {models}"
    )
    for table in monitoring_tables(result):
        places = [place for place in range(len(table.columns)) if not _is_left_out(table, place)]
        shown = [table.columns[place] for place in places]
        rows = [[row[place] for place in places] for row in table.rows[-_MOST_HOURS:]]
        right = ",".join(column.label for column in shown if column.kind == "number")
        console.table([column.label for column in shown], rows, title=table.caption, right=right)


def _is_left_out(table: Table, place: int) -> bool:
    """Whether a terminal has no room for a column: one that says that nothing failed, and the number of sentences."""
    return table.columns[place].label == _SENTENCES or {row[place] for row in table.rows} == {_share(0.0)}


def _drift_row(drift: Drift) -> list[str]:
    low, high = (formats.small(end) for end in (drift.low, drift.high))
    return [drift.figure, *map(formats.small, (drift.signed_off, drift.served, drift.delta)), f"{low} to {high}"]


def _time(begin: str) -> str:
    """An hour with its day, or a day alone."""
    return begin.replace("T", " ").removesuffix("Z")


def _share(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value:.2%}"


def _number(value: float | None) -> str:
    return formats.NOTHING if value is None else formats.significant(value)


def _signed(value: float | None) -> str:
    return formats.NOTHING if value is None else f"{value:.3f}".replace("-", formats.MINUS)
