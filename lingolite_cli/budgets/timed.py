"""The names of budgets on what an artifact costs to run, and which figure each one limits.

Every figure has a limit of its own, as `latency_p95_ms_max`, and one as a multiple of the reference's, as
`latency_p95_ratio_max`.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class TimedBudget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget that is judged on rounds.

    Attributes:
        name: in a recipe.
        figure: the field of `lingolite_cli.benchmark.figures.Round`.
        unit: of the limit, as it is written behind numbers; that of a ratio is ×.
        is_ratio: whether the limit is a multiple of the reference's figure.
        is_floor: whether more is better.
    """

    name: str
    figure: str
    unit: str
    is_ratio: bool
    is_floor: bool = False


_FIGURES = (
    ("load", "seconds", "s"),
    ("cold_start", "seconds", "s"),
    ("first_token", "ms", "ms"),
    ("latency_p50", "ms", "ms"),
    ("latency_p95", "ms", "ms"),
    ("latency_p99", "ms", "ms"),
    ("peak_memory", "mb", "MB"),
)


def _timed_budgets() -> Iterator[TimedBudget]:
    for name, unit, written in _FIGURES:
        figure = f"{name}_{unit}"
        yield TimedBudget(name=f"{figure}_max", figure=figure, unit=written, is_ratio=False)
        yield TimedBudget(name=f"{name}_ratio_max", figure=figure, unit="×", is_ratio=True)
    speed = "tokens_per_second"
    yield TimedBudget(name=f"{speed}_min", figure=speed, unit="tokens/s", is_ratio=False, is_floor=True)
    yield TimedBudget(name=f"{speed}_ratio_min", figure=speed, unit="×", is_ratio=True, is_floor=True)


TIMED_BUDGETS = {budget.name: budget for budget in _timed_budgets()}
"""By name."""

SIZE_BUDGETS = ("size_mb_max", "size_ratio_max", "download_mb_max", "download_ratio_max")
"""On bytes, which have no noise."""
