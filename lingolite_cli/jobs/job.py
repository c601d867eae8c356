"""A job: a recipe that is made in memory and run with the checks, the cache and the results of `lingolite run`.

Owns how a job is put together and run, for commands and the Python API alike. Which steps a job has is in the modules
beside this one, one for each job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from lingolite_cli.artifact import Artifact, check_target, write_manifest
from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import atomic_directory
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import Input, input_paths, input_table
from lingolite_cli.jobs.steps_ahead import Ahead, do_ahead
from lingolite_cli.recipe.model import Recipe, Step
from lingolite_cli.schema import convert
from lingolite_cli.training.launch import num_processes

# All kinds of step and what they work with are imported where a job is made: the help of a command has none.
if TYPE_CHECKING:
    from lingolite_cli.execution.runner import FinishedRun, Runner
    from lingolite_cli.runs.record import StepRecord

S = TypeVar("S", bound=Step)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a command asks for, as a recipe that is called after the command.

    Attributes:
        recipe: its inputs have absolute paths.
        is_fresh: whether cached results are not used.
    """

    recipe: Recipe
    is_fresh: bool = False


class JobBuilder:
    """Makes the steps of a job, and the job.

    Args:
        context: whose project has defaults for steps.
        command: the command or function, for messages.
    """

    def __init__(self, context: JobContext, command: str) -> None:
        self.context = context
        self._command = command

    def step(self, kind: type[S], id: str, **given: Any) -> S:
        """A step with the keys that are given; None is not given.

        Raises:
            LingoLiteError: a key is unknown, or a value has the wrong type or range.
        """
        from lingolite_cli.recipe.defaults import make_step

        defaults = self.context.project.settings.defaults
        return make_step(kind, {"id": id, **given_of(**given)}, defaults=defaults, where=self._where)

    def job(
        self,
        inputs: Mapping[str, Input],
        steps: Sequence[Step],
        *,
        threads: int | None = None,
        is_fresh: bool = False,
    ) -> Job:
        """The job.

        Args:
            inputs: by the NAME of "inputs.NAME".
            steps: made by `step`, in their order.
            threads: for each engine; None is the project's.
            is_fresh: do not use cached results.

        Raises:
            LingoLiteError: `threads` is below 1.
        """
        from lingolite_cli.recipe.kinds import RecipeFile

        tables = {name: input_table(spec) for name, spec in inputs.items()}
        # Steps pass through as they are. Name and threads come from outside, and are checked here.
        data = {"name": self._command, "inputs": tables, "steps": tuple(steps), **given_of(threads=threads)}
        return Job(recipe=convert(data, RecipeFile, where=self._where), is_fresh=is_fresh)

    @property
    def _where(self) -> str:
        return f"lingolite {self._command}"


def given_of(**keys: Any) -> dict[str, Any]:
    """The keys of a table that have a value. None, which an option or an argument has by default, is not given."""
    return {key: value for key, value in keys.items() if value is not None}


def make_runner(context: JobContext, job: Job, console: Console) -> Runner:
    """Check a job.

    Raises:
        LingoLiteError: it is wrong, or torchrun started several processes for it.
    """
    from lingolite_cli.execution.runner import Runner
    from lingolite_cli.recipe.plan import make_plan

    command = job.recipe.name
    # Each process of torchrun would do the whole job, and all would write to the same places.
    if num_processes() > 1:
        raise LingoLiteError(
            f"`{command}` runs in one process, not under torchrun",
            hint="`torchrun … -m lingolite_cli train RECIPE` trains",
        )
    registry = context.registry
    plan = make_plan(job.recipe, path=f"lingolite {command}", project=context.project, registry=registry)
    return Runner(plan, cache=context.cache, console=console, host=registry.host, is_fresh=job.is_fresh)


def run_job(context: JobContext, job: Job, console: Console) -> tuple[list[StepRecord], Runner]:
    """Check a job and run its steps, outside the project's runs and history.

    Returns:
        A record a step, and the runner, which knows where finished steps lie.
    """
    runner = make_runner(context, job, console)
    with runner.scratch():
        return runner.execute(), runner


def run_and_keep(
    context: JobContext, job: Job, console: Console, *, ahead: Ahead | None = None
) -> tuple[FinishedRun, Runner]:
    """Check a job and run it as `lingolite run` runs a recipe: among the project's runs, in its history.

    Args:
        context: project and plugins.
        job: what is run.
        console: told of it.
        ahead: who does steps ahead of the run, if anybody does.
    """
    runner = make_runner(context, job, console)
    if ahead is not None:
        do_ahead(context, [runner.plan], ahead, console)
    return runner.run(context.project.runs_directory, history=context.history(console)), runner


def convert_and_publish(context: JobContext, job: Job, console: Console, *, out: Path, overwrite: bool) -> StepRecord:
    """Run a job whose last step makes an artifact, and copy that to `out`.

    Raises:
        LingoLiteError: as the steps; or `out` exists, which is refused before any work.
    """
    inputs = [path for spec in job.recipe.inputs.values() for path in input_paths(spec)]
    check_target(out, overwrite=overwrite, inputs=inputs)
    records, runner = run_job(context, job, console)
    publish_artifact(runner.finished(records[-1].id).artifact_path, out, overwrite=overwrite)
    return records[-1]


def publish_artifact(source: Path | None, target: Path, *, overwrite: bool) -> None:
    """Copy a finished artifact out of the cache, whole or not at all."""
    assert source is not None, "the step made no artifact"
    artifact = Artifact.open(source)
    # A copy, not a link: the cache may be cleared at any time.
    with atomic_directory(target, overwrite=overwrite) as directory:
        for name in artifact.manifest.files:
            copy = directory / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(artifact.read_bytes(name))
        write_manifest(directory, artifact.manifest)
