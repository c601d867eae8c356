"""The project's defaults under the keys of a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.recipe.defaults import Defaults, make_step
from lingolite_cli.recipe.plan import read_recipe
from lingolite_cli.recipe.steps.benchmark import BenchmarkStep, BenchmarkSystemTable
from lingolite_cli.recipe.work.evaluation import EvaluateStep
from lingolite_cli.recipe.work.judgement import TimingTable, VerifyStep
from lingolite_cli.settings import Project, Settings

DEFAULTS: Defaults = {
    "evaluate": {"batch_size": 8, "backend": "echo", "decoding": {"beam_size": 4, "max_length": 20}},
    "verify": {"timing": {"rounds": 7, "num_sentences": 5}},
}


def test_what_is_given_wins_over_the_projects_defaults_and_those_over_built_in_ones() -> None:
    given = {"id": "a", "batch_size": 32, "decoding": {"beam_size": 1}}
    step = make_step(EvaluateStep, given, defaults=DEFAULTS, where="lingolite eval")
    assert step == EvaluateStep(
        id="a",
        batch_size=32,  # the built-in default, which was asked for all the same
        decoding={"beam_size": 1, "max_length": 20},
    )


def test_tables_of_their_own_type_are_merged_key_by_key() -> None:
    given = {"id": "v", "reference": "a", "candidate": "b", "timing": {"rounds": 9}}
    step = make_step(VerifyStep, given, defaults=DEFAULTS, where="lingolite verify")
    assert step.timing == TimingTable(rounds=9, num_sentences=5)


def test_structs_inside_a_step_stay_as_they_are() -> None:
    system = BenchmarkSystemTable(model="inputs.model", backend="echo", threads=3)
    step = make_step(BenchmarkStep, {"id": "b", "systems": (system,)}, defaults={}, where="lingolite bench")
    assert step.systems == (system,)


def test_a_step_equals_the_one_that_a_recipe_file_gives(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "r"\n[[steps]]\nid = "a"\nuses = "evaluate"\nmax_samples = 3\ndecoding = { beam_size = 2 }\n'
    )
    project = Project(root=tmp_path, settings=Settings(defaults={key: dict(DEFAULTS[key]) for key in DEFAULTS}))
    (read,) = read_recipe(recipe, project).steps
    given = {"id": "a", "max_samples": 3, "decoding": {"beam_size": 2}}
    assert make_step(EvaluateStep, given, defaults=DEFAULTS, where="here") == read


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"id": "a", "batch_size": 0}, "lingolite eval: step `a`, `batch_size`: expected `int` >= 1, not 0"),
        ({"id": "a", "batchsize": 3}, "lingolite eval: step `a`: unknown key `batchsize` = 3"),
        ({"id": "a b"}, "lingolite eval: step `a b`, `id`: expected"),
    ],
)
def test_mistakes_are_named_as_in_a_recipe(given: dict[str, object], message: str) -> None:
    with pytest.raises(LingoLiteError, match="step") as caught:
        make_step(EvaluateStep, given, defaults={}, where="lingolite eval")
    assert caught.value.message.startswith(message)


def test_defaults_of_an_unknown_kind_are_refused() -> None:
    with pytest.raises(LingoLiteError, match=r"unknown key `defaults.evalute`") as caught:
        make_step(EvaluateStep, {"id": "a"}, defaults={"evalute": {}}, where="lingolite eval")
    assert "evaluate" in (caught.value.hint or "")
