"""`report`: which reporters write about the run. They run when its manifest is complete."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.results import ReportResult


class ReportStep(Step, tag="report", frozen=True, kw_only=True):
    """Write reports when the run ends."""

    reporters: tuple[str, ...] = ("html", "markdown")


class PlannedReport(PlannedStep, frozen=True, kw_only=True):
    """A `report` step with the reporters that write."""

    step: ReportStep
    reporters: tuple[PluginChoice, ...]

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The reporters."""
        return self.reporters


def _check(step: ReportStep, scope: Scope) -> PlannedReport:
    """Refuse an unknown reporter."""
    choices = tuple(scope.plugin(step, "reporters", kind="reporter", name=name, options={}) for name in step.reporters)
    return PlannedReport(step=step, reporters=choices, summary=", ".join(step.reporters))


def _run(planned: PlannedReport, workspace: Workspace, directory: Path) -> ReportResult:
    """Name the reporters; they are called once the manifest of the run is complete."""
    return ReportResult(reporters=[choice.loaded.spec.name for choice in planned.reporters])


KIND = StepKind(table=ReportStep, result=ReportResult, check=_check, run=_run, not_cached="always written")
