"""How a benchmark looks on a terminal: speed, what a start costs, and speed at forced lengths."""

from __future__ import annotations

from lingolite_cli.benchmark.figures import NOISY_WIDTH, BenchmarkRow, LengthBucket
from lingolite_cli.console import Console
from lingolite_cli.evaluation.intervals import spelled
from lingolite_cli.runs.results import BenchmarkResult


def show_benchmark(result: BenchmarkResult, console: Console) -> None:
    """Three tables, and what to know before one trusts them."""
    _show_speed(result, console)
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
    columns = ["system", "batch", "tokens/s", "ms/token", "ratio", "over the rounds", "p50 / p95 / p99 ms"]
    rows = [
        [
            system.name,
            str(row.batch_size),
            f"{row.tokens_per_second:,.0f}",
            f"{1e3 / row.tokens_per_second:.3g}",
            "" if row.ratio is None else f"{row.ratio.median:.2f}×",
            "" if row.ratio is None else _range(row.ratio.low, row.ratio.high, is_noisy=row.ratio.is_noisy),
            _latencies(row),
        ]
        for system in result.systems
        for row in system.rows
    ]
    console.table(columns, rows, right=",".join(columns[1:]))


def _show_costs(result: BenchmarkResult, console: Console) -> None:
    columns = ["system", "load s", "cold start s", "first token ms", "peak MB", "disk MB"]
    rows = [
        [
            system.name,
            f"{system.load_seconds:.2f}",
            "" if system.cold_start_seconds is None else f"{system.cold_start_seconds:.2f}",
            "" if system.first_token_ms is None else f"{system.first_token_ms:.1f}",
            "" if system.peak_memory_mb is None else f"{system.peak_memory_mb:.0f}",
            f"{system.artifact.size_bytes / 1e6:.2f}",
        ]
        for system in result.systems
    ]
    console.table(columns, rows, right=",".join(columns[1:]))


def _show_lengths(result: BenchmarkResult, console: Console) -> None:
    columns = ["target tokens", "batch", "system", "ms/sentence", "ms/token", "ratio", "over the rounds"]
    rows = [
        [
            str(bucket.num_tokens),
            str(bucket.batch_size),
            bucket.system,
            f"{bucket.milliseconds:.1f}",
            f"{bucket.milliseconds / bucket.num_tokens:.3g}",
            f"{bucket.ratio:.2f}×",
            _bucket_range(bucket),
        ]
        for bucket in result.buckets
    ]
    right = ",".join(column for column in columns if column != "system")
    console.table(columns, rows, title="every hypothesis forced to the length", right=right)


def _latencies(row: BenchmarkRow) -> str:
    known = [value for value in (row.latency_p50_ms, row.latency_p95_ms, row.latency_p99_ms) if value is not None]
    return " / ".join(f"{value:.1f}" for value in known)


def _bucket_range(bucket: LengthBucket) -> str:
    return _range(bucket.low, bucket.high, is_noisy=bucket.is_noisy)


def _range(low: float, high: float, *, is_noisy: bool) -> str:
    """The range of a ratio; the first system has none, and may be noisy all the same."""
    width = "" if low == high == 1 else spelled(low, high, "{:.2f}".format, between="–")
    return " ".join(filter(None, ["noisy" if is_noisy else "", width]))


def _num_noisy(result: BenchmarkResult) -> int:
    rows = [row.ratio.is_noisy for system in result.systems for row in system.rows if row.ratio is not None]
    return sum([*rows, *(bucket.is_noisy for bucket in result.buckets)])
