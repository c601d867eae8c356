"""`lingolite quantize --method compare`: every quantizer on one model, judged on the same sentences, in one table.

Owns the recipe that does it, and its outcome as rows. The work itself is done by the steps that any recipe has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.intervals import spelled
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.texts import Texts
from lingolite_cli.plugins.registry import Health
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.results import BenchmarkResult, VerifyResult

RESULTS_NAME = "quantization_results.json"
_BASELINE = "none"


class Candidate(msgspec.Struct, frozen=True):
    """One method through one backend: the `evaluate` step `id` on the artifact that `model` refers to."""

    id: str
    method: str
    model: str
    backend: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the comparison. Ratios are to the model as it was; speeds are tokens a second by batch size."""

    method: str
    backend: str
    size_mb: float
    size_ratio: float
    tokens_per_second: dict[str, float]
    metrics: list[MetricDifference]
    parity: float | None
    exact_match: float | None


class Comparison(msgspec.Struct, frozen=True):
    """The recipe, what its methods need, and why each method that could be compared is not in it."""

    job: adhoc.Job
    needs: frozenset[str]
    left_out: dict[str, str]


def comparison_job(
    context: JobContext, texts: Texts, *, inputs: dict[str, Any], format: str, max_samples: int | None
) -> Comparison:
    """Each method that reads `format` and has the text that it needs, through each backend that runs what it made.

    One that mixes precisions is not among them: without being told which, it makes what another one makes.
    """
    left_out: dict[str, str] = {}
    needs: frozenset[str] = frozenset()
    steps: list[dict[str, Any]] = []
    candidates = _candidates_of(context, steps, method=_BASELINE, model=adhoc.MODEL, format=format)
    for entry in context.registry.of_kind("quantizer"):
        spec: Any = entry.spec
        if entry.health is not Health.OK or format not in spec.accepts or spec.precisions:
            continue
        missing = sorted(spec.needs - texts.keys.keys())
        if missing:
            what, hint = texts.missing[missing[0]]
            left_out[entry.name] = f"it needs {what}, and none is named; {hint}"
            continue
        needs |= spec.needs
        steps.append(texts.quantize_step(entry.name, entry.name, needs=spec.needs))
        candidates += _candidates_of(context, steps, method=entry.name, model=entry.name, format=spec.produces)
    if len(candidates) < 2:
        raise LingoLiteError(
            f"there is nothing to compare: no quantizer that can be used here reads format {format}",
            hint=next((f"`{method}`: {why}" for method, why in left_out.items()), "`lingolite plugins list` shows all"),
        )
    limits = {} if max_samples is None else {"max_samples": max_samples}
    for candidate in candidates:
        evaluation = {"id": candidate.id, "uses": "evaluate", "model": candidate.model, "backend": candidate.backend}
        steps.append({**evaluation, **limits})
    steps += [_verification(candidates[0], candidate) for candidate in candidates[1:]]
    systems = [{"name": c.id, "model": c.model, "backend": c.backend} for c in candidates]
    steps.append({"id": "speed", "uses": "benchmark", "systems": systems})
    steps.append({"id": "report", "uses": "report"})
    job = adhoc.Job(command="quantization", inputs={**inputs, **texts.inputs_for(steps)}, steps=steps)
    return Comparison(job, needs, left_out)


def _candidates_of(
    context: JobContext, steps: list[dict[str, Any]], *, method: str, model: str, format: str
) -> list[Candidate]:
    """An artifact as it is and exported, each through the backend that runs it, where one does."""
    ways = [(model, format)]
    for entry in context.registry.of_kind("exporter"):
        spec: Any = entry.spec
        if entry.health is Health.OK and format in spec.accepts:
            step = f"{method}-{entry.name}-files"
            steps.append({"id": step, "uses": "export", "format": entry.name, "model": model})
            ways.append((step, spec.produces))
    backends = [(reference, adhoc.able_backend(context, format=format)) for reference, format in ways]
    found = [Candidate(f"{method}-{backend}", method, reference, backend) for reference, backend in backends if backend]
    if not found:
        raise LingoLiteError(
            f"no backend runs what `{method}` makes, as {format} or exported",
            hint="`lingolite plugins list` shows the backends",
            exit_code=ExitCode.PLUGIN,
        )
    return found


def _verification(baseline: Candidate, candidate: Candidate) -> dict[str, Any]:
    step = {"id": f"{candidate.id}-verdict", "uses": "verify"}
    return {**step, "reference": baseline.id, "candidate": candidate.id}


def comparison_rows(manifest: RunManifest) -> list[Row]:
    """The rows of a finished comparison, in the order of its systems."""
    speeds = {
        system.name: {str(row.batch_size): row.tokens_per_second for row in system.rows}
        for step in manifest.steps
        if isinstance(step.result, BenchmarkResult)
        for system in step.result.systems
    }
    verdicts = [step.result for step in manifest.steps if isinstance(step.result, VerifyResult)]
    first = verdicts[0]
    rows = [_baseline_row(first, speeds[first.reference])]
    return rows + [_row(result, speeds[result.candidate]) for result in verdicts]


def _baseline_row(result: VerifyResult, speeds: dict[str, float]) -> Row:
    method, _, backend = result.reference.rpartition("-")
    scores = [
        MetricDifference(metric=d.metric, reference=d.reference, candidate=d.reference, delta=0.0, goal=d.goal)
        for d in result.differences
    ]
    return Row(
        method=method,
        backend=backend,
        size_mb=result.reference_artifact.size_bytes / 1e6,
        size_ratio=1.0,
        tokens_per_second=speeds,
        metrics=scores,
        parity=1.0,
        exact_match=1.0,
    )


def _row(result: VerifyResult, speeds: dict[str, float]) -> Row:
    method, _, backend = result.candidate.rpartition("-")
    return Row(
        method=method,
        backend=backend,
        size_mb=result.size_mb,
        size_ratio=result.size_ratio,
        tokens_per_second=speeds,
        metrics=result.differences,
        parity=result.parity.top1_agreement if result.parity else None,
        exact_match=result.parity.exact_match if result.parity else None,
    )


def show_comparison(rows: Sequence[Row], console: Console) -> None:
    """Quality, with the 95 % interval of each difference; then size and speed."""
    batches = list(rows[0].tokens_per_second)
    columns = ["method", "backend", "parity"]
    for difference in rows[0].metrics:
        columns += [difference.metric, "Δ", "interval"]
    console.table(columns, [_quality(row) for row in rows], right=",".join(columns[2:]))
    console.print("intervals are those of the difference at 95 %, by the paired bootstrap")
    columns = ["method", "backend", "MB", "ratio", *(f"tokens/s @{size}" for size in batches)]
    console.table(columns, [_costs(row, batches) for row in rows], right=",".join(columns[2:]))


def _quality(row: Row) -> list[str]:
    cells = [row.method, row.backend, "" if row.parity is None else f"{row.parity:.2%}"]
    for difference in row.metrics:
        interval = spelled(difference.low, difference.high, between=" ")
        cells += [f"{difference.candidate:.2f}", f"{difference.delta:+.2f}", interval]
    return cells


def _costs(row: Row, batches: Sequence[str]) -> list[str]:
    speeds = [f"{row.tokens_per_second[size]:,.0f}" for size in batches]
    return [row.method, row.backend, f"{row.size_mb:.2f}", f"{row.size_ratio:.3f}", *speeds]
