"""`export`: an artifact in another format."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from msgspec import field

from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.conversion import choose_converter, convert_artifact
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.runs.made_results import ExportResult


class ExportStep(Step, tag="export", frozen=True, kw_only=True):
    """Turn an artifact into another format, with the vocabulary shortlist `shortlist` if one is named."""

    model: str = "inputs.model"
    format: str = "onnx"
    shortlist: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


class PlannedExport(PlannedStep, frozen=True, kw_only=True):
    """An `export` step with the exporter that it uses."""

    step: ExportStep
    exporter: PluginChoice

    @property
    def inputs(self) -> tuple[str, ...]:
        """The artifact, and the shortlist if there is one."""
        shortlist = self.step.shortlist
        return (self.step.model,) if shortlist is None else (self.step.model, shortlist)

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The exporter."""
        return (self.exporter,)


def _check(step: ExportStep, scope: Scope) -> PlannedExport:
    """Refuse an unknown format, wrong options, an artifact that the exporter does not read, or a wrong shortlist."""
    exporter = choose_converter(
        step, scope, kind="exporter", name=step.format, key="format", model=step.model, options=step.options
    )
    produces = exporter.loaded.spec.produces
    summary = f"{step.model} → {produces} by {step.format}"
    if step.shortlist is not None:
        _check_shortlist(step, step.shortlist, scope, exporter=exporter)
        summary += f", with the shortlist {step.shortlist}"
    return PlannedExport(
        step=step, exporter=exporter, produces=produces, origin=scope.origin(step.model), summary=summary
    )


def _check_shortlist(step: ExportStep, shortlist: str, scope: Scope, *, exporter: PluginChoice) -> None:
    if "shortlist" not in exporter.loaded.spec.capabilities:
        raise scope.error(
            step, "shortlist", f"exporter `{step.format}` carries no shortlist", hint="leave out the shortlist"
        )
    scope.shortlist(step, "shortlist", shortlist)


def _run(planned: PlannedExport, workspace: Workspace, directory: Path) -> ExportResult:
    """Export."""
    step = planned.step
    source = workspace.artifact(step.model)
    exporter = workspace.create(planned.exporter)
    convert, read = exporter.export, {}
    if step.shortlist is not None:
        convert = partial(convert, shortlist=workspace.plan.shortlists[step.shortlist])
        read["shortlist"] = workspace.input_digest(step.shortlist)
    made = convert_artifact(source, convert, planned.exporter, directory, texts=read)
    return ExportResult(
        format=made.manifest.format,
        source=summarize_artifact(source),
        artifact=summarize_artifact(made),
        details=made.manifest.details,
    )


KIND = StepKind(table=ExportStep, result=ExportResult, check=_check, run=_run)
