"""The figures of a benchmark: throughput, the latencies of sentences, and speed by length."""

from __future__ import annotations

from lingolite_cli.runs.results import BenchmarkResult
from lingolite_cli.views import formats
from lingolite_cli.views.charts import DASHES, MUTED, SYSTEMS, canvas, scale_by_tens, tip
from lingolite_cli.views.drawing import Figure, draw_bars, finish


def speed_figures(result: BenchmarkResult, step: str) -> list[Figure]:
    """Every figure of one benchmark, drawn under `charts.style`."""
    return [*_throughputs(result, step), *_distributions(result, step), *_buckets(result, step)]


def _throughputs(result: BenchmarkResult, step: str) -> list[Figure]:
    speeds: dict[int, dict[str, float]] = {}
    for system in result.systems:
        for row in system.rows:
            speeds.setdefault(row.batch_size, {})[system.name] = row.tokens_per_second
    figures = []
    for batch, by_system in speeds.items():
        drawing, axes = canvas(len(by_system))
        draw_bars(
            axes, list(by_system), list(by_system.values()), texts=[f"{speed:,.0f}" for speed in by_system.values()]
        )
        title = f"Tokens per second, batch {batch}"
        figures.append(finish(drawing, f"throughput-{step}-{batch}", title=title, caption="More is faster."))
    return figures


def _distributions(result: BenchmarkResult, step: str) -> list[Figure]:
    """How many of the sentences are translated within so many milliseconds, for each system."""
    measured = [
        (system.name, row) for system in result.systems for row in system.rows if len(row.latency_quantiles_ms) > 1
    ]
    if not measured:
        return []
    drawing, axes = canvas(6)
    axes.grid(visible=True, axis="both")
    tips: dict[int, str] = {}
    for number, (name, row) in enumerate(measured):
        shares = [100 * place / (len(row.latency_quantiles_ms) - 1) for place in range(len(row.latency_quantiles_ms))]
        colour, dashes = SYSTEMS[number % len(SYSTEMS)], DASHES[number % len(DASHES)]
        axes.plot(row.latency_quantiles_ms, shares, dashes, color=colour, label=name, linewidth=1.6)
        marks = ((50, row.latency_p50_ms), (95, row.latency_p95_ms), (99, row.latency_p99_ms))
        for share, milliseconds in marks:
            if milliseconds is not None:
                tips[len(tips)] = f"{name}: p{share} {formats.significant(milliseconds)} ms"
                axes.plot(milliseconds, share, "o", color=colour, markersize=5, gid=tip(len(tips) - 1))
    scale_by_tens(axes, "x")
    axes.set_xlabel("ms a sentence")
    axes.set_ylabel("% of sentences")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=min(len(measured), 3))
    title, caption = "Latency of sentences, batch 1", "Further left is faster; dots mark p50, p95 and p99."
    return [finish(drawing, f"latency-{step}", title=title, caption=caption, tips=tips)]


def _buckets(result: BenchmarkResult, step: str) -> list[Figure]:
    first = result.systems[0].name
    batch = min((bucket.batch_size for bucket in result.buckets), default=1)
    shown = [bucket for bucket in result.buckets if bucket.batch_size == batch]
    others = [name for name in dict.fromkeys(bucket.system for bucket in shown) if name != first]
    if not others:
        return []
    drawing, axes = canvas(5)
    axes.grid(visible=True, axis="both")
    axes.axhline(1.0, color=MUTED, linewidth=1, linestyle="--")
    for number, name in enumerate(others):
        buckets = sorted((b for b in shown if b.system == name), key=lambda bucket: bucket.num_tokens)
        lengths = [bucket.num_tokens for bucket in buckets]
        colour, dashes = SYSTEMS[number % len(SYSTEMS)], DASHES[number % len(DASHES)]
        axes.fill_between(lengths, [b.low for b in buckets], [b.high for b in buckets], color=colour, alpha=0.2)
        axes.plot(lengths, [b.ratio for b in buckets], f"o{dashes}", color=colour, label=name, markersize=5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("target tokens")
    axes.legend()
    title, caption = f"Times as fast as {first}, by target length", f"Batch {batch}; the band spans the paired rounds."
    return [finish(drawing, f"buckets-{step}", title=title, caption=caption)]
