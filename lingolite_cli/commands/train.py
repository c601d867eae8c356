"""`lingolite train`: the steps of a recipe that train."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import typer

from lingolite_cli.artifact import check_target
from lingolite_cli.commands.context import context_of
from lingolite_cli.commands.options import JsonFlag, Overwrite
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.execution.runner import Outcome, Runner
from lingolite_cli.jobs.adhoc import publish_artifact
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.recipe.cache import FollowerCache
from lingolite_cli.recipe.model import QuantizeStep, Recipe, Step, TrainStep
from lingolite_cli.recipe.plan import make_plan, read_recipe
from lingolite_cli.recipe.scope import Plan
from lingolite_cli.recipe.work.learning import state_directory
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.results import QuantizeResult, TrainResult
from lingolite_cli.schema import parse_pairs
from lingolite_cli.training.launch import rank
from lingolite_cli.views.runs import show_training


def train(
    typer_context: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe with a step that trains.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="What the last such step makes; without it, see the run."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint; an error where there is none.")
    ] = False,
    max_minutes: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="End after so many minutes of training, resumed ones included."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="STEP.KEY=VALUE", help="Change one value of the recipe; repeatable."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Train anew, whatever was trained before.")] = False,
    overwrite: Overwrite = False,
    json: JsonFlag = False,
) -> None:
    """Run the steps of a recipe that train, `qat-int8` included. A killed one goes on from its checkpoint."""
    context = context_of(typer_context)
    console = context.console(json=json)
    if resume and fresh:
        raise LingoLiteError("--resume and --fresh contradict each other", hint="pass one of them")
    if out is not None:
        check_target(out, overwrite=overwrite)
    training = _training(
        read_recipe(recipe, context.project, overrides=parse_pairs(set_, flag="--set")), recipe, context
    )
    plan = make_plan(
        _limited(training, max_minutes), path=str(recipe), project=context.project, registry=context.registry
    )
    if resume:
        _check_resumable(plan, context, console)
    if rank() > 0:
        _follow(plan, context, is_fresh=fresh)
        return
    runner = Runner(plan, cache=context.cache, console=console, host=context.registry.host, is_fresh=fresh)
    outcome = runner.run(context.project.runs_directory, history=context.history(console))
    if out is not None:
        publish_artifact(runner.finished(plan.steps[-1].step.id).artifact_path, out, overwrite=overwrite)
    console.print_json(outcome.manifest)
    for _, training_record in outcome.manifest.trainings:
        show_training(training_record, console)
    console.print(f"bundle: {out or _made(outcome)}")


def _made(outcome: Outcome) -> Path:
    """Where the run has what its last step made."""
    result = outcome.manifest.steps[-1].result
    assert isinstance(result, TrainResult | QuantizeResult)
    assert outcome.directory is not None
    return outcome.directory / result.artifact.path


def _training(recipe: Recipe, path: Path, context: JobContext) -> Recipe:
    """The recipe without its other steps."""
    steps = tuple(step for step in recipe.steps if _trains(step, context))
    if not steps:
        raise LingoLiteError(f"{path} has no step that trains", hint='add one: uses = "train"')
    return msgspec.structs.replace(recipe, steps=steps)


def _trains(step: Step, context: JobContext) -> bool:
    """Whether a step trains; the plugins of the others need not be there."""
    if not isinstance(step, QuantizeStep):
        return isinstance(step, TrainStep)
    entries = [entry for entry in context.registry.of_kind("quantizer") if entry.name == step.method]
    if not entries:
        raise context.registry.unknown("quantizer", step.method)
    specs: list[Any] = [entry.spec for entry in entries if entry.spec is not None]
    return any("training" in spec.needs for spec in specs)


def _limited(recipe: Recipe, max_minutes: float | None) -> Recipe:
    """The recipe with this time limit in each of its steps, which all train."""
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
    """Work along with process 0 of torchrun, which alone writes and reports."""
    with TemporaryDirectory(prefix="lingolite-") as name:
        cache = FollowerCache(context.project.cache_directory, elsewhere=Path(name))
        host = context.registry.host
        with Runner(plan, cache=cache, console=Console(quiet=True), host=host, is_fresh=is_fresh).scratch() as runner:
            runner.execute()


def _check_resumable(plan: Plan, context: JobContext, console: Console) -> None:
    """Refuse to resume where the first training has no checkpoint."""
    from lingolite_cli.training.checkpoint import has_checkpoint

    directory = state_directory(plan.steps[0], Workspace(plan, console, state_root=context.cache.state_root))
    if not has_checkpoint(directory):
        raise LingoLiteError(
            f"there is no checkpoint to resume step `{plan.steps[0].step.id}` from",
            hint="other text, options or seed make another training; start this one without --resume",
        )
