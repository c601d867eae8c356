"""One figure of a recipe, run by run, as a chart: marks, intervals, breaks, and runs that broke a budget on it.

Owns how a curve is drawn, and how runs of a long one are put together: a mark then stands for several consecutive runs,
and says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from statistics import median
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.evaluation.intervals import with_interval
from lingolite_cli.history.series import LATENCY, UNITS, Point, Series
from lingolite_cli.views import formats
from lingolite_cli.views.charts import muted, tip
from lingolite_cli.views.drawing import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 5.0
"""Height of a chart, in rows of text."""
_MOST_TIMES = 4


class Mark(msgspec.Struct, frozen=True):
    """What stands at one place: a run, or consecutive runs that can be compared, in their order."""

    points: Sequence[Point]

    @property
    def value(self) -> float:
        """The run's, or the median of theirs."""
        return median(point.value for point in self.points)

    @property
    def reference(self) -> float | None:
        """What the value was judged against, or the median of that."""
        known = [point.reference for point in self.points if point.reference is not None]
        return median(known) if known else None

    @property
    def span(self) -> tuple[float, float] | None:
        """The interval or range of the run, where there is one; or from the lowest to the highest value."""
        if len(self.points) > 1:
            values = [point.value for point in self.points]
            return min(values), max(values)
        (point,) = self.points
        return None if point.low is None or point.high is None else (point.low, point.high)

    @property
    def broken_value(self) -> float | None:
        """The value of the run that broke a budget on the figure, or the median of theirs; None where none did."""
        broken = [point.value for point in self.points if point.is_broken]
        return median(broken) if broken else None

    @property
    def is_finished(self) -> bool:
        """Whether any of the runs came to its end."""
        return any(point.is_finished for point in self.points)

    @property
    def said(self) -> str:
        """What it stands for, in words."""
        first, last = self.points[0], self.points[-1]
        if first is last:
            value = with_interval(first.value, first.low, first.high, "{:,.2f}".format)
            reference = "" if first.reference is None else f", judged against {first.reference:,.2f}"
            return f"{first.run}: {value}{reference}"
        broken = sum(point.is_broken for point in self.points)
        low, high = self.span or (None, None)
        span = with_interval(self.value, low, high, "{:,.2f}".format)
        of_these = f", {broken} of them broke a budget" if broken else ""
        return f"{len(self.points)} runs, {first.run} to {last.run}: {span}{of_these}"


def curve_chart(series: Series, *, marks: int, title: str = "") -> Chart:
    """The chart of a curve.

    Args:
        series: the curve.
        marks: most of them; a longer curve has several runs in a mark.
        title: what stands before the name of the figure.
    """
    stretches, num_left_out = _latest(series.stretches, marks)
    size = -(-sum(map(len, stretches)) // marks)
    grouped = [[Mark(own[start : start + size]) for start in range(0, len(own), size)] for own in stretches]
    unit = UNITS.get(series.figure)
    medians = f", medians of up to {size:,} runs" if size > 1 else ""
    return Chart(
        name=f"{series.recipe}-{series.figure}",
        title=f"{title}{series.figure}{f', {unit}' if unit else ''}{medians}",
        caption=" ".join(_caption(series, size, num_left_out)),
        rows=_ROWS,
        draw=lambda axes: _draw(axes, series, grouped),
    )


def _latest(stretches: list[list[Point]], marks: int) -> tuple[list[list[Point]], int]:
    """The last stretches, each of which needs a mark of its own, and how many runs are before them."""
    shown = stretches[-max(marks // 2, 1) :]
    return shown, sum(map(len, stretches[: len(stretches) - len(shown)]))


def _caption(series: Series, size: int, num_left_out: int) -> Iterator[str]:
    first, last = series.stretches[-1][0], series.points[-1]
    line = f"{last.value:,.2f} in the last run"
    if first is not last:
        line += (
            f", {formats.signed(last.value - first.value)} over {len(series.stretches[-1]):,} runs that can be compared"
        )
    yield f"{line}."
    if size > 1:
        yield "A dot is the median of consecutive runs, the band their range, a cross those that broke a budget."
    if num_left_out:
        yield f"{num_left_out:,} earlier runs, which cannot be compared, are left out."


def _draw(axes: Axes, series: Series, stretches: Sequence[Sequence[Mark]]) -> dict[int, str]:
    """A line for each stretch, intervals as bars or bands; a thin line for the reference; a cross where a budget on
    the figure broke."""
    axes.grid(visible=True, axis="y")
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.06, y=0.18)
    tips: dict[int, str] = {}
    place = 0
    for stretch in stretches:
        places = range(place, place + len(stretch))
        if place:
            axes.axvline(place - 0.5, color=muted(), linewidth=0.8, linestyle=":")
        _draw_reference(axes, series, places, stretch)
        axes.plot(places, [mark.value for mark in stretch], "-", color="C0", linewidth=1.2)
        has_bands = series.figure == LATENCY or any(len(mark.points) > 1 for mark in stretch)
        _draw_spans(axes, places, stretch, has_bands=has_bands and len(stretch) > 1)
        for x, mark in zip(places, stretch, strict=True):
            _draw_mark(axes, x, mark)
            tips[x] = mark.said
        place += len(stretch)
    _label_times(axes, [mark.points[0] for stretch in stretches for mark in stretch])
    return tips


def _draw_reference(axes: Axes, series: Series, places: Sequence[int], stretch: Sequence[Mark]) -> None:
    if series.figure in UNITS:  # beside the size of a float model, all others are a flat line
        return
    known = [(x, mark.reference) for x, mark in zip(places, stretch, strict=True) if mark.reference is not None]
    if known:
        axes.plot(*zip(*known, strict=True), "-", color=muted(), linewidth=0.8)


def _draw_spans(axes: Axes, places: Sequence[int], stretch: Sequence[Mark], *, has_bands: bool) -> None:
    known = [(x, *mark.span, mark) for x, mark in zip(places, stretch, strict=True) if mark.span is not None]
    if not known:
        return
    x, low, high, marks = zip(*known, strict=True)
    if has_bands:
        axes.fill_between(x, low, high, color="C0", alpha=0.2, linewidth=0)
    else:
        colours = ["C0" if mark.broken_value is None else "C1" for mark in marks]
        axes.vlines(x, low, high, colors=colours, linewidth=1, alpha=0.6)


def _draw_mark(axes: Axes, x: int, mark: Mark) -> None:
    """A cross where a budget on the figure broke; a dot, too, where other runs are in the mark."""
    broken, is_alone = mark.broken_value, len(mark.points) == 1
    if broken is None or not is_alone:
        face, size = "C0" if mark.is_finished else "none", 6 if is_alone else 3
        axes.plot([x], [mark.value], "o", color="C0", markerfacecolor=face, markersize=size, gid=tip(x))
    if broken is not None:
        axes.plot([x], [broken], "X", color="C1", markersize=6, gid=tip(x) if is_alone else None)


def _label_times(axes: Axes, points: Sequence[Point]) -> None:
    """Days and times of some runs, the first and the last of them among these."""
    last = len(points) - 1
    count = min(_MOST_TIMES, len(points))
    chosen = sorted({round(last * number / max(count - 1, 1)) for number in range(count)})
    axes.set_xticks(chosen, [_time(points[index]) for index in chosen])


def _time(point: Point) -> str:
    return f"{datetime.fromisoformat(point.started).astimezone(timezone.utc):%Y-%m-%d\n%H:%M}"
