"""The figures of a report: SVG that takes its colours from the page and is the same for the same run.

Owns what is drawn. Colours are named in the drawing by reserved values and turned into the page's CSS variables,
so that one figure serves light and dark.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from lingolite_cli.recipe.record import BenchmarkResult, RunManifest, SearchResult
from lingolite_reports import formats
from lingolite_reports.searches import searches
from lingolite_reports.sections import Key
from lingolite_reports.tables import artifacts, benchmarks, evaluations, verifications

_INK, _MUTED, _LINE = "#010101", "#020202", "#030303"
_SERIES = ("#040401", "#040402", "#040403", "#040404", "#040405")
_CSS = {
    _INK: "currentColor",
    _MUTED: "var(--muted)",
    _LINE: "var(--line)",
    **{colour: f"var(--series-{number})" for number, colour in enumerate(_SERIES, start=1)},
}
_WIDTH = 4.2  # inches: 302 points, what a phone leaves to a figure, so that its text is not scaled down
_STYLE: dict[Any, Any] = {  # Any: matplotlib types its keys as a Literal of all settings
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "xtick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
    "ytick.left": False,
    "legend.frameon": False,
    "savefig.transparent": True,
}


class Figure(msgspec.Struct, frozen=True):
    """An inline SVG element, and what it shows in words. `name` is unlike that of any other figure of the run."""

    name: str
    svg: str
    title: str
    caption: str


def draw(manifest: RunManifest) -> dict[Key, list[Figure]]:
    """The figures of each section that has some."""
    with mpl.rc_context(_STYLE):
        found: dict[Key, list[Figure]] = {
            "training": _training_curves(manifest),
            "search": [_mixes(step, result) for step, result in searches(manifest)],
            "quality": _quality(manifest),
            "size": [*_sizes(manifest), *_trade_off(manifest)],
            "speed": [
                figure
                for step, result in benchmarks(manifest)
                if result.systems
                for figure in (*_throughputs(result, step), *_latency(result, step), *_buckets(result, step))
            ],
        }
    return {key: figures for key, figures in found.items() if figures}


def _canvas(rows: float) -> tuple[Canvas, Axes]:
    """A figure tall enough for so many rows."""
    canvas = Canvas(figsize=(_WIDTH, 0.6 + 0.36 * rows), layout="constrained")
    return canvas, canvas.subplots()


def _label_rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)  # the first on top


def _bars(axes: Axes, labels: Sequence[str], values: Sequence[float], *, texts: Sequence[str]) -> None:
    """A horizontal bar for each label, with its value behind it."""
    axes.barh(range(len(values)), values, height=0.55, color=_SERIES[0])
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, max(values) * 1.15)
    _label_rows(axes, labels)


def _sizes(manifest: RunManifest) -> list[Figure]:
    rows = artifacts(manifest)
    if not rows:
        return []
    canvas, axes = _canvas(len(rows))
    texts = [formats.megabytes(row.artifact.size_bytes) for row in rows]
    _bars(axes, [row.label for row in rows], [row.artifact.size_bytes / 1e6 for row in rows], texts=texts)
    return [_figure(canvas, "sizes", title="Size in MB", caption="Everything that is shipped, tokenizer included.")]


def _trade_off(manifest: RunManifest) -> list[Figure]:
    """Score against size, where at least three sizes were scored."""
    systems = evaluations(manifest)
    metrics = [name for _, result in systems for name in result.metrics]
    if len({result.artifact.size_bytes for _, result in systems}) < 3 or not metrics:
        return []
    metric = "chrf" if "chrf" in metrics else metrics[0]
    scored = [result for _, result in systems if metric in result.metrics]
    canvas, axes = _canvas(6)
    axes.grid(visible=True, axis="both")
    axes.margins(x=0.3, y=0.2)
    named: set[tuple[str, float]] = set()
    for result in scored:
        size_mb, score = result.artifact.size_bytes / 1e6, result.metrics[metric].value
        label = result.artifact.scheme or "float32"
        axes.plot(size_mb, score, "o", color=_SERIES[0], markersize=6)
        if (label, round(score, 2)) not in named:  # the same weights in another format lie beside it
            named.add((label, round(score, 2)))
            axes.annotate(label, (size_mb, score), (0, 7), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xlabel("MB")
    axes.set_ylabel(metric)
    axes.set_xlim(left=0)
    title = f"{metric} against size"
    return [_figure(canvas, "trade-off", title=title, caption="Up and to the left is better.")]


def _training_curves(manifest: RunManifest) -> list[Figure]:
    """The loss of each training by step, and below it the score of the dev text."""
    figures = []
    for step, result in manifest.trainings:
        curves = {"loss": [(point.step, point.loss) for point in result.curve if point.loss is not None]}
        if result.metric is not None:
            scores = [(point.step, point.dev_score) for point in result.curve if point.dev_score is not None]
            curves[f"dev {result.metric}"] = scores
        curves = {name: points for name, points in curves.items() if points}
        for name, points in curves.items():
            canvas, axes = _canvas(5)
            axes.grid(visible=True, axis="both")
            axes.plot(*zip(*points, strict=True), "-" if name == "loss" else "o-", color=_SERIES[0], linewidth=1.4)
            axes.set_xlabel("step")
            caption = "Nats a token, as it was minimized." if name == "loss" else "At each checkpoint."
            title = f"{step}: {name}"
            figures.append(_figure(canvas, f"curve-{step}-{name.split()[0]}", title=title, caption=caption))
    return figures


def _mixes(step: str, result: SearchResult) -> Figure:
    """Score against size of all mixes that a search tried, with their intervals, the model as it was and the budget."""
    canvas, axes = _canvas(8)
    axes.grid(visible=True, axis="both")
    axes.margins(x=0.15, y=0.15)
    before, verdict = result.trials[0].difference.reference, result.trials[0].verdict
    is_up = result.trials[0].higher_is_better
    axes.axhline(before, color=_MUTED, linewidth=1)
    axes.axhline(before - verdict.limit if is_up else before + verdict.limit, color=_SERIES[1], linestyle="--")
    for trial in result.trials:
        size_mb, seen = trial.size_bytes / 1e6, trial.difference
        is_chosen = trial.name == result.chosen
        colour = _SERIES[2] if is_chosen else _SERIES[0]
        top = seen.candidate
        if seen.low is not None and seen.high is not None:
            top = seen.reference + seen.high
            axes.plot([size_mb, size_mb], [seen.reference + seen.low, top], "-", color=colour, linewidth=1, alpha=0.6)
        axes.plot(size_mb, seen.candidate, "o", color=colour, markersize=8 if is_chosen else 5)
        if is_chosen or trial.is_uniform:
            label = trial.name.removeprefix("uniform ") if trial.is_uniform else "chosen"
            axes.annotate(label, (size_mb, top), (0, 4), textcoords="offset points", ha="center", fontsize=8)
    axes.set_xlabel("MB")
    axes.set_ylabel(result.metric)
    caption = "A bar is the interval of the difference; the line is the model as it was, the dashed one its budget."
    return _figure(canvas, f"trade-off-{step}", title=f"{result.metric} against size ({step})", caption=caption)


def _quality(manifest: RunManifest) -> list[Figure]:
    """The scores of the systems beside each other: a figure for each metric."""
    systems = evaluations(manifest)
    if len(systems) < 2:
        return []
    caption = "The dot is the score."
    if verifications(manifest):
        caption += " A bar is the interval of the difference from the reference; a dashed line is its budget."
    figures = []
    for metric in dict.fromkeys(name for _, result in systems for name in result.metrics):
        canvas, axes = _canvas(len(systems))
        _draw_metric(axes, metric, manifest)
        figures.append(_figure(canvas, f"quality-{metric}", title=metric, caption=caption))
    return figures


def _draw_metric(axes: Axes, metric: str, manifest: RunManifest) -> None:
    systems = evaluations(manifest)
    rows = {step: row for row, (step, _) in enumerate(systems)}
    for step, result in systems:
        if metric in result.metrics:
            value = result.metrics[metric].value
            axes.plot(value, rows[step], "o", color=_SERIES[0], markersize=7)
            axes.annotate(
                f"{value:.2f}", (value, rows[step]), (0, 6), textcoords="offset points", ha="center", fontsize=8
            )
    for _, verified in verifications(manifest):
        for difference in verified.differences:
            row = rows.get(verified.candidate)
            if row is None or difference.metric != metric or difference.low is None or difference.high is None:
                continue
            ends = [difference.reference + difference.low, difference.reference + difference.high]
            axes.plot(ends, [row, row], "-", color=_SERIES[0], linewidth=2)
    _draw_budgets(axes, metric, manifest)
    axes.margins(x=0.15)
    _label_rows(axes, list(rows))


def _draw_budgets(axes: Axes, metric: str, manifest: RunManifest) -> None:
    """A dashed line where each budget on a drop of this metric ends."""
    for _, verified in verifications(manifest):
        for difference in verified.differences:
            for verdict in verified.verdicts:
                # `seen` is the loss, so its sign against the difference tells which way is down; 0 tells nothing.
                if difference.metric == metric and verdict.budget == f"{metric}_drop_max" and verdict.seen:
                    is_rise = (verdict.seen > 0) == (difference.delta > 0)
                    bound = difference.reference + (verdict.limit if is_rise else -verdict.limit)
                    axes.axvline(bound, color=_SERIES[1], linestyle="--", linewidth=1.2)


def _throughputs(result: BenchmarkResult, step: str) -> list[Figure]:
    speeds: dict[int, dict[str, float]] = {}
    for system in result.systems:
        for row in system.rows:
            speeds.setdefault(row.batch_size, {})[system.name] = row.tokens_per_second
    figures = []
    for batch, by_system in speeds.items():
        canvas, axes = _canvas(len(by_system))
        _bars(axes, list(by_system), list(by_system.values()), texts=[f"{speed:,.0f}" for speed in by_system.values()])
        title = f"Tokens per second, batch {batch}"
        figures.append(_figure(canvas, f"throughput-{step}-{batch}", title=title, caption="More is faster."))
    return figures


def _latency(result: BenchmarkResult, step: str) -> list[Figure]:
    measured = [
        (system.name, row.latency_p50_ms, row.latency_p95_ms)
        for system in result.systems
        for row in system.rows
        if row.latency_p50_ms is not None and row.latency_p95_ms is not None
    ]
    if not measured:
        return []
    canvas, axes = _canvas(len(measured))
    for row, (_, p50, p95) in enumerate(measured):
        axes.plot([p50, p95], [row, row], "-", color=_SERIES[0], linewidth=2)
        axes.plot(p50, row, "o", color=_SERIES[0], markersize=7)
        axes.plot(p95, row, "|", color=_SERIES[0], markersize=11, markeredgewidth=2)
        axes.annotate(f"{p95:.3g}", (p95, row), (5, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xlim(0, max(p95 for _, _, p95 in measured) * 1.15)
    _label_rows(axes, [name for name, _, _ in measured])
    caption = "The dot is the median, the mark the 95th percentile; less is faster."
    return [_figure(canvas, f"latency-{step}", title="Milliseconds a sentence, batch 1", caption=caption)]


def _buckets(result: BenchmarkResult, step: str) -> list[Figure]:
    first = result.systems[0].name
    batch = min((bucket.batch_size for bucket in result.buckets), default=1)
    shown = [bucket for bucket in result.buckets if bucket.batch_size == batch]
    others = [name for name in dict.fromkeys(bucket.system for bucket in shown) if name != first]
    if not others:
        return []
    canvas, axes = _canvas(5)
    axes.grid(visible=True, axis="both")
    axes.axhline(1.0, color=_MUTED, linewidth=1, linestyle="--")
    for number, name in enumerate(others):
        buckets = sorted((b for b in shown if b.system == name), key=lambda bucket: bucket.num_tokens)
        lengths = [bucket.num_tokens for bucket in buckets]
        colour = _SERIES[number % len(_SERIES)]
        axes.fill_between(lengths, [b.low for b in buckets], [b.high for b in buckets], color=colour, alpha=0.2)
        axes.plot(lengths, [b.ratio for b in buckets], "o-", color=colour, label=name, markersize=5)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("target tokens")
    axes.legend()
    title, caption = f"Times as fast as {first}, by target length", f"Batch {batch}; the band spans the paired rounds."
    return [_figure(canvas, f"buckets-{step}", title=title, caption=caption)]


def _figure(canvas: Canvas, name: str, *, title: str, caption: str) -> Figure:
    buffer = StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        canvas.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Figure(name, _inline(buffer.getvalue(), name), title, caption)


def _inline(document: str, name: str) -> str:
    """The SVG element of a document, with ids of its own and the page's colours, and with no outside name."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (?:xmlns(?::\w+)?|version)="[^"]*"', "", svg)
    svg = svg.replace("xlink:href=", "href=")
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
    for colour, variable in _CSS.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg", '<svg role="presentation"', 1).strip()
