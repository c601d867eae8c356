"""A recipe's runs as curves: each figure of what it shipped, run by run, and which runs can be compared in it.

A score on another text, by another signature, or a latency on another CPU starts a new stretch of the curve: values on
both sides of such a break cannot be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from lingolite_cli.budgets.budget import PairedDrop
from lingolite_cli.budgets.table import find_budget
from lingolite_cli.history.entry import RunEntry

SIZE, LATENCY = "size", "latency"
UNITS = {SIZE: "MB", LATENCY: "p50 ms"}


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `low` and `high` are the interval of a score or the range of a timing over its rounds, where there is
    one; `reference` is the other system's value.

    `is_broken` says that the run broke a budget on this very figure, `is_finished` that it came to its end. `basis` is
    what the value depends on beside the system; only points of one basis can be compared.
    """

    run: str
    started: str
    is_broken: bool = False
    is_finished: bool
    value: float
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    basis: str = ""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a recipe: a metric by its name, `size` or `latency`; in the order of its runs."""

    recipe: str
    figure: str
    points: list[Point]

    @property
    def stretches(self) -> list[list[Point]]:
        """The points between breaks."""
        found: list[list[Point]] = []
        for point in self.points:
            if found and found[-1][-1].basis == point.basis:
                found[-1].append(point)
            else:
                found.append([point])
        return found


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over the last runs that can be compared in it, the first and the last of them by id."""

    recipe: str
    figure: str
    runs: int
    first_run: str
    last_run: str
    first: float
    last: float
    change: float
    values: list[float]


def series_of(entries: Sequence[RunEntry]) -> list[Series]:
    """The curves of each recipe: its metrics, then size and latency."""
    curves: dict[str, dict[str, list[Point]]] = {}
    for entry in entries:
        own = curves.setdefault(entry.recipe, {})
        for figure, point in _points(entry):
            own.setdefault(figure, []).append(point)
    return [
        Series(recipe=recipe, figure=figure, points=own[figure])
        for recipe, own in curves.items()
        for figure in sorted(own, key=lambda name: (name in UNITS, name == LATENCY))
    ]


def trends_of(entries: Sequence[RunEntry]) -> list[Trend]:
    """The change of each figure since its last break, where at least two runs have it."""
    found = []
    for series in series_of(entries):
        points = series.stretches[-1]
        if len(points) > 1:
            first, last = points[0], points[-1]
            trend = Trend(
                recipe=series.recipe,
                figure=series.figure,
                runs=len(points),
                first_run=first.run,
                last_run=last.run,
                first=first.value,
                last=last.value,
                change=last.value - first.value,
                values=[point.value for point in points],
            )
            found.append(trend)
    return found


def figure_of_budget(name: str) -> str | None:
    """The figure of a curve that the budget of that name limits; None where it limits another one."""
    budget = find_budget(name)
    if isinstance(budget.rule, PairedDrop):
        return budget.rule.metric
    if budget.group == "quality":
        return budget.label
    return _LIMITED.get(budget.ratio_of or budget.name)


_LIMITED = {"size_mb_max": SIZE, "latency_p50_ms_max": LATENCY}


def _points(entry: RunEntry) -> Iterator[tuple[str, Point]]:
    broken = {figure_of_budget(budget) for budget in entry.broken_budgets}
    for figure, point in _values(entry):
        yield figure, msgspec.structs.replace(point, is_broken=figure in broken)


def _values(entry: RunEntry) -> Iterator[tuple[str, Point]]:
    system, reference = entry.system(entry.shipped), entry.system(entry.reference)
    if system is None:
        return
    for score in system.scores:
        other = {s.metric: s.value for s in reference.scores} if reference else {}
        basis = f"{system.corpus}, {system.num_sentences} sentences, {score.signature}"
        yield score.metric, _point(entry, score.value, score.low, score.high, other.get(score.metric), basis)
    yield SIZE, _point(entry, system.size_bytes / 1e6, reference=reference.size_bytes / 1e6 if reference else None)
    if system.latency_p50_ms is not None:
        basis = f"{entry.cpu}, {entry.threads} threads, {system.backend}"
        span = system.latency_p50_low_ms, system.latency_p50_high_ms
        before = reference.latency_p50_ms if reference else None
        yield LATENCY, _point(entry, system.latency_p50_ms, *span, before, basis)


def _point(
    entry: RunEntry,
    value: float,
    low: float | None = None,
    high: float | None = None,
    reference: float | None = None,
    basis: str = "",
) -> Point:
    return Point(
        run=entry.id,
        started=entry.started,
        is_finished=entry.status not in ("failed", "interrupted"),
        value=value,
        low=low,
        high=high,
        reference=reference,
        basis=basis,
    )
