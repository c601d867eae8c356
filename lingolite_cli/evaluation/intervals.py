"""How an interval is written: the one format for tables, messages, figures and reports.

Owns brackets, words and what stands where there is no interval. How many digits a figure has is its caller's, and what
an interval is computed from is `statistics`'.
"""

from __future__ import annotations

from collections.abc import Callable

Write = Callable[[float], str]

SIGNED: Write = "{:+.2f}".format
"""A difference of scores: its sign is what a reader looks for."""
SIGNIFICANT: Write = "{:.4g}".format
"""A figure that has a budget: its magnitude is not known beforehand."""


def bracketed(low: float | None, high: float | None, write: Write = SIGNED) -> str:
    """`[-0.42, +0.10]`, for where the figure stands beside it; empty where there is no interval."""
    return "" if low is None or high is None else f"[{write(low)}, {write(high)}]"


def spelled(low: float | None, high: float | None, write: Write = SIGNED, *, between: str = " to ") -> str:
    """`-0.42 to +0.10`, for sentences and for narrow columns; empty where there is no interval."""
    return "" if low is None or high is None else f"{write(low)}{between}{write(high)}"


def with_interval(value: float, low: float | None, high: float | None, write: Write = SIGNED) -> str:
    """`-0.16 [-0.42, +0.10]`; the figure alone where it has no interval."""
    return " ".join(filter(None, (write(value), bracketed(low, high, write))))
