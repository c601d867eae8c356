"""How a benchmark looks on a terminal: speed, what a start costs, and speed at forced lengths."""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.benchmark.figures import NOISY_WIDTH, BenchmarkRow, LengthBucket
from lingolite_cli.console import Console
from lingolite_cli.evaluation.intervals import spelled
from lingolite_cli.runs.measured_results import BenchmarkResult


def show_benchmark(result: BenchmarkResult, console: Console) -> None:
    """Four tables, none wider than a terminal of 80 columns, and what to know before one trusts them."""
    _show_speed(result, console)
    _show_latencies(result, console)
    _show_costs(result, console)
    if result.buckets:
        _show_lengths(result, console)
    beams = "greedy" if result.decoding.beam_size == 1 else f"beam {result.decoding.beam_size}"
    console.print(
        f"{result.effort}, {beams}, median of {result.rounds} rounds taken in turn; ratio to {result.systems[0].name}"
    )
    noisy = _num_noisy(result)
    if noisy:
        console.warn(
            f"{noisy} of the figures are noisy: their rounds lie more than {NOISY_WIDTH:.0%} of the median apart, too "
            "far to conclude from; take more rounds, or a quieter machine"
        )


def _show_speed(result: BenchmarkResult, console: Console) -> None:
    columns = ["system", "batch", "tokens/s", "ms/token", "ratio", "over the rounds"]
    rows = [
        [
            system.name,
            str(row.batch_size),
            f"{row.tokens_per_second:,.0f}",
            f"{1e3 / row.tokens_per_second:.3g}",
            "" if row.ratio is None else f"{row.ratio.median:.2f}×",
            "" if row.ratio is None else _range(row.ratio.low, row.ratio.high, is_noisy=row.ratio.is_noisy),
        ]
        for system in result.systems
        for row in system.rows
    ]
    console.table(columns, rows, right=",".join(columns[1:]))


def _show_latencies(result: BenchmarkResult, console: Console) -> None:
    """Of sentences one at a time; systems whose workers share them have none."""
    columns = ["system", "first token ms", "p50 ms", "p95 ms", "p99 ms"]
    rows = [
        [system.name, *(_milliseconds(value) for value in (system.first_token_ms, *_latencies(system.rows)))]
        for system in result.systems
        if any(value is not None for value in (system.first_token_ms, *_latencies(system.rows)))
    ]
    if rows:
        console.table(columns, rows, right=",".join(columns[1:]), title="latency, one sentence at a time")


def _show_costs(result: BenchmarkResult, console: Console) -> None:
    columns = ["system", "load s", "cold start s", "peak MB", "disk MB"]
    rows = [
        [
            system.name,
            f"{system.load_seconds:.2f}",
            "" if system.cold_start_seconds is None else f"{system.cold_start_seconds:.2f}",
            "" if system.peak_memory_mb is None else f"{system.peak_memory_mb:.0f}",
            f"{system.artifact.size_bytes / 1e6:.2f}",
        ]
        for system in result.systems
    ]
    console.table(columns, rows, right=",".join(columns[1:]))


def _show_lengths(result: BenchmarkResult, console: Console) -> None:
    columns = ["tokens", "batch", "system", "ms/sentence", "ratio", "over the rounds"]
    rows = [
        [
            str(bucket.num_tokens),
            str(bucket.batch_size),
            bucket.system,
            f"{bucket.milliseconds:.1f}",
            f"{bucket.ratio:.2f}×",
            _bucket_range(bucket),
        ]
        for bucket in result.buckets
    ]
    right = ",".join(column for column in columns if column != "system")
    console.table(columns, rows, title="every hypothesis forced to so many target tokens", right=right)


def _latencies(rows: Sequence[BenchmarkRow]) -> tuple[float | None, ...]:
    """Percentiles of batches of one sentence; None where there are none."""
    single = next((row for row in rows if row.latency_p50_ms is not None), None)
    return (single.latency_p50_ms, single.latency_p95_ms, single.latency_p99_ms) if single else (None, None, None)


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _bucket_range(bucket: LengthBucket) -> str:
    return _range(bucket.low, bucket.high, is_noisy=bucket.is_noisy)


def _range(low: float, high: float, *, is_noisy: bool) -> str:
    """The range of a ratio; the first system has none, and may be noisy all the same."""
    width = "" if low == high == 1 else spelled(low, high, "{:.2f}".format, between="–")
    return " ".join(filter(None, ["noisy" if is_noisy else "", width]))


def _num_noisy(result: BenchmarkResult) -> int:
    rows = [row.ratio.is_noisy for system in result.systems for row in system.rows if row.ratio is not None]
    return sum([*rows, *(bucket.is_noisy for bucket in result.buckets)])
