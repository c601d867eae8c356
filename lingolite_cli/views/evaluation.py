"""How scores look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lingolite_cli.console import Console
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.record import StepRecord


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
