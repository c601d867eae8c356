"""Kinds of step are found where they are declared; no table lists them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from command_line import RECIPE, environment

from lingolite_cli.recipe.kinds import KINDS, RecipeFile
from lingolite_cli.runs.results import StepResult
from lingolite_cli.schema import convert

COUNT = """
import msgspec
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PlannedStep
from lingolite_cli.recipe.step_kind import StepKind

class CountStep(Step, tag="count", frozen=True, kw_only=True):
    corpus: str

class CountResult(msgspec.Struct, frozen=True, tag_field="kind", tag="{tag}"):
    num_samples: int

def _check(step, scope):
    scope.corpus(step, "corpus", step.corpus)
    return PlannedStep(step=step, summary="sentences of " + step.corpus)

def _run(planned, workspace, directory):
    return CountResult(len(workspace.corpus(planned.step.corpus).sources))

KIND = StepKind(table=CountStep, result=CountResult, check=_check, run=_run)
"""
WITH_ONE_MORE = """
import sys
from lingolite_cli.recipe import steps
steps.__path__.append(sys.argv.pop(1))
from lingolite_cli.app import main
main()
"""


def test_every_kind_of_step_has_the_result_of_its_name_and_the_other_way_round() -> None:
    assert {kind.result for kind in KINDS.values()} == set(get_args(StepResult))
    assert all(kind.result.__struct_config__.tag == name for name, kind in KINDS.items())


def test_a_recipe_file_may_have_steps_of_each_kind() -> None:
    required = {
        "verify": {"reference": "a", "candidate": "b"},
        "benchmark": {"systems": []},
        "search": {"reference": "a", "budget": {}},
        "filter": {"text": "a"},
        "monitor": {"log": "served.jsonl"},
        "replay": {"model": "a"},
    }
    steps = [{"id": name, "uses": name, **required.get(name, {})} for name in KINDS]
    recipe = convert({"name": "all", "steps": steps}, RecipeFile, where="here")
    assert [type(step) for step in recipe.steps] == [kind.table for kind in KINDS.values()]


def _check_with_one_more(recipe: str, kind: str, directory: Path, echo: Path) -> subprocess.CompletedProcess[str]:
    (directory / "kinds").mkdir()
    (directory / "kinds" / "count.py").write_text(kind)
    (directory / "counting.toml").write_text(recipe)
    command = [sys.executable, "-c", WITH_ONE_MORE, str(directory / "kinds"), "recipes", "check", "counting.toml"]
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, env=environment([echo]))


@pytest.mark.parametrize(
    ("corpus", "code", "said"),
    [("inputs.test", 0, ""), ("inputs.tset", 2, "step `count`, `corpus`: there is no `inputs.tset`")],
)
def test_a_module_beside_the_others_is_a_kind_that_recipes_may_use(
    corpus: str, code: int, said: str, project: Path, echo: Path
) -> None:
    step = f'\n[[steps]]\nid = "count"\nuses = "count"\ncorpus = "{corpus}"\n'
    outcome = _check_with_one_more(RECIPE + step, COUNT.format(tag="count"), project, echo)
    assert outcome.returncode == code, outcome.stderr
    assert said in outcome.stderr


def test_a_result_under_another_name_than_its_step_is_refused_at_once(project: Path, echo: Path) -> None:
    outcome = _check_with_one_more(RECIPE, COUNT.format(tag="counts"), project, echo)
    assert outcome.returncode == 1
    assert "count: table and result have different tags" in outcome.stderr
