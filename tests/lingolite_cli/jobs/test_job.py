"""Jobs: recipes that are made in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import corpus_input, model_input
from lingolite_cli.jobs.job import JobBuilder, make_runner
from lingolite_cli.recipe.plan import make_plan, read_recipe
from lingolite_cli.recipe.steps.quantize import QuantizeStep
from lingolite_cli.recipe.work.evaluation import EvaluateStep


@pytest.fixture
def builder(project: Path, monkeypatch: pytest.MonkeyPatch) -> JobBuilder:
    """For a command in the project, whose evaluations have the backend `echo` and the metric `bleu`."""
    monkeypatch.chdir(project)
    return JobBuilder(JobContext(is_quiet=True), "try")


def test_none_is_not_given_and_the_projects_defaults_are_below(builder: JobBuilder) -> None:
    step = builder.step(EvaluateStep, "e", metrics=None, max_samples=3)
    assert step == EvaluateStep(id="e", metrics=("bleu",), max_samples=3)


def test_a_job_plans_the_same_work_as_a_recipe_file(
    builder: JobBuilder, project: Path, echo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(echo)
    context = builder.context
    (project / "same.toml").write_text(
        f"""\
name = "try"
threads = 2
[inputs]
model = {{ bundle = "{project / "model"}" }}
test = {{ tsv = "{project / "test.tsv"}", languages = ["en", "da"] }}
[[steps]]
id = "half"
uses = "quantize"
method = "fp16"
[[steps]]
id = "shipped"
uses = "evaluate"
model = "half"
max_samples = 4
""",
        encoding="utf-8",
    )
    job = builder.job(
        {"model": model_input(project / "model"), "test": corpus_input(context)},
        [
            builder.step(QuantizeStep, "half", method="fp16"),
            builder.step(EvaluateStep, "shipped", model="half", max_samples=4),
        ],
        threads=2,
    )
    read = read_recipe(project / "same.toml", context.project)
    assert job.recipe.steps == read.steps
    from_job, from_file = (
        make_plan(recipe, path="here", project=context.project, registry=context.registry)
        for recipe in (job.recipe, read)
    )
    assert [(step.summary, step.inputs) for step in from_job.steps] == [
        (step.summary, step.inputs) for step in from_file.steps
    ]
    assert (from_job.threads, from_job.corpora) == (from_file.threads, from_file.corpora)


def test_mistakes_name_the_command_the_step_and_the_key(builder: JobBuilder) -> None:
    with pytest.raises(LingoLiteError, match="lingolite try: step `e`, `workers`: expected `int` >= 1, not 0"):
        builder.step(EvaluateStep, "e", workers=0)
    with pytest.raises(LingoLiteError, match="lingolite try: `threads`: expected `int` >= 1, not 0"):
        builder.job({}, [], threads=0)


def test_jobs_do_not_run_under_torchrun(builder: JobBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(LingoLiteError, match="`try` runs in one process, not under torchrun"):
        make_runner(builder.context, builder.job({}, []), Console(quiet=True))
