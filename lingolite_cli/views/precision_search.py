"""How a search for mixed precision looks on a terminal."""

from __future__ import annotations

import os
from pathlib import Path

from lingolite_cli.console import Console, status_text
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.intervals import with_interval
from lingolite_cli.jobs.precision_search import RESULTS_NAME, SearchOutcome, recipe_fragment
from lingolite_cli.precision_search.figures import Sensitivity, Trial
from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.views.conversion import size_line
from lingolite_cli.views.verification import show_verdicts, show_verification


def show_search(result: SearchResult, console: Console) -> None:
    """What each unit costs alone, and the mixes that were tried, by size."""
    _show_units(result, console)
    rows = [_trial_row(trial, result) for trial in sorted(result.trials, key=lambda trial: trial.size_bytes)]
    columns = ["configuration", "units", "MB", "ΔCE", result.metric, "Δ [95 %]", "verdict"]
    console.table(columns, rows, right=f"MB,ΔCE,{result.metric}", title=_trials_title(result))


def _show_units(result: SearchResult, console: Console) -> None:
    precisions = list(dict.fromkeys(row.precision for row in result.sensitivities))
    by_unit: dict[str, list[Sensitivity]] = {}
    for row in result.sensitivities:
        by_unit.setdefault(row.unit, []).append(row)
    columns = ["unit"]
    for precision in precisions:
        columns += [f"{precision} saves", f"{precision} ΔCE"]
    columns.insert(3, f"Δ{result.metric} [95 %]")
    rows = []
    for unit, seen in by_unit.items():
        cells = [unit]
        for row in seen:
            cells += [f"{row.saved_bytes / 1e6:.2f}", f"{row.cross_entropy_delta:+.4f}"]
        cells.insert(3, _interval(seen[0].difference))
        rows.append(cells)
    measured = f"on {result.sample_size} sentences; MB saved, and nats a token over {result.cross_entropy:.4f}"
    right = ",".join(column for column in columns[1:] if not column.startswith("Δ"))
    console.table(columns, rows, right=right, title=f"each unit alone, {measured}")


def _trials_title(result: SearchResult) -> str:
    return f"configurations, on {result.num_sentences:,} sentences; {result.metric} was {_before(result):.2f}"


def _before(result: SearchResult) -> float:
    return result.trials[0].difference.reference


def _trial_row(trial: Trial, result: SearchResult) -> list[str]:
    return [
        trial.name,
        _mix(trial, result),
        f"{trial.size_bytes / 1e6:.2f}",
        f"{trial.cross_entropy_delta:+.4f}",
        f"{trial.difference.candidate:.2f}",
        _interval(trial.difference),
        status_text(trial.verdict.status) + (", chosen" if trial.name == result.chosen else ""),
    ]


def _mix(trial: Trial, result: SearchResult) -> str:
    """How many units have which precision, such as `9 int4, 6 int8`."""
    num_units = len({row.unit for row in result.sensitivities})
    counts = {trial.default: num_units - len(trial.layers)}
    for precision in trial.layers.values():
        counts[precision] = counts.get(precision, 0) + 1
    return ", ".join(f"{count} {precision}" for precision, count in sorted(counts.items()) if count)


def _interval(seen: MetricDifference | None) -> str:
    return "" if seen is None else with_interval(seen.delta, seen.low, seen.high)


def show_search_outcome(outcome: SearchOutcome, out: Path, console: Console) -> None:
    """The search, the verdict on what it found, and, where that meets its budget, how to repeat it."""
    verdicts = [("", verdict) for verdict in outcome.verified.verdicts]
    console.print_json(outcome.report())
    show_search(outcome.found, console)
    show_verification(outcome.verified, console)
    show_verdicts(verdicts, console)
    if not outcome.is_met:
        return
    found = outcome.found
    console.print(f"to repeat {found.chosen} in a recipe:\n\n{recipe_fragment(found)}")
    console.print(f"{out}: {size_line(found.artifact, found.source)}")
    for name in (RESULTS_NAME, "figures/trade-off-search.svg", "report.html"):
        console.print(f"  {os.path.relpath(outcome.directory / name)}")
