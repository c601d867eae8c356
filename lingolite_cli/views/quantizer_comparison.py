"""How a comparison of quantizers looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.console import Console
from lingolite_cli.evaluation.intervals import SIGNED, spelled
from lingolite_cli.jobs.quantizer_comparison import QuantizerComparison, QuantizerRow


def show_quantizer_comparison(comparison: QuantizerComparison, console: Console) -> None:
    """Quality, with the 95 % interval of each difference; then size and speed."""
    console.print_json(comparison.report())
    rows = comparison.rows
    batches = list(rows[0].tokens_per_second)
    columns = ["method", "backend", "parity"]
    for difference in rows[0].metrics:
        columns += [difference.metric, "Δ", "interval"]
    console.table(columns, [_quality(row) for row in rows], right=",".join(columns[2:]))
    console.print("intervals are those of the difference at 95 %, by the paired bootstrap")
    columns = ["method", "backend", "MB", "ratio", *(f"tokens/s @{size}" for size in batches)]
    console.table(columns, [_costs(row, batches) for row in rows], right=",".join(columns[2:]))
    console.print(f"results: {comparison.results}\nreport:  {comparison.directory / 'report.html'}")


def _quality(row: QuantizerRow) -> list[str]:
    cells = [row.method, row.backend, "" if row.parity is None else f"{row.parity:.2%}"]
    for difference in row.metrics:
        interval = spelled(difference.low, difference.high, between=" ")
        cells += [f"{difference.candidate:.2f}", SIGNED(difference.delta), interval]
    return cells


def _costs(row: QuantizerRow, batches: Sequence[str]) -> list[str]:
    speeds = [f"{row.tokens_per_second[size]:,.0f}" for size in batches]
    return [row.method, row.backend, f"{row.size_mb:.2f}", f"{row.size_ratio:.3f}", *speeds]
