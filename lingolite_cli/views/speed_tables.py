"""The tables of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from lingolite_cli.benchmark.figures import Round, Timing
from lingolite_cli.budgets.budget import TimedRounds
from lingolite_cli.budgets.table import BUDGETS
from lingolite_cli.evaluation.intervals import spelled
from lingolite_cli.runs.measured_results import BenchmarkResult
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table


def speed_table(result: BenchmarkResult, *, step: str) -> Table:
    """Speed and latency of each system at each batch size."""
    columns = [
        Column("System", "code"),
        Column("Batch", "number"),
        Column("Tokens/s", "number"),
        Column("Of the first", "number"),
        Column("Over rounds", "number"),
        Column("p50, ms", "number"),
        Column("p95, ms", "number"),
        Column("p99, ms", "number"),
    ]
    first = {row.batch_size: row.tokens_per_second for row in result.systems[0].rows}
    rows = [
        [
            system.name,
            str(row.batch_size),
            formats.significant(row.tokens_per_second),
            formats.ratio(row.ratio.median if row.ratio else row.tokens_per_second / first[row.batch_size]),
            _over_rounds(row.ratio.low, row.ratio.high, is_noisy=row.ratio.is_noisy) if row.ratio else formats.NOTHING,
            formats.optional(row.latency_p50_ms),
            formats.optional(row.latency_p95_ms),
            formats.optional(row.latency_p99_ms),
        ]
        for system in result.systems
        for row in system.rows
    ]
    beams = "" if result.decoding.beam_size == 1 else f", beam {result.decoding.beam_size}"
    return Table(f"Speed ({step}: {result.effort}, {result.rounds} rounds{beams})", columns, rows)


def start_table(result: BenchmarkResult, *, step: str) -> Table:
    """Start times, memory and size of each system."""
    columns = [
        Column("System", "code"),
        Column("Load, s", "number"),
        Column("Cold start, s", "number"),
        Column("First token, ms", "number"),
        Column("Peak, MB", "number"),
        Column("Size, MB", "number"),
    ]
    rows = [
        [
            system.name,
            formats.significant(system.load_seconds),
            formats.optional(system.cold_start_seconds),
            formats.optional(system.first_token_ms),
            formats.optional(system.peak_memory_mb),
            formats.megabytes(system.artifact.size_bytes),
        ]
        for system in result.systems
    ]
    return Table(f"Start and memory ({step}: each system alone in a fresh process)", columns, rows)


def _over_rounds(low: float, high: float, *, is_noisy: bool) -> str:
    """The range of a ratio over rounds, marked where it is noisy."""
    return f"{'noisy: ' if is_noisy else ''}{spelled(low, high, formats.ratio)}"


def buckets_table(result: BenchmarkResult, *, step: str) -> Table | None:
    """Speed by forced target length, against the first system."""
    if not result.buckets:
        return None
    columns = [
        Column("System", "code"),
        Column("Target tokens", "number"),
        Column("Batch", "number"),
        Column("ms a sentence", "number"),
        Column("Ratio", "number"),
        Column("Over rounds", "number"),
    ]
    rows = [
        [
            bucket.system,
            str(bucket.num_tokens),
            str(bucket.batch_size),
            formats.optional(bucket.milliseconds),
            formats.ratio(bucket.ratio),
            _over_rounds(bucket.low, bucket.high, is_noisy=bucket.is_noisy),
        ]
        for bucket in result.buckets
    ]
    caption = f"Speed by target length ({step}): times as fast as {result.systems[0].name}"
    return Table(caption, columns, rows, is_folded=True)


def rounds_table(timing: Timing, *, step: str) -> Table:
    """Medians over the rounds that budgets on time and memory were judged on: a column for each figure of the table."""
    figures = [(budget.heading, budget.rule) for budget in BUDGETS.values() if not budget.is_ratio]
    timed = {heading: rule for heading, rule in figures if isinstance(rule, TimedRounds)}
    columns = [Column("System", "code"), Column("Rounds", "number"), *(Column(name, "number") for name in timed)]
    rows = [
        [system.name, str(len(system.rounds)), *(_median(rule, system.rounds) for rule in timed.values())]
        for system in timing.systems
    ]
    threads = timing.machine or ("1 thread" if timing.threads == 1 else f"{timing.threads} threads")
    caption = f"Rounds that budgets were judged on ({step}: medians, {timing.num_sentences} sentences, {threads})"
    return Table(caption, columns, rows)


def _median(rule: TimedRounds, rounds: Sequence[Round]) -> str:
    """Over the rounds in which it was measured."""
    values = [value for value in map(rule.read, rounds) if value is not None]
    return formats.optional(median(values) if values else None)
