"""Budgets as gauges: the limit, the figure and its interval.

Which side of a limit is allowed comes from `lingolite_cli.budgets.table`.
"""

from __future__ import annotations

import msgspec
from matplotlib.figure import Figure as Canvas

from lingolite_cli.budgets.table import find_budget
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.charts import SERIES, ink
from lingolite_cli.views.drawing import Figure, finish
from lingolite_reports.results import gauge_name

_SIZE = (2.3, 0.6)  # inches


class _Reading(msgspec.Struct, frozen=True):
    """What a gauge shows; `low` and `high` are the interval of `seen`, where there is one."""

    limit: float
    seen: float
    low: float | None
    high: float | None
    is_floor: bool

    @property
    def marks(self) -> list[float]:
        return [value for value in (self.limit, self.seen, self.low, self.high) if value is not None]

    @property
    def ends(self) -> tuple[float, float]:
        """Of the scale: from zero for an upper limit, around the marks for a lower one, with a margin."""
        least, most = min(self.marks), max(self.marks)
        if least > 0 and not self.is_floor:
            least = 0.0
        margin = 0.12 * ((most - least) or abs(most) or 1.0)
        return (0.0 if least == 0 else least - margin), most + margin


def draw_gauges(manifest: RunManifest) -> list[Figure]:
    """A gauge for each budget of which something was seen, broken ones first, drawn under `charts.style`."""
    ordered = sorted(manifest.verdicts, key=lambda pair: not pair[1].breaks_run)
    return [_gauge(step, verdict, _reading(verdict)) for step, verdict in ordered if verdict.seen is not None]


def _gauge(step: str, verdict: Verdict, reading: _Reading) -> Figure:
    drawing = Canvas(figsize=_SIZE)
    axes = drawing.add_axes((0.03, 0.0, 0.94, 1.0))
    start, end = reading.ends
    axes.set(xlim=(start, end), ylim=(-1.25, 1.25))
    axes.axis("off")
    allowed = (reading.limit, end) if reading.is_floor else (start, reading.limit)
    forbidden = (start, reading.limit) if reading.is_floor else (reading.limit, end)
    axes.fill_between(allowed, -0.16, 0.16, color=SERIES[2], alpha=0.28, linewidth=0)
    axes.fill_between(forbidden, -0.16, 0.16, color=SERIES[1], alpha=0.28, linewidth=0)
    axes.plot([reading.limit] * 2, [-0.42, 0.42], "-", color=SERIES[1], linewidth=2)
    if reading.low is not None and reading.high is not None:
        axes.plot([reading.low, reading.high], [0, 0], "-", color=ink(), linewidth=2.5, solid_capstyle="butt")
    axes.plot(reading.seen, 0, "o", color=ink(), markersize=7, clip_on=False)
    _label(axes_text=f"seen {formats.seen(reading.seen, reading.limit)}", at=reading.seen, up=True, drawing=drawing)
    bound = "at least" if reading.is_floor else "at most"
    _label(axes_text=f"{bound} {formats.limit(reading.limit)}", at=reading.limit, up=False, drawing=drawing)
    status = f"{verdict.status} (allowed)" if verdict.allowed else verdict.status
    mark = {"pass": "✓", "inconclusive": "?"}.get(verdict.status, "✗")
    name = gauge_name(step, verdict.budget)
    return finish(drawing, name, title=f"{mark} {verdict.budget}", caption=f"{step}: {status}")


def _label(*, axes_text: str, at: float, up: bool, drawing: Canvas) -> None:
    """A text above or below its mark, kept inside the gauge."""
    axes = drawing.axes[0]
    start, end = axes.get_xlim()
    share = (at - start) / (end - start)
    side = "left" if share < 0.25 else "right" if share > 0.75 else "center"
    axes.annotate(axes_text, (at, 0.5 if up else -0.5), ha=side, va="bottom" if up else "top", fontsize=9)


def _reading(verdict: Verdict) -> _Reading:
    assert verdict.seen is not None
    is_floor = find_budget(verdict.budget).is_floor
    return _Reading(verdict.limit, verdict.seen, verdict.low, verdict.high, is_floor=is_floor)
