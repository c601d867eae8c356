"""A history as pictures: quality with its intervals, size and latency, run by run; a page or a drawing.

Owns what `lingolite history --plot` draws. Runs stand at equal distances, for they come in bursts and with long pauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.intervals import with_interval
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.history.entry import RunEntry
from lingolite_cli.history.series import UNITS, Point, Series, series_of
from lingolite_cli.text.visible import shown_value
from lingolite_cli.views import charts
from lingolite_cli.views.charts import DAYLIGHT, canvas, inline_svg, style, tip

PAGE = ".html"
FORMATS = (PAGE, *charts.FORMATS)
_ROWS = 5.0
"""Height of a figure, in rows of text."""
_MAX_DATES = 4


class Panel(msgspec.Struct, frozen=True):
    """A figure of the page: an inline SVG element and what it shows in words."""

    title: str
    svg: str
    caption: str


class RecipeSection(msgspec.Struct, frozen=True):
    """A recipe of the page: its figures, and its runs from the last to the first."""

    recipe: str
    panels: list[Panel]
    metrics: list[str]
    runs: list[RunEntry]


def plot_history(entries: Sequence[RunEntry], path: Path) -> None:
    """Draw a history to `path`, whole or not at all.

    Raises:
        LingoLiteError: there is nothing to draw.
    """
    series = series_of(entries)
    if not series:
        raise LingoLiteError("there is nothing to draw: no run has a score, a size or a speed")
    write_atomic(path, _page(entries, series).encode() if path.suffix == PAGE else _drawing(series, path.suffix[1:]))


def _drawing(series: Sequence[Series], format: str) -> bytes:
    """All figures on one sheet: a row a recipe."""
    from matplotlib.figure import Figure

    rows: dict[str, list[Series]] = {}
    for one in series:
        rows.setdefault(one.recipe, []).append(one)
    width = max(map(len, rows.values()))
    with style(DAYLIGHT):
        sheet = Figure(figsize=(4.2 * width, 2.6 * len(rows)), layout="constrained")
        panels = sheet.subplots(len(rows), width, squeeze=False)
        for axes_of_row, (recipe, own) in zip(panels, rows.items(), strict=True):
            for axes in axes_of_row[len(own) :]:
                axes.set_axis_off()
            for axes, one in zip(axes_of_row, own, strict=False):
                _draw(axes, one)
                axes.set_title(f"{recipe}: {_label(one)}", loc="left", fontsize=9)
        drawn = BytesIO()
        sheet.savefig(drawn, format=format, metadata={"Date": None} if format == "svg" else {})
    return drawn.getvalue()


def _page(entries: Sequence[RunEntry], series: Sequence[Series]) -> str:
    """One self-contained page, light and dark."""
    from jinja2 import Environment, StrictUndefined

    sections = []
    for recipe in dict.fromkeys(one.recipe for one in series):
        own = [one for one in series if one.recipe == recipe]
        runs = [entry for entry in reversed(entries) if entry.recipe == recipe]
        metrics = [one.figure for one in own if one.figure not in UNITS]
        sections.append(RecipeSection(recipe, [_panel(one) for one in own], metrics, runs))
    source = files("lingolite_cli").joinpath("templates", "history.html.jinja").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, finalize=shown_value, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(sections=sections)


def _panel(series: Series) -> Panel:
    with style():
        drawing, axes = canvas(_ROWS)
        _draw(axes, series)
        tips = {number: _tip(point) for number, point in enumerate(series.points)}
        svg = inline_svg(drawing, f"{series.recipe}-{series.figure}", tips=tips)
    first, last = series.stretches[-1][0], series.points[-1]
    caption = f"{last.value:,.2f} in the last run"
    if first is not last:
        caption += f", {last.value - first.value:+,.2f} over {len(series.stretches[-1])} runs that can be compared"
    return Panel(_label(series), svg, f"{caption}.")


def _draw(axes: Any, series: Series) -> None:
    """A line for each stretch, intervals as bars; a thin line for the reference; a cross where a budget broke."""
    import matplotlib as mpl

    muted = mpl.rcParams["axes.labelcolor"]
    axes.grid(visible=True, axis="y")
    axes.grid(visible=False, axis="x")
    axes.margins(x=0.06, y=0.18)
    place = 0
    for stretch in series.stretches:
        places = range(place, place + len(stretch))
        if place:
            axes.axvline(place - 0.5, color=muted, linewidth=0.8, linestyle=":")
        scored = [(x, point.reference) for x, point in zip(places, stretch, strict=True) if point.reference is not None]
        if scored and series.figure not in UNITS:  # beside the size of a float model, all others are a flat line
            axes.plot(*zip(*scored, strict=True), "-", color=muted, linewidth=0.8)
        axes.plot(places, [point.value for point in stretch], "-", color="C0", linewidth=1.2)
        for x, point in zip(places, stretch, strict=True):
            _draw_point(axes, x, point)
        place += len(stretch)
    _label_dates(axes, series.points)


def _draw_point(axes: Any, x: int, point: Point) -> None:
    colour = "C1" if point.is_broken else "C0"
    if point.low is not None and point.high is not None:
        axes.plot([x, x], [point.low, point.high], "-", color=colour, linewidth=1, alpha=0.6)
    axes.plot([x], [point.value], "X" if point.is_broken else "o", color=colour, markersize=6, gid=tip(x))


def _label_dates(axes: Any, points: Sequence[Point]) -> None:
    """Days of some runs, the first and the last of them among these."""
    last = len(points) - 1
    count = min(_MAX_DATES, len(points))
    chosen = sorted({round(last * number / max(count - 1, 1)) for number in range(count)})
    axes.set_xticks(chosen, [points[index].started[:10] for index in chosen])


def _label(series: Series) -> str:
    unit = UNITS.get(series.figure)
    return f"{series.figure}, {unit}" if unit else series.figure


def _tip(point: Point) -> str:
    value = with_interval(point.value, point.low, point.high, "{:,.2f}".format)
    reference = "" if point.reference is None else f", judged against {point.reference:,.2f}"
    return f"{point.run}: {value}{reference}"
