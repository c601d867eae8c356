"""`benchmark`: speed, latency, load time and memory of several systems. Timings are never cached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import field

from lingolite_cli.benchmark.figures import Timing
from lingolite_cli.benchmark.measure import Measured, Workload, measure
from lingolite_cli.benchmark.noise import MIN_ROUNDS
from lingolite_cli.benchmark.process import System
from lingolite_cli.benchmark.rounds import RoundWorkload, SystemWorkload
from lingolite_cli.budgets.judging import judge_all
from lingolite_cli.budgets.measurements import MeasuredFigures
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.plugins.registry import Health
from lingolite_cli.recipe.model import Positive, RecipeTable, Rounds, Step, Threads, Workers
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.timing import (
    TimingRule,
    draw_sentences,
    make_system,
    needs_reference,
    take_rounds,
    with_rounds,
)
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.runs.measured_results import BenchmarkResult, BenchmarkSystem, effort


class BenchmarkSystemTable(RecipeTable, frozen=True, kw_only=True):
    """One system of a benchmark: an artifact and the backend that runs it.

    `threads` and `workers` are those of the step unless the system has its own. One that is `if_installed` is left out
    where what its backend needs is not installed.
    """

    model: str
    backend: str
    name: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    threads: Threads | None = None
    workers: Workers | None = None
    if_installed: bool = False


class BenchmarkStep(Step, tag="benchmark", frozen=True, kw_only=True):
    """Measure systems in turn, each alone in a fresh process.

    Ratios are to the first system. Budgets judge the last system: those of `lingolite_cli.budgets.table` on timed
    rounds. They have rounds of their own: as many as `rounds`, six at least, and up to `max_rounds` where these leave a
    verdict unsure; tokens a second are those of the first batch size.
    `lengths` adds runs of exactly that many target tokens a sentence, in batches of `length_batch_sizes`. Each system
    has `cold_starts` starts, each in a fresh process.
    """

    systems: tuple[BenchmarkSystemTable, ...]
    corpus: str = "inputs.test"
    num_sentences: Positive = 64
    batch_sizes: tuple[Positive, ...] = (1, 32)
    lengths: tuple[Positive, ...] = ()
    length_batch_sizes: tuple[Positive, ...] = (1,)
    decoding: DecodingOptions = DecodingOptions()
    rounds: Positive = 3
    cold_starts: Positive = 1
    threads: Threads = 1
    workers: Workers = 1
    budget: dict[str, float] = field(default_factory=dict)
    max_rounds: Rounds = 4 * MIN_ROUNDS
    allow_inconclusive: bool = False


class PlannedBenchmark(PlannedStep, frozen=True, kw_only=True):
    """A `benchmark` step with a backend for each of its systems."""

    step: BenchmarkStep
    backends: tuple[PluginChoice, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """Each artifact once, and the text."""
        return *dict.fromkeys(system.model for system in self.step.systems), self.step.corpus

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The backends, in the order of the systems."""
        return self.backends

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target language."""
        source, target = self.options["languages"]
        return source, target


def _check(step: BenchmarkStep, scope: Scope) -> PlannedBenchmark:
    """Refuse unknown backends, formats that they do not read, lengths beyond the model, unknown budgets."""
    step = msgspec.structs.replace(step, systems=tuple(_installed(step.systems, scope)))
    if not step.systems:
        raise scope.error(step, "systems", "there is nothing to measure", hint="name a model and a backend")
    if not step.batch_sizes:
        raise scope.error(step, "batch_sizes", "there is nothing to measure", hint="name one at least, such as 1")
    scope.check_budget(step, step.budget, known=[name for name, budget in BUDGETS.items() if budget.is_timed])
    if step.budget and max(system.workers or step.workers for system in step.systems) > 1:
        raise scope.error(
            step,
            "budget",
            "budgets are judged on one worker: sentences that workers share have no latency",
            hint="leave out workers, or take a step of their own for them",
        )
    scope.corpus(step, "corpus", step.corpus)
    choices = []
    for system in step.systems:
        format = scope.artifact_format(step, "systems", system.model)
        choice = scope.plugin(step, "systems", kind="backend", name=system.backend, options=system.options)
        scope.accepted(step, choice, format=format, reference=system.model)
        if "recorded" in choice.loaded.spec.capabilities:
            raise scope.error(
                step,
                "systems",
                f"backend `{system.backend}` translates nothing here: its times are in its record",
                hint="judge them with `lingolite verify` and budgets such as latency_p95_ms_max",
            )
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
    return PlannedBenchmark(
        step=step,
        backends=tuple(choices),
        options={"languages": list(scope.corpora[step.corpus].languages or manifest.languages[:2])},
        summary=", ".join(_names(step.systems))
        + f"; {step.num_sentences} sentences, {effort(step.threads, step.workers)}",
    )


def _names(systems: Sequence[BenchmarkSystemTable]) -> list[str]:
    """The given names; otherwise the backend, with the artifact where one backend runs several."""
    backends = [system.backend for system in systems]
    return [
        system.name or (f"{system.backend} ({system.model})" if backends.count(system.backend) > 1 else system.backend)
        for system in systems
    ]


def _run(planned: PlannedBenchmark, workspace: Workspace, directory: Path) -> BenchmarkResult:
    """Measure."""
    step = planned.step
    workload = Workload(
        sources=draw_sentences(workspace.corpus(step.corpus).sources, step.num_sentences, seed=workspace.seed),
        languages=planned.languages,
        decoding=step.decoding,
        batch_sizes=step.batch_sizes,
        lengths=step.lengths,
        length_batch_sizes=step.length_batch_sizes,
        rounds=step.rounds,
        cold_starts=step.cold_starts,
    )
    systems = _systems(planned, workspace)
    with workspace.console.progress(step.id, total=None) as progress:
        measured, buckets = measure(systems, workload, progress=progress)
    timing, verdicts = _judge(step, systems, workload, workspace)
    return BenchmarkResult(
        threads=step.threads,
        rounds=step.rounds,
        cold_starts=step.cold_starts,
        decoding=step.decoding,
        systems=_summaries(step, systems, measured, workspace),
        buckets=buckets,
        verdicts=verdicts,
        timing=timing,
    )


def _systems(planned: PlannedBenchmark, workspace: Workspace) -> list[System]:
    step = planned.step
    return [
        make_system(
            name,
            choice,
            system.model,
            threads=system.threads or step.threads,
            workers=system.workers or step.workers,
            workspace=workspace,
        )
        for name, system, choice in zip(_names(step.systems), step.systems, planned.backends, strict=True)
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
            threads=system.load.threads,
            workers=system.load.workers,
            load_seconds=seen.load_seconds,
            cold_start_seconds=seen.cold_start_seconds,
            first_token_ms=seen.first_token_ms,
            peak_memory_mb=seen.peak_memory_mb,
            rows=seen.rows,
        )
        for table, system, seen in zip(step.systems, systems, measured, strict=True)
    ]


def _judge(
    step: BenchmarkStep, systems: Sequence[System], workload: Workload, workspace: Workspace
) -> tuple[Timing | None, list[Verdict]]:
    """Judge the last system in rounds of its own, together with the first one where a limit is relative to it."""
    if not step.budget:
        return None, []
    rounds = RoundWorkload(
        sources=workload.sources,
        languages=workload.languages,
        decoding=step.decoding,
        batch_size=step.batch_sizes[0],
    )
    chosen = [systems[0], systems[-1]] if needs_reference(step.budget) else [systems[-1]]
    timed = take_rounds(
        step.budget,
        [SystemWorkload(system, rounds) for system in chosen],
        TimingRule(rounds=max(step.rounds, MIN_ROUNDS), max_rounds=step.max_rounds),
        console=workspace.console,
        label=step.id,
    )
    timing = Timing(
        num_sentences=len(rounds.sources), batch_size=rounds.batch_size, threads=systems[-1].load.threads, systems=timed
    )
    measured = with_rounds(MeasuredFigures(), timed)
    return timing, judge_all(step.budget, BUDGETS, measured, allow_inconclusive=step.allow_inconclusive)


def _installed(systems: Sequence[BenchmarkSystemTable], scope: Scope) -> Iterator[BenchmarkSystemTable]:
    """The systems without those that may be left out, and must."""
    entries = scope.registry.of_kind("backend")
    missing = {entry.name for entry in entries if entry.health is Health.UNAVAILABLE}
    return (system for system in systems if not (system.if_installed and system.backend in missing))


KIND = StepKind(
    table=BenchmarkStep,
    result=BenchmarkResult,
    check=_check,
    run=_run,
    not_cached="timings are always taken anew",
)
