"""`lingolite bench`: several systems measured in turn, each after the conversion that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.jobs.benchmark_systems import SystemRequest
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import MODEL, Input, model_input
from lingolite_cli.jobs.job import Job, JobBuilder, run_job
from lingolite_cli.jobs.quantizer_texts import NamedTexts, QuantizerTexts, find_texts, needs_of
from lingolite_cli.jobs.runnable import format_of, runnable_model
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.steps.benchmark import BenchmarkStep, BenchmarkSystemTable
from lingolite_cli.runs.measured_results import BenchmarkResult


class BenchmarkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured, and how often.

    Attributes:
        model: the artifact of systems that bring none.
        corpus: what sentences are drawn from.
        batch_sizes: of free search.
        lengths: target tokens of forced search; none with beams.
        length_batch_sizes: of forced search.
        rounds: turns of each system.
        cold_starts: starts of each system, each in a fresh process.
        threads: of each engine, unless the system has its own.
        workers: processes of each system, unless it has its own.
    """

    model: Path
    systems: Sequence[SystemRequest]
    corpus: CorpusSpec
    num_sentences: int
    batch_sizes: Sequence[int]
    lengths: Sequence[int]
    length_batch_sizes: Sequence[int]
    beam_size: int
    rounds: int
    cold_starts: int
    threads: int
    workers: int


def benchmark(context: JobContext, request: BenchmarkRequest, console: Console) -> BenchmarkResult:
    """Measure systems side by side.

    Raises:
        LingoLiteError: a system cannot be made or run.
    """
    records, _ = run_job(context, benchmark_job(context, request), console)
    result = records[-1].result
    assert isinstance(result, BenchmarkResult)
    return result


def benchmark_job(context: JobContext, request: BenchmarkRequest) -> Job:
    """The conversions that the systems need, then the benchmark."""
    builder = JobBuilder(context, "bench")
    texts = find_texts(context, NamedTexts())
    steps: list[Step] = []
    tables = []
    for position, system in enumerate(request.systems):
        made, table = _system(builder, request.model, system, position=position, texts=texts)
        steps += made
        tables.append(table)
    keys: dict[str, Any] = {
        "num_sentences": request.num_sentences,
        "batch_sizes": tuple(request.batch_sizes),
        "lengths": tuple(request.lengths),
        "length_batch_sizes": tuple(request.length_batch_sizes),
        # A table, so that the project's other defaults for decoding stay below it.
        "decoding": {"beam_size": request.beam_size},
        "rounds": request.rounds,
        "cold_starts": request.cold_starts,
        "threads": request.threads,
        "workers": request.workers,
    }
    inputs: dict[str, Input] = {
        "model": model_input(request.model),
        "test": request.corpus,
        **texts.inputs_for(steps),
        **{_own(place): model_input(one.directory) for place, one in enumerate(request.systems) if one.directory},
    }
    return builder.job(inputs, [*steps, builder.step(BenchmarkStep, "bench", systems=tuple(tables), **keys)])


def _system(
    builder: JobBuilder, model: Path, system: SystemRequest, *, position: int, texts: QuantizerTexts
) -> tuple[list[Step], BenchmarkSystemTable]:
    """The conversions that a system needs, and the system."""
    steps: list[Step] = []
    reference, format = MODEL, format_of(system.directory or model)
    if system.directory:
        reference = f"inputs.{_own(position)}"
    elif system.method:
        needs = needs_of(builder.context, system.method)
        reference = f"{_own(position)}-quantize"
        steps.append(texts.quantize_step(builder, reference, system.method, needs=needs))
        format = builder.context.registry.resolve("quantizer", system.method).spec.produces
    runnable = runnable_model(
        builder, backend=system.backend, format=format, reference=reference, prefix=f"{_own(position)}-"
    )
    table = BenchmarkSystemTable(
        name=system.name,
        model=runnable.reference,
        backend=system.backend,
        options=system.options,
        threads=system.threads,
        workers=system.workers,
    )
    return [*steps, *runnable.steps], table


def _own(position: int) -> str:
    """What steps and inputs of one system begin with: its own artifact is the input of this name."""
    return f"s{position}"
