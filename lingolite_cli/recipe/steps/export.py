"""`export`: an artifact in another format."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec

from lingolite_cli.recipe.model import ExportStep
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.steps.derive import check_conversion, convert_artifact
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.runs.record import ExportResult


def check(step: ExportStep, scope: Scope) -> PlannedStep:
    """Refuse an unknown format, wrong options, an artifact that the exporter does not read, or a wrong shortlist."""
    planned = check_conversion(step, scope, kind="exporter", name=step.format, key="format")
    if step.shortlist is None:
        return planned
    if "shortlist" not in planned.plugins[0].loaded.spec.capabilities:
        raise scope.error(
            step, "shortlist", f"exporter `{step.format}` carries no shortlist", hint="leave out the shortlist"
        )
    scope.shortlist(step, "shortlist", step.shortlist)
    return msgspec.structs.replace(
        planned,
        inputs=(*planned.inputs, step.shortlist),
        summary=f"{planned.summary}, with the shortlist {step.shortlist}",
    )


def run(planned: PlannedStep, workspace: Workspace, directory: Path) -> ExportResult:
    """Export."""
    step = planned.step
    assert isinstance(step, ExportStep)
    source = workspace.artifact(step.model)
    exporter = workspace.create(planned.plugins[0])
    convert, read = exporter.export, {}
    if step.shortlist is not None:
        convert = partial(convert, shortlist=workspace.plan.shortlists[step.shortlist])
        read["shortlist"] = workspace.input_digest(step.shortlist)
    made = convert_artifact(source, convert, planned, directory, texts=read)
    return ExportResult(
        format=made.manifest.format,
        source=summarize_artifact(source),
        artifact=summarize_artifact(made),
        details=made.manifest.details,
    )
