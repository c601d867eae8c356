"""How plans and finished runs look on a terminal: the views of their steps, one after the other."""

from __future__ import annotations

import os
from collections.abc import Sequence

from lingolite_cli.console import Console
from lingolite_cli.execution.forecast import StepForecast
from lingolite_cli.execution.runner import FinishedRun
from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.runs.measured_results import BenchmarkResult, MonitorResult, ReplayResult, VerifyResult
from lingolite_cli.views.benchmark import show_benchmark
from lingolite_cli.views.evaluation import show_evaluations
from lingolite_cli.views.monitoring import show_monitoring
from lingolite_cli.views.precision_search import show_search
from lingolite_cli.views.replay import show_replay
from lingolite_cli.views.training import show_training
from lingolite_cli.views.verification import show_verdicts, show_verification, verdict_line


def show_forecast(forecasts: Sequence[StepForecast], console: Console) -> None:
    """`--plan`: each step, whether it is cached, and why."""
    console.print_json(forecasts)
    console.table(
        ["step", "kind", "what", "plan", "why"],
        [[step.id, step.uses, step.summary, "cached" if step.is_cached else "run", step.why] for step in forecasts],
    )


def show_run(outcome: FinishedRun, console: Console) -> None:
    """The outcome of a run: scores, speed, verdicts, and where its files are."""
    manifest = outcome.manifest
    console.print_json(manifest)
    show_evaluations(manifest.steps, console)
    for step in manifest.steps:
        if isinstance(step.result, VerifyResult):
            show_verification(step.result, console)
        elif isinstance(step.result, BenchmarkResult):
            show_benchmark(step.result, console)
        elif (training := step.result.training) is not None:
            show_training(training, console)
        elif isinstance(step.result, MonitorResult):
            show_monitoring(step.result, console)
        elif isinstance(step.result, ReplayResult):
            show_replay(step.result, console)
        elif isinstance(step.result, SearchResult):
            show_search(step.result, console)
    show_verdicts(manifest.verdicts, console)
    _show_end(outcome, console)


def _show_end(outcome: FinishedRun, console: Console) -> None:
    manifest = outcome.manifest
    cached = sum(step.status == "cached" for step in manifest.steps)
    console.print(f"{len(manifest.steps)} steps in {manifest.seconds:.1f} s, {cached} from the cache")
    console.print(f"run: {os.path.relpath(outcome.directory)}")
    for report in outcome.reports:
        console.print(f"     {os.path.relpath(report)}")
    console.print(verdict_line(manifest.verdicts))
