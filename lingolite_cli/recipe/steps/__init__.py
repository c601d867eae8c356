"""The kinds of step, one file each: a check before anything heavy loads, the work, and what judges it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.steps import benchmark, evaluate, export, quantize, report, search, train, verify
from lingolite_cli.recipe.work import judgement
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.results import StepResult


class StepKind(Protocol):
    """A module in this package."""

    def check(self, step: Any, scope: Scope) -> PlannedStep:
        """Refuse what can be refused, and say what the step depends on."""

    def run(self, planned: Any, workspace: Workspace, directory: Path) -> StepResult:
        """Do the work that the same module planned; files go into `directory`."""


KINDS: Mapping[str, StepKind] = {
    "evaluate": evaluate,
    "quantize": quantize,
    "export": export,
    "verify": verify,
    "benchmark": benchmark,
    "train": train,
    "search": search,
    "report": report,
}

JUDGES: Mapping[str, Callable[[Any, Workspace, StepResult], StepResult]] = {"verify": judgement.judge_verification}
"""What is made of a kind's result each time, whether that was measured now or comes from the cache."""
