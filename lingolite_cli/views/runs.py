"""How plans, runs, verdicts and benchmarks look on a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.console import Console, status_text
from lingolite_cli.evaluation.differences import p_value_text
from lingolite_cli.evaluation.intervals import SIGNIFICANT, bracketed, spelled
from lingolite_cli.execution.runner import Outcome, StepForecast
from lingolite_cli.runs.record import StepRecord
from lingolite_cli.runs.results import (
    BenchmarkResult,
    EvaluateResult,
    ExportResult,
    QuantizeResult,
    SearchResult,
    StepResult,
    TrainingRecord,
    VerifyResult,
)
from lingolite_cli.views.benchmark import show_benchmark
from lingolite_cli.views.parity import show_parity
from lingolite_cli.views.precision_search import show_search


def show_forecast(forecasts: Sequence[StepForecast], console: Console) -> None:
    """`--plan`: each step, whether it is cached, and why."""
    console.print_json(forecasts)
    console.table(
        ["step", "kind", "what", "plan", "why"],
        [[step.id, step.uses, step.summary, "cached" if step.is_cached else "run", step.why] for step in forecasts],
    )


def show_run(outcome: Outcome, console: Console) -> None:
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
        elif isinstance(step.result, SearchResult):
            show_search(step.result, console)
    show_verdicts(manifest.verdicts, console)
    _show_end(outcome, console)


def _show_end(outcome: Outcome, console: Console) -> None:
    manifest = outcome.manifest
    cached = sum(step.status == "cached" for step in manifest.steps)
    console.print(f"{len(manifest.steps)} steps in {manifest.seconds:.1f} s, {cached} from the cache")
    if outcome.directory is not None:
        console.print(f"run: {os.path.relpath(outcome.directory)}")
        for report in outcome.reports:
            console.print(f"     {os.path.relpath(report)}")
    console.print(verdict_line(manifest.verdicts))


def verdict_line(verdicts: Sequence[tuple[str, Verdict]]) -> str:
    """What became of all budgets, in a line; each is (the id of its step, which may be empty, its verdict)."""
    broken = [_budget_name(step, verdict) for step, verdict in verdicts if verdict.breaks_run]
    if broken:
        return f"{status_text('fail')}: {len(broken)} of {len(verdicts)} budgets broken: {', '.join(broken)}"
    allowed = [_budget_name(step, verdict) for step, verdict in verdicts if verdict.allowed]
    if allowed:
        met = f"{len(verdicts) - len(allowed)} of {len(verdicts)} budgets met"
        return f"{status_text('pass')}: {met}, inconclusive but allowed: {', '.join(allowed)}"
    if not verdicts:
        return "no budgets were set"
    met = "1 budget met" if len(verdicts) == 1 else f"all {len(verdicts)} budgets met"
    return f"{status_text('pass')}: {met}"


def show_evaluations(steps: Sequence[StepRecord], console: Console) -> None:
    """Scores of each evaluation, and the signatures below; where there are several, with the ids of their steps."""
    results = {step.id: step.result for step in steps if isinstance(step.result, EvaluateResult)}
    if not results:
        return
    names = list(dict.fromkeys(name for result in results.values() for name in result.metrics))
    columns = ["step", "backend", "artifact", "MB", "sentences", *names]
    rows = [_evaluation_row(id, result, names) for id, result in results.items()]
    if len(rows) == 1:
        columns, rows = columns[1:], [rows[0][1:]]
    console.table(columns, rows, right=",".join(["MB", "sentences", *names]))
    _show_signatures(results, console)
    for result in results.values():
        for warning in result.warnings:
            console.warn(warning)
        if result.num_truncated:
            console.warn(f"{result.backend}: {result.num_truncated} sources were longer than the model and were cut")


def _evaluation_row(id: str, result: EvaluateResult, names: Sequence[str]) -> list[str]:
    artifact = result.artifact
    label = f"{artifact.format} ({artifact.scheme})" if artifact.scheme else artifact.format
    scores = [f"{result.metrics[name].value:.2f}" if name in result.metrics else "" for name in names]
    return [id, result.backend, label, f"{artifact.size_bytes / 1e6:.2f}", str(result.num_samples), *scores]


def _show_signatures(results: Mapping[str, EvaluateResult], console: Console) -> None:
    """One line a metric; a line for each signature where steps scored it differently: such do not compare."""
    steps: dict[str, dict[str, list[str]]] = {}
    for id, result in results.items():
        for name, score in result.metrics.items():
            steps.setdefault(name, {}).setdefault(score.signature, []).append(id)
    for name, signatures in steps.items():
        for signature, ids in signatures.items():
            whose = f" of {', '.join(ids)}" if len(signatures) > 1 else ""
            console.print(f"{name}{whose}: {signature}")


def show_verification(result: VerifyResult, console: Console) -> None:
    """Differences with their intervals, parity and size."""
    rows = []
    for difference in result.differences:
        rows.append(
            [
                difference.metric,
                f"{difference.reference:.2f}",
                f"{difference.candidate:.2f}",
                f"{difference.delta:+.2f}",
                bracketed(difference.low, difference.high),
                p_value_text(difference.p_value),
            ]
        )
    console.table(
        ["metric", result.reference, result.candidate, "difference", "95 % interval", "p"],
        rows,
        right=f"{result.reference},{result.candidate},difference,p",
    )
    if result.parity is not None:
        show_parity(result.parity, console)
    _show_faults(result, console)
    console.print(f"size: {result.size_mb:.2f} MB, {result.size_ratio:.3f} of {result.reference}{_download(result)}")


def _download(result: VerifyResult) -> str:
    if result.download_mb is None:
        return ""
    return f"; download ({result.download_codec}): {result.download_mb:.2f} MB, {result.download_ratio:.3f} of it"


def _show_faults(result: VerifyResult, console: Console) -> None:
    found = [fault for fault in result.faults if fault.reference or fault.candidate]
    if not found:
        console.print("no faults in either system")
        return
    console.table(
        ["sentences with", result.reference, result.candidate, "new"],
        [[fault.kind, str(fault.reference), str(fault.candidate), str(len(fault.new))] for fault in found],
        right=f"{result.reference},{result.candidate},new",
    )


def show_verdicts(verdicts: Sequence[tuple[str, Verdict]], console: Console) -> None:
    """Each budget with its limit, what was seen, how sure that is, and the verdict; below, why some are no pass."""
    if not verdicts:
        return
    names = [_budget_name(step, verdict) for step, verdict in verdicts]
    columns = {"budget": names} | {
        heading: [text(verdict) for _, verdict in verdicts]
        for heading, text in _VERDICT_COLUMNS.items()
        if any(text(verdict) for _, verdict in verdicts)
    }
    console.table(list(columns), list(zip(*columns.values(), strict=True)), right="limit,seen,rounds")
    for name, (_, verdict) in zip(names, verdicts, strict=True):
        if verdict.status != "pass":
            console.print(f"{name}: {verdict.why}")


def _budget_name(step: str, verdict: Verdict) -> str:
    return f"{step}.{verdict.budget}" if step else verdict.budget


def _verdict_status(verdict: Verdict) -> str:
    return status_text(verdict.status) + (" (allowed)" if verdict.allowed else "")


def _verdict_interval(verdict: Verdict) -> str:
    return spelled(verdict.low, verdict.high, SIGNIFICANT)


_VERDICT_COLUMNS: dict[str, Callable[[Verdict], str]] = {
    "limit": lambda verdict: f"{verdict.limit:g}",
    "seen": lambda verdict: "" if verdict.seen is None else f"{verdict.seen:.4g}",
    "95 % interval": _verdict_interval,
    "rounds": lambda verdict: "" if verdict.rounds is None else str(verdict.rounds),
    "verdict": _verdict_status,
}
"""What the table of verdicts shows; a column without any entry is left out."""


def show_training(result: TrainingRecord, console: Console) -> None:
    """What was trained on, for how long, and what came of it."""
    console.table(
        ["text", "rows", "pairs", "short", "bad"],
        [
            [
                text.name,
                f"{text.num_rows:,}",
                f"{text.num_pairs:,}",
                f"{text.num_short:,}",
                f"{sum(text.bad.values()):,}",
            ]
            for text in result.texts
        ],
        right="rows,pairs,short,bad",
    )
    dev = "" if result.dev_score is None else f", dev {result.metric} {result.dev_score:.3f}"
    console.print(
        f"{result.num_steps:,} steps, {result.num_tokens:,} target tokens, {result.minutes:.1f} min, ended by "
        f"{result.ended_by}: loss {result.loss:.3f}; weights: {result.weights}{dev}"
    )


def show_conversion(result: StepResult, out: Path, console: Console) -> None:
    """The artifact that `quantize` or `export` made, against its source."""
    assert isinstance(result, QuantizeResult | ExportResult)
    source, artifact, training = result.source, result.artifact, result.training
    calibration = result.calibration if isinstance(result, QuantizeResult) else None
    texts = {"calibration": calibration, "training": training}
    read = {key: value for key, value in texts.items() if value is not None}
    console.print_json({"out": str(out), "source": source, "artifact": artifact, **read})
    if training is not None:
        show_training(training, console)
    if calibration is not None:
        console.print(f"calibrated on {calibration.num_samples:,} sentences, SHA-256 {calibration.digest}")
    console.print(
        f"{out}: {artifact.format}, {artifact.size_bytes / 1e6:.2f} MB, "
        f"{artifact.size_bytes / source.size_bytes:.3f} of the source's {source.size_bytes / 1e6:.2f} MB"
    )
    if isinstance(result, ExportResult):
        for name, value in result.details.items():
            console.print(f"  {name}: {_plain(value)}")


def _plain(value: Any) -> str:
    """A value of a plugin's own details for people: without brackets, and what is None in a table left out."""
    if isinstance(value, list | tuple):
        tables = any(isinstance(part, dict) for part in value)
        return ("; " if tables else ", ").join(map(_plain, value))
    if isinstance(value, dict):
        parts = {
            key: "+".join(map(str, part)) if isinstance(part, list | tuple) else part for key, part in value.items()
        }
        return ", ".join(f"{key} {part}" for key, part in parts.items() if part is not None)
    return str(value).lower() if isinstance(value, bool) else str(value)
