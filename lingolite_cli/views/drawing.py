"""What the figures of a run share: how one is drawn, as an element of a page or on a sheet, labelled rows, and bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.text.visible import shown
from lingolite_cli.views.charts import DAYLIGHT, SERIES, WIDTH, canvas, inline_svg, row_height, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

_TITLE = 0.25
"""Inches of the line above a chart of a sheet."""


class Figure(msgspec.Struct, frozen=True):
    """An inline SVG element, and what it shows in words. `name` is unique in the run."""

    name: str
    svg: str
    title: str
    caption: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A figure before it is drawn, so that a page and a sheet show the same.

    Attributes:
        name: unique in the run.
        title: what it shows.
        caption: how it is read.
        rows: its height, in rows of text.
        draw: draws it, and returns `tips` as of `inline_svg`.
    """

    name: str
    title: str
    caption: str
    rows: float
    draw: Callable[[Axes], Mapping[int, str]]

    def figure(self) -> Figure:
        """The figure as an element of a page, drawn under `charts.style`."""
        drawing, axes = canvas(self.rows)
        tips = self.draw(axes)
        return finish(drawing, self.name, title=self.title, caption=self.caption, tips=tips)


def finish(drawing: Canvas, name: str, *, title: str, caption: str, tips: Mapping[int, str] | None = None) -> Figure:
    """A drawing as a figure; `tips` as of `inline_svg`."""
    return Figure(name, inline_svg(drawing, name, tips=tips), title, caption)


@contextmanager
def figure_file(path: Path, *, width: float, height: float) -> Iterator[Canvas]:
    """A figure of `width` times `height` inches to draw on; it is written to `path` when the block ends without an
    error, whole or not at all."""
    from matplotlib.figure import Figure as Sheet

    with style(DAYLIGHT):
        sheet = Sheet(figsize=(width, height), layout="constrained")
        yield sheet
        drawn = BytesIO()
        is_svg = path.suffix == ".svg"
        sheet.savefig(drawn, format=path.suffix[1:], metadata={"Date": None} if is_svg else {})
    write_atomic(path, shown(drawn.getvalue().decode()).encode() if is_svg else drawn.getvalue())


def draw_sheet(rows: Sequence[Sequence[Chart]], path: Path) -> None:
    """Draw all charts to `path`, which ends in one of `charts.FORMATS`.

    Args:
        rows: of charts, from the top; those of one row stand side by side.
        path: is written whole or not at all.
    """
    width = max(map(len, rows))
    heights = [max(row_height(chart.rows) for chart in row) + _TITLE for row in rows]
    with figure_file(path, width=WIDTH * width, height=sum(heights)) as sheet:
        panels = sheet.subplots(len(rows), width, squeeze=False, height_ratios=heights)
        for axes_of_row, row in zip(panels, rows, strict=True):
            for axes in axes_of_row[len(row) :]:
                axes.set_axis_off()
            for axes, chart in zip(axes_of_row, row, strict=False):
                chart.draw(axes)
                beside_legend = 6 if axes.get_legend() is None else 20
                axes.set_title(chart.title, loc="left", fontsize=9, pad=beside_legend)


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Set the labels of the rows, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)


def draw_bars(axes: Axes, labels: Sequence[str], values: Sequence[float], *, texts: Sequence[str]) -> None:
    """Draw a horizontal bar for each label, from zero, with its value beside it."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.barh(range(len(values)), values, height=0.55, color=SERIES[0])
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, max(values) * 1.15)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    label_rows(axes, labels)
