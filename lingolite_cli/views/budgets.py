"""The table of budgets as text: for the help of a command, and for the documentation.

Owns the two layouts. What the budgets are is `lingolite_cli.budgets.table`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import get_args

from lingolite_cli.budgets.budget import Budget, Estimated, Group, Limit, PairedDrop, TimedRounds
from lingolite_cli.budgets.served import SERVED_BUDGETS
from lingolite_cli.budgets.table import BUDGETS, metric_budgets
from lingolite_cli.evaluation.faults import FAULT_KINDS, FAULTS

_WIDTH = 78
_INDENT = 13
_RULES: dict[type[object], str] = {
    Limit: "the figure",
    PairedDrop: "95 % interval of the loss",
    TimedRounds: "95 % interval of the median over rounds",
    Estimated: "95 % interval of the difference",
}
"""What must meet the limit."""


def every_budget() -> list[Budget]:
    """One entry for each pattern: those on metrics, then the others in the order of the table."""
    entries = [*metric_budgets("METRIC", 0.0), *BUDGETS.values()]
    return list({_pattern(budget): budget for budget in entries}.values())


def served_budgets() -> list[Budget]:
    """Those of the step `monitor`, one entry for each pattern."""
    return list({_pattern(budget): budget for budget in SERVED_BUDGETS.values()}.values())


def served_budgets_help() -> str:
    """Those of the step `monitor`, and of metrics' scores."""
    names = [*_help_names(served_budgets(), kinds=tuple(FAULTS)), "METRIC_min", "METRIC_max"]
    return "\n".join(["\b", "Budgets, each a limit:", *_wrapped("served", names)])


def budgets_help() -> str:
    """All budgets by group, and those relative to the model; click keeps the lines of a paragraph that begins so."""
    entries = every_budget()
    lines = ["\b", "Budgets, each a limit; ratios are to the model:"]
    for group in get_args(Group):
        lines += _wrapped(group, _help_names(budget for budget in entries if budget.group == group))
    return "\n".join([*lines, *_wrapped("ratios", [budget.name for budget in entries if budget.is_ratio])])


def _help_names(budgets: Iterable[Budget], *, kinds: Sequence[str] = FAULT_KINDS) -> list[str]:
    names = [_pattern(budget) for budget in budgets if not budget.is_ratio]
    return [f"{name}, KIND being {', '.join(kinds)}" if "KIND" in name else name for name in names]


def _wrapped(head: str, names: list[str]) -> list[str]:
    if not names:
        return []
    first = f"  {head}".ljust(_INDENT)
    return textwrap.wrap(", ".join(names), _WIDTH, initial_indent=first, subsequent_indent=" " * _INDENT)


def served_budgets_markdown() -> str:
    """Those of the step `monitor` as a table in Markdown."""
    head = ["budget", "figure", "unit", "needs", "what must meet the limit"]
    rows = [
        [f"`{_pattern(budget)}`", budget.summary, budget.unit, budget.needs, _RULES[type(budget.rule)]]
        for budget in served_budgets()
    ]
    return _markdown([head, ["---"] * len(head), *rows])


def budgets_markdown() -> str:
    """All budgets as a table in Markdown: a row for each figure, with the budget on its ratio beside it."""
    entries = every_budget()
    ratios = {budget.ratio_of: budget.name for budget in entries}
    rows = [
        [
            f"`{_pattern(budget)}`",
            f"`{ratios[budget.name]}`" if budget.name in ratios else "",
            budget.summary,
            budget.unit,
            budget.needs,
            _RULES[type(budget.rule)],
        ]
        for budget in entries
        if not budget.is_ratio
    ]
    head = ["budget", "relative to the reference", "figure", "unit", "needs", "what must meet the limit"]
    return _markdown([head, ["---"] * len(head), *rows])


def _markdown(lines: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n".replace("|  |", "| |").replace("|  |", "| |") for cells in lines)


def _pattern(budget: Budget) -> str:
    return budget.pattern or budget.name
