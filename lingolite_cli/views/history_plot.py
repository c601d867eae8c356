"""A history as pictures: quality with its intervals, size and latency, run by run; a page or a drawing.

Owns what `lingolite history --plot` draws, and what is left out of a long history. Runs stand at equal distances, for
they come in bursts and with long pauses. How a curve is drawn is `history_curves`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import quote

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.history.entry import RunEntry, SystemFigures
from lingolite_cli.history.series import UNITS, Series, series_of
from lingolite_cli.views.charts import PAGE, style
from lingolite_cli.views.drawing import Figure, draw_sheet
from lingolite_cli.views.history_curves import curve_chart
from lingolite_cli.views.page import render_page

_MOST_CHARTS = 16
_MOST_MARKS = 480
"""On all charts together: what is drawn in a second or two, and a phone shows at once."""
_MOST_ROWS = 200
"""Of all tables together."""
_LEAST = 10
"""Marks of a chart and rows of a table, however many there are of these."""
_MOST_SECTIONS = _MOST_ROWS // _LEAST
_MOST_REASON = 200
"""Characters of why a run broke a budget or failed."""
_REPORT = "report.html"


class RunRow(msgspec.Struct, frozen=True, kw_only=True):
    """A run of the table: when it started, how it ended, where its report is, and its figures as text."""

    id: str
    started: str
    verdict: str
    is_done: bool
    why: str
    link: str | None
    cells: list[str]


class RecipeSection(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe of the page: its figures, and its runs from the last to the first.

    `num_runs` are all of them; `columns` are the headings of the cells.
    """

    recipe: str
    figures: list[Figure]
    columns: list[str]
    rows: list[RunRow]
    num_runs: int


def plot_history(entries: Sequence[RunEntry], path: Path, *, root: Path) -> None:
    """Draw a history to `path`, whole or not at all.

    Args:
        entries: of the runs, the oldest first.
        path: where to; one that ends in `.html` becomes a page.
        root: of the project, for links to the runs' reports.

    Raises:
        LingoLiteError: there is nothing to draw.
    """
    recipes = _by_recipe(series_of(entries), entries)
    if not recipes:
        raise LingoLiteError("there is nothing to draw: no run has a score, a size or a speed")
    if path.suffix == PAGE:
        write_atomic(path, _page(entries, recipes, _Links(path, root)).encode())
        return
    shown, marks = _shown(recipes)
    draw_sheet(
        [[curve_chart(one, marks=marks, title=f"{recipe}: ") for one in own] for recipe, own in shown.items()], path
    )


def _by_recipe(series: Sequence[Series], entries: Sequence[RunEntry]) -> dict[str, list[Series]]:
    """The curves of each recipe, the one that ran last first."""
    found: dict[str, list[Series]] = {}
    for one in series:
        found.setdefault(one.recipe, []).append(one)
    last = {entry.recipe: place for place, entry in enumerate(entries)}
    return dict(sorted(found.items(), key=lambda item: -last[item[0]]))


def _shown(recipes: dict[str, list[Series]]) -> tuple[dict[str, list[Series]], int]:
    """The curves that are drawn, by recipe, and how many marks each may have."""
    left, shown = _MOST_CHARTS, {}
    for recipe, own in recipes.items():
        if left:
            shown[recipe] = own[:left]
            left -= len(shown[recipe])
    return shown, max(_MOST_MARKS // (_MOST_CHARTS - left), _LEAST)


class _Links:
    """Addresses of reports, as the page refers to them."""

    def __init__(self, page: Path, root: Path) -> None:
        self._page = page.absolute().parent
        self._root = root.absolute()

    def of(self, run: RunEntry) -> str | None:
        """That of a run's report; None where there is none."""
        if run.directory is None or not (report := self._root / run.directory / _REPORT).is_file():
            return None
        return quote(Path(os.path.relpath(report, self._page)).as_posix())


def _page(entries: Sequence[RunEntry], recipes: dict[str, list[Series]], links: _Links) -> str:
    """One self-contained page, light and dark."""
    shown, marks = _shown(recipes)
    most_rows = max(_MOST_ROWS // len(recipes), _LEAST)
    with style():
        sections = [
            _section(
                recipe, recipes[recipe], shown.get(recipe, []), entries, marks=marks, most_rows=most_rows, links=links
            )
            for recipe in list(recipes)[:_MOST_SECTIONS]
        ]
    others = list(recipes)[_MOST_SECTIONS:]
    return render_page("history.html.jinja", sections=sections, others=others, most_charts=_MOST_CHARTS)


def _section(
    recipe: str,
    own: Sequence[Series],
    shown: Sequence[Series],
    entries: Sequence[RunEntry],
    *,
    marks: int,
    most_rows: int,
    links: _Links,
) -> RecipeSection:
    metrics = [one.figure for one in own if one.figure not in UNITS]
    runs = [entry for entry in reversed(entries) if entry.recipe == recipe]
    return RecipeSection(
        recipe=recipe,
        figures=[curve_chart(one, marks=marks).figure() for one in shown],
        columns=[*metrics, "MB", "p50, ms"],
        rows=[_row(run, metrics, links) for run in runs[:most_rows]],
        num_runs=len(runs),
    )


def _row(run: RunEntry, metrics: Sequence[str], links: _Links) -> RunRow:
    why = run.problem or ""
    return RunRow(
        id=run.id,
        started=f"{datetime.fromisoformat(run.started).astimezone(timezone.utc):%Y-%m-%d %H:%M}",
        verdict="pass" if run.status == "done" and run.num_budgets else run.status,
        is_done=run.status == "done",
        why=why if len(why) <= _MOST_REASON else f"{why[:_MOST_REASON].rstrip()}…",
        link=links.of(run),
        cells=list(_cells(run.system(run.shipped), metrics)),
    )


def _cells(system: SystemFigures | None, metrics: Sequence[str]) -> Iterator[str]:
    scores = {score.metric: score.value for score in system.scores} if system else {}
    for metric in metrics:
        yield f"{scores[metric]:.2f}" if metric in scores else ""
    yield f"{system.size_bytes / 1e6:.2f}" if system else ""
    latency = system.latency_p50_ms if system else None
    yield "" if latency is None else f"{latency:.2f}"
