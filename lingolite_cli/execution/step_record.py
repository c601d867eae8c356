"""The record of a step that was done, and the line that says so.

Owns where the artifacts in a record are: as the recipe has them, or where they lie in the run's directory.
"""

from __future__ import annotations

from lingolite_cli.recipe.scope import PlannedStep
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.directory import artifact_place, with_places
from lingolite_cli.runs.record import PluginUse, StepRecord
from lingolite_cli.runs.results import StepResult


def record_step(
    planned: PlannedStep, result: StepResult, workspace: Workspace, *, is_cached: bool, seconds: float, key: str | None
) -> StepRecord:
    """The record of a step that is finished in `workspace`.

    Args:
        planned: the step.
        result: of its work.
        workspace: of the run.
        is_cached: whether all of it comes from an earlier run.
        seconds: that this run spent on it.
        key: of its work; None if it is never cached.
    """
    return StepRecord(
        id=planned.step.id,
        uses=planned.uses,
        status="cached" if is_cached else "done",
        seconds=seconds,
        key=key,
        plugins=[
            PluginUse(
                kind=choice.loaded.kind,
                name=choice.loaded.spec.name,
                distribution=choice.loaded.origin.distribution,
                version=choice.loaded.origin.version,
            )
            for choice in planned.plugins
        ],
        inputs={reference: workspace.digests[reference] for reference in planned.inputs},
        result=with_places(planned.step.id, result, _artifact_paths(workspace)),
    )


def _artifact_paths(workspace: Workspace) -> dict[str, str]:
    """The path of each artifact, by digest."""
    inputs = workspace.plan.recipe.inputs
    paths = {
        artifact.digest: str(inputs[reference.removeprefix("inputs.")]["bundle"])
        for reference, artifact in workspace.plan.models.items()
    }
    for name, finished in workspace.finished.items():
        if finished.artifact_path is not None:
            # A step may make what an input is already; the input then keeps its own path.
            paths.setdefault(workspace.digests[name], artifact_place(name))
    return paths


def describe_record(record: StepRecord) -> str:
    """One line on a finished step."""
    state = "cached" if record.status == "cached" else f"{record.seconds:.1f} s"
    return f"{record.id}: {state}{_figures(record.result)}"


def _figures(result: StepResult) -> str:
    if result.made is not None:
        return f", {result.made.format}, {result.made.size_bytes / 1e6:.2f} MB"
    return "".join(f", {name} {score.value:.2f}" for name, score in result.scores.items())
