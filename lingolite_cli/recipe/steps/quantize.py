"""`quantize`: a smaller artifact from a bundle."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.recipe.model import QuantizeStep
from lingolite_cli.recipe.record import QuantizeResult
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.steps.derive import check_conversion, convert_artifact
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact


def check(step: QuantizeStep, scope: Scope) -> PlannedStep:
    """Refuse an unknown method, wrong options, or an artifact that the method does not read."""
    return check_conversion(step, scope, kind="quantizer", name=step.method, key="method")


def run(planned: PlannedStep, workspace: Workspace, directory: Path) -> QuantizeResult:
    """Quantize."""
    step = planned.step
    assert isinstance(step, QuantizeStep)
    source = workspace.artifact(step.model)
    quantizer = workspace.create(planned.plugins[0])
    made = convert_artifact(source, quantizer.quantize, planned, directory)
    return QuantizeResult(method=step.method, source=summarize_artifact(source), artifact=summarize_artifact(made))
