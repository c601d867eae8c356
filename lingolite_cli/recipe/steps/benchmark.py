"""`benchmark`: speed, latency, load time and memory of several systems. Timings are never cached."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from lingolite_cli.benchmark.measure import Measured, Workload, measure
from lingolite_cli.benchmark.process import System
from lingolite_cli.benchmark.protocol import Load
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.verdicts import Verdict, judge_max, judge_min
from lingolite_cli.recipe.model import BenchmarkStep, BenchmarkSystemTable
from lingolite_cli.recipe.record import BenchmarkResult, BenchmarkSystem
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact

BUDGETS = ("speedup_min", "latency_p95_ms_max", "load_seconds_max", "peak_memory_mb_max")


def check(step: BenchmarkStep, scope: Scope) -> PlannedStep:
    """Refuse unknown backends, formats that they do not read, lengths beyond the model, unknown budgets."""
    if not step.systems:
        raise scope.error(step, "systems", "there is nothing to measure", hint="name a model and a backend")
    if not step.batch_sizes:
        raise scope.error(step, "batch_sizes", "there is nothing to measure", hint="name one at least, such as 1")
    scope.check_budget(step, BUDGETS)
    if "latency_p95_ms_max" in step.budget and 1 not in step.batch_sizes:
        raise scope.error(step, "batch_sizes", "a budget on latency needs batch size 1")
    scope.corpus(step, "corpus", step.corpus)
    choices = []
    for system in step.systems:
        format = scope.artifact_format(step, "systems", system.model)
        choice = scope.plugin(step, "systems", kind="backend", name=system.backend, options=system.options)
        scope.accepted(step, choice, format=format, reference=system.model)
        choices.append(choice)
    manifest = scope.manifest(step, "systems", step.systems[0].model)
    too_long = [length for length in step.lengths if length > manifest.model.max_seq_len]
    if too_long:
        raise scope.error(step, "lengths", f"{too_long[0]} is more than the {manifest.model.max_seq_len} positions")
    if step.lengths and step.decoding.beam_size > 1:
        raise scope.error(
            step,
            "lengths",
            "lengths are forced on greedy search only: where beams may not end, engines rank them by different scores",
            hint="leave out lengths, or take beam_size 1",
        )
    if step.decoding.n_best > 1:
        raise scope.error(step, "decoding.n_best", "the best translation alone is looked at", hint="leave n_best out")
    return PlannedStep(
        step=step,
        inputs=(*dict.fromkeys(system.model for system in step.systems), step.corpus),
        plugins=tuple(choices),
        options={"languages": list(scope.corpora[step.corpus].languages or manifest.languages[:2])},
        summary=f"{', '.join(_names(step.systems))}; {step.num_sentences} sentences, {step.threads} thread(s)",
        is_cacheable=False,
    )


def _names(systems: Sequence[BenchmarkSystemTable]) -> list[str]:
    """Given names; else the backend, with the artifact where one backend runs several."""
    backends = [system.backend for system in systems]
    return [
        system.name or (f"{system.backend} ({system.model})" if backends.count(system.backend) > 1 else system.backend)
        for system in systems
    ]


def run(planned: PlannedStep, workspace: Workspace, directory: Path) -> BenchmarkResult:
    """Measure."""
    step = planned.step
    assert isinstance(step, BenchmarkStep)
    workload = Workload(
        sources=_sample(workspace.corpus(step.corpus).sources, step.num_sentences, seed=workspace.seed),
        languages=(planned.options["languages"][0], planned.options["languages"][1]),
        decoding=step.decoding,
        batch_sizes=step.batch_sizes,
        lengths=step.lengths,
        length_batch_sizes=step.length_batch_sizes,
        rounds=step.rounds,
        cold_starts=step.cold_starts,
    )
    systems = _systems(planned, step, workspace)
    total = workload.num_turns * len(systems)
    with workspace.console.progress(f"{step.id}: {len(systems)} systems in turn", total=total) as progress:
        measured, buckets = measure(systems, workload, progress=progress)
    return BenchmarkResult(
        threads=step.threads,
        rounds=step.rounds,
        cold_starts=step.cold_starts,
        decoding=step.decoding,
        systems=_summaries(step, systems, measured, workspace),
        buckets=buckets,
        verdicts=_judge(step.budget, measured),
    )


def _sample(sources: Sequence[str], count: int, *, seed: int) -> list[str]:
    """`count` sentences with text in them, drawn without replacement; all of them where there are fewer.

    Raises:
        LingoLiteError: no line has text.
    """
    texts = [source for source in sources if source.strip()]
    if not texts:
        raise LingoLiteError("there is nothing to measure: no line has text", hint="choose a corpus with text in it")
    return random.Random(seed).sample(texts, min(count, len(texts)))


def _systems(planned: PlannedStep, step: BenchmarkStep, workspace: Workspace) -> list[System]:
    return [
        System(
            name=name,
            load=Load(
                artifact=str(workspace.artifact(system.model).path.resolve()),
                backend=system.backend,
                options=choice.options,
                threads=step.threads,
                blocked=list(workspace.plan.blocked),
            ),
        )
        for name, system, choice in zip(_names(step.systems), step.systems, planned.plugins, strict=True)
    ]


def _summaries(
    step: BenchmarkStep, systems: Sequence[System], measured: Sequence[Measured], workspace: Workspace
) -> list[BenchmarkSystem]:
    return [
        BenchmarkSystem(
            name=system.name,
            backend=table.backend,
            artifact=summarize_artifact(workspace.artifact(table.model)),
            options=system.load.options,
            load_seconds=seen.load_seconds,
            cold_start_seconds=seen.cold_start_seconds,
            first_token_ms=seen.first_token_ms,
            peak_memory_mb=seen.peak_memory_mb,
            rows=seen.rows,
        )
        for table, system, seen in zip(step.systems, systems, measured, strict=True)
    ]


def _judge(budget: Mapping[str, float], measured: Sequence[Measured]) -> list[Verdict]:
    """Budgets on the last system; its speed-up is over the first."""
    first, last = measured[0], measured[-1]
    latency = next((row.latency_p95_ms for row in last.rows if row.batch_size == 1), None)
    speedup = last.rows[0].tokens_per_second / first.rows[0].tokens_per_second
    verdicts = []
    for name, limit in budget.items():
        if name == "speedup_min":
            verdicts.append(judge_min(speedup, limit=limit, budget=name))
        elif name == "latency_p95_ms_max":
            verdicts.append(judge_max(latency, limit=limit, budget=name, unit="ms"))
        elif name == "load_seconds_max":
            verdicts.append(judge_max(last.load_seconds, limit=limit, budget=name, unit="s"))
        else:
            verdicts.append(judge_max(last.peak_memory_mb, limit=limit, budget=name, unit="MB"))
    return verdicts
