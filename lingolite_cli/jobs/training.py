"""`lingolite train`: the steps of a recipe that train, alone or beside the other processes of torchrun."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from lingolite_cli.artifact import check_target
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.execution.runner import Runner
from lingolite_cli.files.scratch import scratch_directory
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import input_paths
from lingolite_cli.jobs.job import publish_artifact
from lingolite_cli.jobs.recipe_plan import OwnedRecipe, open_recipe, plan_recipe
from lingolite_cli.plugins.specs import QuantizerSpec
from lingolite_cli.recipe.cache import FollowerCache
from lingolite_cli.recipe.model import Recipe, Step
from lingolite_cli.recipe.scope import Plan
from lingolite_cli.recipe.steps.quantize import QuantizeStep
from lingolite_cli.recipe.steps.train import TrainStep
from lingolite_cli.recipe.work.learning import training_state
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.made_results import QuantizeResult, TrainResult
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.training.launch import rank


class TrainingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is trained, and how it goes on.

    Attributes:
        recipe: a TOML file with a step that trains.
        overrides: of `--set`, by dotted key.
        out: where the artifact of the last such step goes; None leaves it in the run.
        max_minutes: of training for each step, resumed ones included; must be more than 0.
        must_resume: refuse to begin anew.
        is_fresh: begin anew, whatever was trained before.
        overwrite: replace an artifact at `out`.
    """

    recipe: Path
    overrides: Mapping[str, str] = {}
    out: Path | None = None
    max_minutes: float | None = None
    must_resume: bool = False
    is_fresh: bool = False
    overwrite: bool = False


class FinishedTraining(msgspec.Struct, frozen=True):
    """A finished training: the manifest of its run, and where the last artifact is."""

    manifest: RunManifest
    bundle: Path


def train(context: JobContext, request: TrainingRequest, console: Console) -> FinishedTraining | None:
    """Run the steps that train. A training that was killed goes on from its checkpoint.

    Returns:
        What was trained; None in a process that follows process 0 of torchrun, which alone writes and reports.

    Raises:
        LingoLiteError: the recipe is wrong, `out` exists, or there is no checkpoint to resume from.
    """
    if request.must_resume and request.is_fresh:
        raise LingoLiteError("--resume and --fresh contradict each other", hint="pass one of them")
    context = context.for_recipe(request.recipe)
    plan = training_plan(context, request)
    if request.out is not None:
        inputs = [path for spec in plan.recipe.inputs.values() for path in input_paths(spec, plan.root)]
        check_target(request.out, overwrite=request.overwrite, inputs=inputs)
    if request.must_resume:
        _check_resumable(plan, context, console)
    # Plan and checks are the same in all processes: none of them waits for one that was refused.
    if rank() > 0:
        _follow(plan, context, is_fresh=request.is_fresh)
        return None
    host = context.registry.host
    runner = Runner(plan, cache=context.cache, console=console, host=host, is_fresh=request.is_fresh)
    outcome = runner.run(context.project.runs_directory, history=context.history(console))
    if request.out is not None:
        artifact = runner.finished(plan.steps[-1].step.id).artifact_path
        publish_artifact(artifact, request.out, overwrite=request.overwrite)
    return FinishedTraining(outcome.manifest, request.out or outcome.directory / _last_artifact(outcome.manifest))


def training_plan(context: JobContext, request: TrainingRequest) -> Plan:
    """The plan of the recipe without its other steps."""
    owned = open_recipe(context, request.recipe, overrides=request.overrides)
    context, recipe = owned.context, owned.recipe
    steps = tuple(step for step in recipe.steps if _trains(step, context))
    if not steps:
        raise LingoLiteError(f"{request.recipe} has no step that trains", hint='add one: uses = "train"')
    _check_alone(steps, recipe)
    training = _limited(msgspec.structs.replace(recipe, steps=steps), request.max_minutes)
    return plan_recipe(OwnedRecipe(context, training), request.recipe)


def _check_alone(steps: tuple[Step, ...], recipe: Recipe) -> None:
    """Refuse trainings that read what another kind of step makes, such as a corpus that a teacher translates."""
    left_out = {step.id for step in recipe.steps} - {step.id for step in steps}
    for step in steps:
        assert isinstance(step, TrainStep | QuantizeStep)
        needed = [name for name in (step.model, *(step.data or ()), step.dev) if name in left_out]
        if needed:
            raise LingoLiteError(
                f"step `{step.id}` reads what step `{needed[0]}` makes, and `lingolite train` does trainings alone",
                hint="do the whole recipe with `lingolite run`, or make that first and name it as an input",
            )


def _last_artifact(manifest: RunManifest) -> str:
    """The path inside the run's directory of what its last step made."""
    result = manifest.steps[-1].result
    assert isinstance(result, TrainResult | QuantizeResult)
    return result.artifact.path


def _trains(step: Step, context: JobContext) -> bool:
    """Whether a step trains. The plugins of other steps need not be installed."""
    if not isinstance(step, QuantizeStep):
        return isinstance(step, TrainStep)
    entries = [entry for entry in context.registry.of_kind("quantizer") if entry.name == step.method]
    if not entries:
        raise context.registry.unknown("quantizer", step.method)
    return any("training" in entry.spec.needs for entry in entries if isinstance(entry.spec, QuantizerSpec))


def _limited(recipe: Recipe, max_minutes: float | None) -> Recipe:
    """The recipe with this time limit in each of its steps, all of which train."""
    if max_minutes is None:
        return recipe
    if max_minutes <= 0:
        raise LingoLiteError(f"--max-minutes must be more than 0, not {max_minutes:g}")
    return msgspec.structs.replace(recipe, steps=tuple(_with_limit(step, max_minutes) for step in recipe.steps))


def _with_limit(step: Step, max_minutes: float) -> Step:
    if isinstance(step, QuantizeStep):
        return msgspec.structs.replace(step, options={**step.options, "max_minutes": max_minutes})
    assert isinstance(step, TrainStep)
    return msgspec.structs.replace(step, options=msgspec.structs.replace(step.options, max_minutes=max_minutes))


def _follow(plan: Plan, context: JobContext, *, is_fresh: bool) -> None:
    """Train along with process 0 of torchrun, which alone writes and reports."""
    with scratch_directory() as directory:
        cache = FollowerCache(context.project.cache_directory, elsewhere=directory)
        host = context.registry.host
        with Runner(plan, cache=cache, console=Console(quiet=True), host=host, is_fresh=is_fresh).scratch() as runner:
            runner.execute()


def _check_resumable(plan: Plan, context: JobContext, console: Console) -> None:
    """Refuse to resume where the first training has no checkpoint."""
    from lingolite_cli.training.checkpoint import has_checkpoint

    directory = training_state(plan.steps[0], Workspace(plan, console, cache=context.cache))
    if not has_checkpoint(directory):
        raise LingoLiteError(
            f"there is no checkpoint to resume step `{plan.steps[0].step.id}` from",
            hint="other text, options or seed make another training; start this one without --resume",
        )
