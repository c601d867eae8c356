"""The questions that budgets answer, in the order in which they are asked; every view has a table for each.

Owns the questions and which group of budgets belongs to which. An answer to one says nothing about another: a file that
is what was exported may hold a bad model, and a model may seem good beside a reference that does not translate.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.budgets.budget import Group
from lingolite_cli.budgets.table import find_budget
from lingolite_cli.budgets.verdicts import Verdict

REFERENCE_QUESTION = "Does the reference translate?"
EXPORT_QUESTION = "Is the file what was exported?"
MODEL_QUESTION = "Is the model good enough?"

_OF_GROUP: dict[Group, str] = {"reference": REFERENCE_QUESTION, "export": EXPORT_QUESTION}


def by_question(verdicts: Iterable[tuple[str, Verdict]]) -> dict[str, list[tuple[str, Verdict]]]:
    """(step, verdict) pairs by their question; only questions that were asked, in their order."""
    found: dict[str, list[tuple[str, Verdict]]] = {
        question: [] for question in (REFERENCE_QUESTION, EXPORT_QUESTION, MODEL_QUESTION)
    }
    for step, verdict in verdicts:
        found[_OF_GROUP.get(find_budget(verdict.budget).group, MODEL_QUESTION)].append((step, verdict))
    return {question: asked for question, asked in found.items() if asked}
