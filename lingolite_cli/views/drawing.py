"""What the figures of a run share: the figure as a struct, labelled rows, and bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from lingolite_cli.views.charts import SERIES, inline_svg


class Figure(msgspec.Struct, frozen=True):
    """An inline SVG element, and what it shows in words. `name` is unique in the run."""

    name: str
    svg: str
    title: str
    caption: str


def finish(drawing: Canvas, name: str, *, title: str, caption: str, tips: Mapping[int, str] | None = None) -> Figure:
    """A drawing as a figure; `tips` as of `inline_svg`."""
    return Figure(name, inline_svg(drawing, name, tips=tips), title, caption)


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Set the labels of the rows, the first on top."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)


def draw_bars(axes: Axes, labels: Sequence[str], values: Sequence[float], *, texts: Sequence[str]) -> None:
    """Draw a horizontal bar for each label, with its value beside it."""
    axes.barh(range(len(values)), values, height=0.55, color=SERIES[0])
    for row, (value, text) in enumerate(zip(values, texts, strict=True)):
        axes.annotate(text, (value, row), (4, 0), textcoords="offset points", va="center")
    axes.set_xlim(0, max(values) * 1.15)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    label_rows(axes, labels)
