"""The figures of a report on training, searches, quality and size; those on speed are in `speed_figures`.

Owns what is drawn. How a drawing looks, and how it becomes an element of a page, is `lingolite_cli.views.charts`.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from lingolite_cli.budgets.table import drop_budget
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.charts import SERIES, canvas, muted, style, tip
from lingolite_cli.views.drawing import Figure, draw_bars, finish, label_rows
from lingolite_cli.views.speed_figures import speed_charts
from lingolite_reports.content import Key
from lingolite_reports.gauges import draw_gauges
from lingolite_reports.lengths import buckets
from lingolite_reports.parity_figures import parity_figures
from lingolite_reports.results import artifacts, benchmarks, evaluations, verifications
from lingolite_reports.searches import searches
from lingolite_reports.sentences import Pairing

_MOST_PAIRS = 4
"""Pairs of systems; more would be too many figures, and the table is clearer."""

_LEAST_SPAN = 2.0


def draw(manifest: RunManifest, pairs: Sequence[Pairing] = ()) -> dict[Key, list[Figure]]:
    """The figures of each section that has some; `pairs` as in `lingolite_reports.sections.compose`."""
    with style():
        found: dict[Key, list[Figure]] = {
            "budgets": draw_gauges(manifest),
            "training": _training_curves(manifest),
            "search": [_mixes(step, result) for step, result in searches(manifest)],
            "quality": [*_quality(manifest), *_by_length(pairs)],
            "parity": parity_figures(manifest),
            "size": [*_sizes(manifest), *_trade_off(manifest)],
            "speed": [
                chart.figure()
                for step, result in benchmarks(manifest)
                if result.systems
                for chart in speed_charts(result, step)
            ],
        }
    return {key: figures for key, figures in found.items() if figures}


def _sizes(manifest: RunManifest) -> list[Figure]:
    rows = artifacts(manifest)
    if not rows:
        return []
    drawing, axes = canvas(len(rows))
    texts = [formats.megabytes(row.artifact.size_bytes) for row in rows]
    draw_bars(axes, [row.label for row in rows], [row.artifact.size_bytes / 1e6 for row in rows], texts=texts)
    return [finish(drawing, "sizes", title="Size in MB", caption="Everything that is shipped, tokenizer included.")]


def _trade_off(manifest: RunManifest) -> list[Figure]:
    """Score against size for two sizes or more, with latencies where they were measured."""
    systems = evaluations(manifest)
    metrics = [name for _, result in systems for name in result.metrics]
    if len({result.artifact.size_bytes for _, result in systems}) < 2 or not metrics:
        return []
    metric = "chrf" if "chrf" in metrics else metrics[0]
    latencies = _latencies(manifest)
    drawing, axes = canvas(6)
    axes.grid(visible=True, axis="both")
    axes.margins(x=0.3, y=0.3)
    named: set[tuple[str, float]] = set()
    tips: dict[int, str] = {}
    for step, result in [pair for pair in systems if metric in pair[1].metrics]:
        size_mb, score = result.artifact.size_bytes / 1e6, result.metrics[metric].value
        latency = latencies.get((result.artifact.digest, result.backend))
        time = "" if latency is None else f"\n{formats.significant(latency)} ms"
        tips[len(tips)] = f"{step}: {size_mb:.2f} MB, {metric} {score:.2f}{time.replace(chr(10), ', ')}"
        axes.plot(size_mb, score, "o", color=SERIES[0], markersize=6, gid=tip(len(tips) - 1))
        label = result.artifact.scheme or "float32"
        if (label, round(score, 2)) not in named:  # the same weights in another format lie beside it
            named.add((label, round(score, 2)))
            above = (size_mb, score), (0, 7)
            axes.annotate(label + time, *above, textcoords="offset points", ha="center", fontsize=8)
    _widen(axes)
    axes.set_xlabel("MB")
    axes.set_ylabel(metric)
    axes.set_xlim(left=0)
    caption = "Up and to the left is better."
    if latencies:
        caption += " Milliseconds are the median of a sentence, alone in its batch."
    return [finish(drawing, "trade-off", title=f"{metric} against size", caption=caption, tips=tips)]


def _widen(axes: Axes) -> None:
    """Show at least two points of a score: a narrower axis would magnify differences that are noise."""
    low, high = axes.get_ylim()
    if high - low < _LEAST_SPAN:
        middle = (low + high) / 2
        axes.set_ylim(middle - _LEAST_SPAN / 2, middle + _LEAST_SPAN / 2)


def _latencies(manifest: RunManifest) -> dict[tuple[str, str], float]:
    """Median milliseconds a sentence by artifact and backend, as the first benchmark has them."""
    found: dict[tuple[str, str], float] = {}
    for _, result in benchmarks(manifest):
        for system in result.systems:
            for row in system.rows:
                if row.latency_p50_ms is not None:
                    found.setdefault((system.artifact.digest, system.backend), row.latency_p50_ms)
    return found


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
            drawing, axes = canvas(5)
            axes.grid(visible=True, axis="both")
            axes.plot(*zip(*points, strict=True), "-" if name == "loss" else "o-", color=SERIES[0], linewidth=1.4)
            axes.set_xlabel("step")
            caption = "Nats a token, as it was minimized." if name == "loss" else "At each checkpoint."
            title = f"{step}: {name}"
            figures.append(finish(drawing, f"curve-{step}-{name.split()[0]}", title=title, caption=caption))
    return figures


def _mixes(step: str, result: SearchResult) -> Figure:
    """Score against size of all mixes that a search tried, with intervals, the original model and the budget."""
    drawing, axes = canvas(8)
    axes.grid(visible=True, axis="both")
    axes.margins(x=0.15, y=0.15)
    before, verdict = result.trials[0].difference.reference, result.trials[0].verdict
    is_up = result.trials[0].higher_is_better
    axes.axhline(before, color=muted(), linewidth=1)
    axes.axhline(before - verdict.limit if is_up else before + verdict.limit, color=SERIES[1], linestyle="--")
    for trial in result.trials:
        size_mb, seen = trial.size_bytes / 1e6, trial.difference
        is_chosen = trial.name == result.chosen
        colour = SERIES[2] if is_chosen else SERIES[0]
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
    return finish(drawing, f"trade-off-{step}", title=f"{result.metric} against size ({step})", caption=caption)


def _quality(manifest: RunManifest) -> list[Figure]:
    """The scores of the systems beside each other: a figure for each metric."""
    systems = evaluations(manifest)
    if len(systems) < 2:
        return []
    figures = []
    for metric in dict.fromkeys(name for _, result in systems for name in result.metrics):
        drawing, axes = canvas(len(systems))
        _draw_metric(axes, metric, manifest)
        caption = "The dot is the score."
        if verifications(manifest):
            caption += " A bar is the interval of the difference from the reference."
        if any(verdict.budget == drop_budget(metric).name for _, verdict in manifest.verdicts):
            caption += " A dashed line is its budget."
        figures.append(finish(drawing, f"quality-{metric}", title=metric, caption=caption))
    return figures


def _by_length(pairs: Sequence[Pairing]) -> list[Figure]:
    """Difference by length of the source, with its interval: a figure for each pair, if there are few."""
    if len(pairs) > _MOST_PAIRS:
        return []
    figures = []
    for number, pairing in enumerate(pairs):
        found = buckets(pairing)
        drawing, axes = canvas(len(found))
        axes.axvline(0.0, color=muted(), linewidth=1)
        tips: dict[int, str] = {}
        for row, bucket in enumerate(found):
            if bucket.low is not None and bucket.high is not None:
                axes.plot([bucket.low, bucket.high], [row, row], "-", color=SERIES[0], linewidth=2)
            tips[row] = f"{bucket.words} words: {formats.signed(bucket.delta)} chrF, {bucket.num_sentences:,} sentences"
            axes.plot(bucket.delta, row, "o", color=SERIES[0], markersize=7, gid=tip(row))
        label_rows(axes, [f"{bucket.words} ({bucket.num_sentences:,})" for bucket in found])
        axes.set_ylabel("words (sentences)")
        axes.margins(x=0.15)
        title = f"chrF by length: {pairing.candidate} − {pairing.reference}"
        caption = "Mean difference of sentence chrF with its 95 % interval; right of the line is better."
        figures.append(finish(drawing, f"lengths-{number + 1}", title=title, caption=caption, tips=tips))
    return figures


def _draw_metric(axes: Axes, metric: str, manifest: RunManifest) -> None:
    systems = evaluations(manifest)
    rows = {step: row for row, (step, _) in enumerate(systems)}
    for step, result in systems:
        if metric in result.metrics:
            value = result.metrics[metric].value
            axes.plot(value, rows[step], "o", color=SERIES[0], markersize=7)
            axes.annotate(
                f"{value:.2f}", (value, rows[step]), (0, 6), textcoords="offset points", ha="center", fontsize=8
            )
    for _, verified in verifications(manifest):
        for difference in verified.differences:
            row = rows.get(verified.candidate)
            if row is None or difference.metric != metric or difference.low is None or difference.high is None:
                continue
            ends = [difference.reference + difference.low, difference.reference + difference.high]
            axes.plot(ends, [row, row], "-", color=SERIES[0], linewidth=2)
    _draw_budgets(axes, metric, manifest)
    axes.margins(x=0.15)
    label_rows(axes, list(rows))


def _draw_budgets(axes: Axes, metric: str, manifest: RunManifest) -> None:
    """A dashed line where each budget on a drop of this metric ends."""
    for _, verified in verifications(manifest):
        for difference in verified.differences:
            for verdict in verified.verdicts:
                if difference.metric == metric and verdict.budget == drop_budget(metric).name:
                    for bound in drop_bounds(difference, verdict.limit):
                        axes.axvline(bound, color=SERIES[1], linestyle="--", linewidth=1.2)


def drop_bounds(difference: MetricDifference, limit: float) -> list[float]:
    """The scores at which a candidate has lost `limit`: below the reference, above it, or on both sides of a goal."""
    if isinstance(difference.goal, float):
        reach = abs(difference.reference - difference.goal) + limit
        return [difference.goal - reach, difference.goal + reach]
    return [difference.reference - limit if difference.goal == "higher" else difference.reference + limit]
