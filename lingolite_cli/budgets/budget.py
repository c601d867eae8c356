"""What an entry of the table of budgets is: a figure, its unit and direction, and how it is judged.

Owns the structs. The entries are `lingolite_cli.budgets.table`, the arithmetic of a verdict is
`lingolite_cli.budgets.judging`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from lingolite_cli.benchmark.figures import Round
from lingolite_cli.budgets.measurements import MeasuredFigures

Direction = Literal["max", "min"]
Group = Literal["export", "reference", "quality", "parity", "faults", "size", "time", "memory", "served"]
Need = Literal[
    "metric",
    "translations",
    "bundle",
    "bundle, logits",
    "bundle, scores",
    "bundle, operations",
    "candidate logits",
    "logits of both",
    "files",
    "goldens",
    "timed rounds",
    "timed rounds of both",
    "sample log",
    "sample log, signed-off run",
]
"""What must be measured for a figure."""


def unexplained(measured: MeasuredFigures) -> str | None:
    """For figures of which no more can be said than that they are missing."""
    return None


def no_detail(measured: MeasuredFigures) -> Sequence[str]:
    """For figures that say all by themselves."""
    return ()


class Limit(msgspec.Struct, frozen=True):
    """The figure is one number, judged as it is.

    A verdict that fails names the cause where `names_causes`. Where `read` gives nothing, `why_missing` may say why.
    `details` are what a figure counts, in words, for a verdict that fails.
    """

    read: Callable[[MeasuredFigures], float | None]
    names_causes: bool = False
    why_missing: Callable[[MeasuredFigures], str | None] = unexplained
    details: Callable[[MeasuredFigures], Sequence[str]] = no_detail


class PairedDrop(msgspec.Struct, frozen=True):
    """The figure is the loss by a metric on the same sentences: its whole interval must be within the limit."""

    metric: str


class TimedRounds(msgspec.Struct, frozen=True):
    """The figure is measured once a round: the whole interval of its median must be within the limit.

    Where `is_paired`, the figure is divided by the reference's of the same round.
    """

    read: Callable[[Round], float | None]
    is_paired: bool = False


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Estimated(msgspec.Struct, frozen=True):
    """The figure is estimated from a sample: its whole interval must be within the limit."""

    read: Callable[[MeasuredFigures], Estimate | None]


Rule: TypeAlias = Limit | PairedDrop | TimedRounds | Estimated


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that a recipe may set.

    Attributes:
        name: in a recipe, in records and in reports.
        pattern: the name as help and documentation have it: with METRIC or KIND where the budget is one of a family.
        group: what it is about.
        label: of the figure, for headings of tables.
        summary: what the figure is, one line.
        unit: as it is written behind numbers; empty for shares, scores and differences of logits.
        direction: whether the limit is the largest value allowed, or the smallest.
        needs: what must be measured.
        rule: how the figure is read and judged.
        ratio_of: the budget on the figure itself, where this one is on the figure relative to the reference's.
    """

    name: str
    pattern: str = ""
    group: Group
    label: str
    summary: str
    unit: str = ""
    direction: Direction = "max"
    needs: Need
    rule: Rule
    ratio_of: str | None = None

    @property
    def is_ratio(self) -> bool:
        """Whether the figure is relative to the reference's."""
        return self.ratio_of is not None

    @property
    def is_floor(self) -> bool:
        """Whether the limit is the smallest value allowed."""
        return self.direction == "min"

    @property
    def is_timed(self) -> bool:
        """Whether it is judged on timed rounds, which are never cached."""
        return isinstance(self.rule, TimedRounds)

    @property
    def heading(self) -> str:
        """The label with its unit, for a column of numbers."""
        return self.label if self.unit in self.label.lower() else f"{self.label}, {self.unit}"
