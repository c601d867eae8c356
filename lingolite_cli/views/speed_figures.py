"""The figures of a benchmark: throughput, the latencies of sentences, and speed by length."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lingolite_cli.benchmark.figures import BenchmarkRow, LengthBucket
from lingolite_cli.runs.measured_results import BenchmarkResult
from lingolite_cli.views import formats
from lingolite_cli.views.charts import DASHES, SYSTEMS, muted, scale_by_tens, start_at_zero, tip
from lingolite_cli.views.drawing import Chart, draw_bars

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEGEND_WIDTH = 52
"""Characters beside one another in the legend of a chart; a wider one would leave the axes no room."""

_LEGEND_LINE = 0.6
"""Its height, in rows of text."""


def speed_charts(result: BenchmarkResult, step: str) -> list[Chart]:
    """Every figure of one benchmark, which has systems."""
    return [*_throughputs(result, step), *_distributions(result, step), *_times(result, step), *_ratios(result, step)]


def _throughputs(result: BenchmarkResult, step: str) -> list[Chart]:
    rows: dict[int, dict[str, BenchmarkRow]] = {}
    for system in result.systems:
        for row in system.rows:
            rows.setdefault(row.batch_size, {})[system.name] = row
    return [_throughput(batch, by_system, f"throughput-{step}-{batch}") for batch, by_system in rows.items()]


def _throughput(batch: int, rows: Mapping[str, BenchmarkRow], name: str) -> Chart:
    """Bars from zero: their lengths are to be compared."""

    def draw(axes: Axes) -> dict[int, str]:
        speeds = [row.tokens_per_second for row in rows.values()]
        draw_bars(axes, list(rows), speeds, texts=[f"{speed:,.0f}" for speed in speeds])
        return {}

    apart = max(row.spread for row in rows.values())
    caption = f"More is faster. Medians over rounds, which lie up to {formats.percent(apart)} of the median apart."
    return Chart(name=name, title=f"Tokens per second, batch {batch}", caption=caption, rows=len(rows), draw=draw)


def _distributions(result: BenchmarkResult, step: str) -> list[Chart]:
    """How many of the sentences are translated within so many milliseconds, for each system."""
    measured = [
        (system.name, row) for system in result.systems for row in system.rows if len(row.latency_quantiles_ms) > 1
    ]
    names = [name for name, _ in measured]

    def draw(axes: Axes) -> dict[int, str]:
        axes.grid(visible=True, axis="both")
        tips: dict[int, str] = {}
        for number, (name, row) in enumerate(measured):
            count = len(row.latency_quantiles_ms)
            shares = [100 * place / (count - 1) for place in range(count)]
            axes.plot(
                row.latency_quantiles_ms, shares, _dashes(number), label=name, linewidth=1.6, color=_colour(number)
            )
            for share, milliseconds in (
                (50, row.latency_p50_ms),
                (95, row.latency_p95_ms),
                (99, row.latency_p99_ms),
            ):
                if milliseconds is not None:
                    tips[len(tips)] = f"{name}: p{share} {formats.significant(milliseconds)} ms"
                    axes.plot(milliseconds, share, "o", markersize=5, gid=tip(len(tips) - 1), color=_colour(number))
        scale_by_tens(axes, "x")
        axes.set_xlabel("ms a sentence")
        axes.set_ylabel("% of sentences")
        _name_lines(axes, names)
        return tips

    title, caption = "Latency of sentences, batch 1", "Further left is faster; dots mark p50, p95 and p99."
    return (
        [Chart(name=f"latency-{step}", title=title, caption=caption, rows=_rows(6, names), draw=draw)]
        if measured
        else []
    )


def _times(result: BenchmarkResult, step: str) -> list[Chart]:
    """Milliseconds a sentence by forced length: a figure for each batch size."""
    return [
        _time_by_length([bucket for bucket in result.buckets if bucket.batch_size == batch], f"times-{step}-{batch}")
        for batch in sorted({bucket.batch_size for bucket in result.buckets})
    ]


def _time_by_length(buckets: Sequence[LengthBucket], name: str) -> Chart:
    systems = list(dict.fromkeys(bucket.system for bucket in buckets))

    def draw(axes: Axes) -> dict[int, str]:
        axes.grid(visible=True, axis="both")
        for number, system in enumerate(systems):
            own = _by_length(buckets, system)
            lengths, times = [bucket.num_tokens for bucket in own], [bucket.milliseconds for bucket in own]
            axes.plot(lengths, times, f"o{_dashes(number)}", label=system, markersize=5, color=_colour(number))
        axes.set_xlim(left=0)
        start_at_zero(axes)
        axes.set_xlabel("target tokens")
        _name_lines(axes, systems)
        return {}

    title = f"Milliseconds a sentence by target length, batch {buckets[0].batch_size}"
    caption = "Lower is faster; every hypothesis is forced to the length."
    return Chart(name=name, title=title, caption=caption, rows=_rows(5, systems), draw=draw)


def _ratios(result: BenchmarkResult, step: str) -> list[Chart]:
    first = result.systems[0].name
    batch = min((bucket.batch_size for bucket in result.buckets), default=1)
    shown = [bucket for bucket in result.buckets if bucket.batch_size == batch]
    others = [name for name in dict.fromkeys(bucket.system for bucket in shown) if name != first]

    def draw(axes: Axes) -> dict[int, str]:
        axes.grid(visible=True, axis="both")
        axes.axhline(1.0, color=muted(), linewidth=1, linestyle="--")
        for number, name in enumerate(others):
            own = _by_length(shown, name)
            lengths = [bucket.num_tokens for bucket in own]
            band = [bucket.low for bucket in own], [bucket.high for bucket in own]
            axes.fill_between(lengths, *band, alpha=0.2, color=_colour(number))
            ratios = [bucket.ratio for bucket in own]
            axes.plot(lengths, ratios, f"o{_dashes(number)}", label=name, markersize=5, color=_colour(number))
        start_at_zero(axes)
        axes.set_xlabel("target tokens")
        _name_lines(axes, others)
        return {}

    title, caption = f"Times as fast as {first}, by target length", f"Batch {batch}; the band spans the paired rounds."
    return (
        [Chart(name=f"buckets-{step}", title=title, caption=caption, rows=_rows(5, others), draw=draw)]
        if others
        else []
    )


def _by_length(buckets: Sequence[LengthBucket], system: str) -> list[LengthBucket]:
    return sorted((one for one in buckets if one.system == system), key=lambda bucket: bucket.num_tokens)


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    """The legend above the axes, where it covers nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=_columns(names), borderaxespad=0.2)


def _columns(names: Sequence[str]) -> int:
    """Columns of the legend: three at most, and as many as the longest name leaves room for, with its line's sample."""
    return max(1, min(3, len(names), _LEGEND_WIDTH // (max(map(len, names), default=0) + 6)))


def _rows(rows: float, names: Sequence[str]) -> float:
    """The height of a chart with so many rows and a legend of one line, for the legend that the names take."""
    return rows + _LEGEND_LINE * (math.ceil(len(names) / _columns(names)) - 1) if names else rows


def _colour(number: int) -> str:
    return SYSTEMS[number % len(SYSTEMS)]


def _dashes(number: int) -> str:
    return DASHES[number % len(DASHES)]
