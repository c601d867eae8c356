"""What a kind of step declares: its table, its check, its work and its judgement, in one struct."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.results import StepResult

TableT = TypeVar("TableT", bound=Step)
PlannedT = TypeVar("PlannedT", bound=PlannedStep)
ResultT = TypeVar("ResultT", bound=StepResult)


class StepKind(msgspec.Struct, Generic[TableT, PlannedT, ResultT], frozen=True, kw_only=True):
    """One kind of step.

    Attributes:
        table: its keys in a recipe; the tag is the name of the kind.
        result: what its work gives, with the same tag.
        check: refuses whatever can be refused before heavy packages are imported, and names what the step uses.
        run: does the work and writes files into the given directory only. Heavy packages are imported inside it.
        judge: adds the verdicts of budgets to a result. They are not cached: it is called in each run, also for a
            result from the cache. None for a kind without budgets, and for one whose work includes judging.
        not_cached: why the work is done in each run; None if its result is cached.
    """

    table: type[TableT]
    result: type[ResultT]
    check: Callable[[TableT, Scope], PlannedT]
    run: Callable[[PlannedT, Workspace, Path], ResultT]
    judge: Callable[[PlannedT, Workspace, ResultT], ResultT] | None = None
    not_cached: str | None = None

    @property
    def name(self) -> str:
        """What recipes write under `uses`."""
        return str(self.table.__struct_config__.tag)
