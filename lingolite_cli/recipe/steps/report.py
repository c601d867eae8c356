"""`report`: which reporters write about the run. They run when its manifest is complete."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.recipe.model import ReportStep
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.record import ReportResult


def check(step: ReportStep, scope: Scope) -> PlannedStep:
    """Refuse an unknown reporter."""
    choices = tuple(scope.plugin(step, "reporters", kind="reporter", name=name, options={}) for name in step.reporters)
    return PlannedStep(step=step, inputs=(), plugins=choices, summary=", ".join(step.reporters), is_cacheable=False)


def run(planned: PlannedStep, workspace: Workspace, directory: Path) -> ReportResult:
    """Name the reporters; the runner calls them with the whole manifest."""
    return ReportResult(reporters=[choice.loaded.spec.name for choice in planned.plugins])
