"""`export`: an artifact in another format."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.recipe.model import ExportStep
from lingolite_cli.recipe.record import ExportResult
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.steps.derive import check_conversion, convert_artifact
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact


def check(step: ExportStep, scope: Scope) -> PlannedStep:
    """Refuse an unknown format, wrong options, or an artifact that the exporter does not read."""
    return check_conversion(step, scope, kind="exporter", name=step.format, key="format")


def run(planned: PlannedStep, workspace: Workspace, directory: Path) -> ExportResult:
    """Export."""
    step = planned.step
    assert isinstance(step, ExportStep)
    source = workspace.artifact(step.model)
    exporter = workspace.create(planned.plugins[0])
    made = convert_artifact(source, exporter.export, planned, directory)
    return ExportResult(
        format=made.manifest.format,
        source=summarize_artifact(source),
        artifact=summarize_artifact(made),
        details=made.manifest.details,
    )
