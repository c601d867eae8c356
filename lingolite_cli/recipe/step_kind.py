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
        check: refuses what can be refused before anything heavy loads, and names what the step uses.
        run: does the work; files go into the directory that it is given. Heavy imports happen here.
        judge: makes of a result what is not cached with it, the verdicts of budgets; called each time, whether the
            result was measured now or comes from the cache. None for the result as it is.
        not_cached: why the work is done each time; None where it is cached.
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
