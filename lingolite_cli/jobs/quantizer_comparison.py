"""`lingolite quantize --method compare`: every quantizer on one model, judged on the same sentences.

Owns the recipe that does it, and its outcome as rows. The work itself is done by the steps that any recipe has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.environment import Environment
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.digests import canonical_json
from lingolite_cli.files.output import refuse_inputs
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import MODEL, Input, corpus_input, model_input
from lingolite_cli.jobs.job import Job, JobBuilder, run_and_keep
from lingolite_cli.jobs.quantizer_texts import NamedTexts, QuantizerTexts, find_texts
from lingolite_cli.jobs.runnable import able_backend, format_of
from lingolite_cli.jobs.steps_ahead import Ahead
from lingolite_cli.plugins.registry import Health
from lingolite_cli.plugins.specs import ExporterSpec, QuantizerSpec
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.steps.benchmark import BenchmarkStep, BenchmarkSystemTable
from lingolite_cli.recipe.steps.export import ExportStep
from lingolite_cli.recipe.steps.report import ReportStep
from lingolite_cli.recipe.work.evaluation import EvaluateStep
from lingolite_cli.recipe.work.judgement import VerifyStep
from lingolite_cli.runs.measured_results import BenchmarkResult, VerifyResult
from lingolite_cli.runs.record import RunManifest

RESULTS_NAME = "quantization_results.json"
_BASELINE = "none"


class QuantizerCandidate(msgspec.Struct, frozen=True):
    """One method through one backend: the `evaluate` step `id` on the artifact that `model` refers to."""

    id: str
    method: str
    model: str
    backend: str


class QuantizerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the comparison. Ratios are to the model as it was; speeds are tokens a second by batch size."""

    method: str
    backend: str
    size_mb: float
    size_ratio: float
    tokens_per_second: dict[str, float]
    metrics: list[MetricDifference]
    parity: float | None
    exact_match: float | None


class PlannedComparison(msgspec.Struct, frozen=True):
    """The recipe, what its methods need, and why each method that could be compared is not in it."""

    job: Job
    needs: frozenset[str]
    left_out: dict[str, str]


class QuantizerComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A finished comparison.

    Attributes:
        rows: the model as it was, then each method through each backend.
        left_out: why a method is not among them, by its name.
        results: the file that has all of this.
        directory: the run's.
    """

    environment: Environment
    run: str
    rows: list[QuantizerRow]
    left_out: dict[str, str]
    results: Path
    directory: Path

    def report(self) -> dict[str, Any]:
        """What `quantization_results.json` and `--json` have."""
        return {"environment": self.environment, "run": self.run, "rows": self.rows, "left_out": self.left_out}


def compare_quantizers(
    context: JobContext,
    model: Path,
    named: NamedTexts,
    console: Console,
    *,
    out: Path | None,
    max_samples: int | None,
    overwrite: bool,
    ahead: Ahead | None = None,
) -> QuantizerComparison:
    """Quantize by every method, and measure what comes out on the project's test set.

    Args:
        context: the project.
        model: the artifact.
        named: text for methods that need some.
        console: told of the text, and of methods that are left out.
        out: the directory for the results; None is the run's.
        max_samples: only the first so many sentences.
        overwrite: replace earlier results at `out`.
        ahead: who does steps ahead of the run, if anybody does; timings are taken by the run itself.

    Raises:
        LingoLiteError: there is nothing to compare, or `out` cannot be written.
    """
    _check_out(out, overwrite=overwrite)
    if out is not None:
        refuse_inputs(out / RESULTS_NAME, flag="--out", inputs=[model])
    texts = find_texts(context, named)
    inputs: dict[str, Input] = {"model": model_input(model), "test": corpus_input(context, languages=named.languages)}
    planned = plan_comparison(context, texts, inputs=inputs, format=format_of(model), max_samples=max_samples)
    texts.announce(planned.needs, console)
    for method, why in planned.left_out.items():
        console.warn(f"`{method}` is left out: {why}")
    outcome, _ = run_and_keep(context, planned.job, console, ahead=ahead)
    comparison = QuantizerComparison(
        environment=outcome.manifest.environment,
        run=outcome.manifest.id,
        rows=comparison_rows(outcome.manifest),
        left_out=planned.left_out,
        results=(out or outcome.directory) / RESULTS_NAME,
        directory=outcome.directory,
    )
    write_atomic(comparison.results, msgspec.json.format(canonical_json(comparison.report()), indent=2) + b"\n")
    return comparison


def _check_out(out: Path | None, *, overwrite: bool) -> None:
    """Refuse a place for the results before any work."""
    if out is not None and out.exists() and not out.is_dir():
        raise LingoLiteError(f"{out} is a file", hint=f"name a directory: {RESULTS_NAME} is written into it")
    if out is not None and (out / RESULTS_NAME).exists() and not overwrite:
        raise LingoLiteError(f"{out / RESULTS_NAME} exists", hint="choose another place, or pass --overwrite")


def plan_comparison(
    context: JobContext,
    texts: QuantizerTexts,
    *,
    inputs: Mapping[str, Input],
    format: str,
    max_samples: int | None,
) -> PlannedComparison:
    """Each method that reads `format` and has the text that it needs, through each backend that runs what it made.

    One that mixes precisions is not among them: without being told which, it makes what another one makes.
    """
    builder = JobBuilder(context, "quantization")  # the name of the run, which histories have
    left_out: dict[str, str] = {}
    needs: frozenset[str] = frozenset()
    steps: list[Step] = []
    candidates = _candidates_of(builder, steps, method=_BASELINE, model=MODEL, format=format)
    for entry in context.registry.of_kind("quantizer"):
        spec = entry.spec
        if entry.health is not Health.OK or not isinstance(spec, QuantizerSpec):
            continue
        if format not in spec.accepts or spec.precisions:
            continue
        lacking = sorted(spec.needs - texts.found.keys())
        if lacking:
            missing = texts.missing[lacking[0]]
            left_out[entry.name] = f"it needs {missing.what}, and none is named; {missing.hint}"
            continue
        needs |= spec.needs
        steps.append(texts.quantize_step(builder, entry.name, entry.name, needs=spec.needs))
        candidates += _candidates_of(builder, steps, method=entry.name, model=entry.name, format=spec.produces)
    if len(candidates) < 2:
        raise LingoLiteError(
            f"there is nothing to compare: no quantizer that can be used here reads format {format}",
            hint=next((f"`{method}`: {why}" for method, why in left_out.items()), "`lingolite plugins list` shows all"),
        )
    steps += _measurements(builder, candidates, max_samples=max_samples)
    return PlannedComparison(builder.job({**inputs, **texts.inputs_for(steps)}, steps), needs, left_out)


def _candidates_of(
    builder: JobBuilder, steps: list[Step], *, method: str, model: str, format: str
) -> list[QuantizerCandidate]:
    """An artifact as it is and exported, each through the backend that runs it, where one does.

    The exports are added to `steps`.
    """
    context = builder.context
    ways = [(model, format)]
    for entry in context.registry.of_kind("exporter"):
        spec = entry.spec
        if entry.health is Health.OK and isinstance(spec, ExporterSpec) and format in spec.accepts:
            step = builder.step(ExportStep, f"{method}-{entry.name}-files", format=entry.name, model=model)
            steps.append(step)
            ways.append((step.id, spec.produces))
    # Some formats run only once they are exported, so only an artifact that runs in no way is an error.
    backends = [(reference, able_backend(context, format=format)) for reference, format in ways]
    found = [
        QuantizerCandidate(f"{method}-{backend}", method, reference, backend)
        for reference, backend in backends
        if backend
    ]
    if not found:
        raise LingoLiteError(
            f"no backend runs what `{method}` makes, as {format} or exported",
            hint="`lingolite plugins list` shows the backends",
            exit_code=ExitCode.PLUGIN,
        )
    return found


def _measurements(
    builder: JobBuilder, candidates: list[QuantizerCandidate], *, max_samples: int | None
) -> Iterator[Step]:
    """Each candidate scored, each but the first judged against the first, all of them timed, and a report."""
    baseline, *others = candidates
    for c in candidates:
        yield builder.step(EvaluateStep, c.id, model=c.model, backend=c.backend, max_samples=max_samples)
    for c in others:
        yield builder.step(VerifyStep, f"{c.id}-verdict", reference=baseline.id, candidate=c.id)
    systems = tuple(BenchmarkSystemTable(name=c.id, model=c.model, backend=c.backend) for c in candidates)
    yield builder.step(BenchmarkStep, "speed", systems=systems)
    yield builder.step(ReportStep, "report")


def comparison_rows(manifest: RunManifest) -> list[QuantizerRow]:
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


def _baseline_row(result: VerifyResult, speeds: dict[str, float]) -> QuantizerRow:
    method, _, backend = result.reference.rpartition("-")
    scores = [
        MetricDifference(metric=d.metric, reference=d.reference, candidate=d.reference, delta=0.0, goal=d.goal)
        for d in result.differences
    ]
    return QuantizerRow(
        method=method,
        backend=backend,
        size_mb=result.reference_artifact.size_bytes / 1e6,
        size_ratio=1.0,
        tokens_per_second=speeds,
        metrics=scores,
        parity=1.0,
        exact_match=1.0,
    )


def _row(result: VerifyResult, speeds: dict[str, float]) -> QuantizerRow:
    method, _, backend = result.candidate.rpartition("-")
    return QuantizerRow(
        method=method,
        backend=backend,
        size_mb=result.size_mb,
        size_ratio=result.size_ratio,
        tokens_per_second=speeds,
        metrics=result.differences,
        parity=result.parity.top1_agreement if result.parity else None,
        exact_match=result.parity.exact_match if result.parity else None,
    )
