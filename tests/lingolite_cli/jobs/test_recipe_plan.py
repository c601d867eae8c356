"""A recipe runs in its own project, wherever one stands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents, make_project, read_run, runs

from lingolite_cli.artifact import Artifact
from lingolite_cli.runs.measured_results import EvaluateResult

Command = Callable[..., Outcome]


@pytest.fixture
def other(tmp_path: Path, tiny: Artifact) -> Path:
    """Another project, whose test set has other sentences and whose recipe has the same name."""
    root = make_project(tmp_path / "other", tiny)
    (root / "test.tsv").write_text("a red house\ta red house\n" * 2, encoding="utf-8")
    return root


def test_recipe_of_another_project_reads_its_own_inputs_and_leaves_its_run_there(
    with_echo: Command, project: Path, other: Path
) -> None:
    before = contents(other)
    outcome = with_echo("run", project / "recipes" / "small.toml", cwd=other)
    assert outcome.code == 0, outcome.err
    assert contents(other) == before
    baseline = read_run(runs(project)[0]).steps[0].result
    assert isinstance(baseline, EvaluateResult)
    assert baseline.num_samples == 21
    assert with_echo("history", cwd=other).out.startswith("no runs")


def test_commands_on_a_recipe_take_the_defaults_of_its_project(with_echo: Command, project: Path, other: Path) -> None:
    """Without them, `cached` would be its backend."""
    (other / "lingolite.toml").write_text("schema = 1\n")
    recipe = project / "recipes" / "small.toml"
    assert "through echo" in " ".join(with_echo("run", recipe, "--plan", cwd=other).out.split())
    assert with_echo("recipes", "check", recipe, cwd=other).code == 0
    assert with_echo("run", recipe, "--lock", cwd=other).code == 0
    assert with_echo("verify-lock", recipe, cwd=other).code == 0


def test_option_that_names_a_file_is_refused_where_it_would_be_another_one(
    with_echo: Command, project: Path, other: Path
) -> None:
    for root in (project, other):
        (root / "accepted.txt").write_text(f"{root}\n", encoding="utf-8")
    options = ("--set", 'baseline.metric_options={ exact = { accepted = "accepted.txt" } }')
    recipe = project / "recipes" / "small.toml"
    outcome = with_echo("run", recipe, *options, cwd=other)
    assert outcome.code == 2
    assert "metric `exact` reads accepted.txt, which is another file here" in outcome.err
    assert with_echo("run", recipe, *options).code == 0


def test_recipe_outside_of_every_project_belongs_to_the_one_around_the_working_directory(
    with_echo: Command, project: Path, tmp_path: Path
) -> None:
    loose = tmp_path / "loose.toml"
    loose.write_text((project / "recipes" / "small.toml").read_text())
    assert with_echo("run", loose).code == 0
    assert len(runs(project)) == 1


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_cache_is_kept_where_the_user_says(
    with_echo: Command, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """So that commands work in a project that cannot be written to."""
    cache = tmp_path / "cache"
    before = contents(project)
    if how == "variable":
        monkeypatch.setenv("LINGOLITE_CACHE", str(cache))
    before_command = ("--cache", cache) if how == "flag" else ()
    assert with_echo(*before_command, "eval", "--metrics", "bleu", "--json").json["status"] == "done"
    assert with_echo(*before_command, "eval", "--metrics", "bleu", "--json").json["status"] == "cached"
    assert contents(project) == before
    assert (cache / "steps").is_dir()


def test_whole_run_goes_where_the_user_says(
    with_echo: Command, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(project)
    for key in ("cache", "runs", "history"):
        monkeypatch.setenv(f"LINGOLITE_{key.upper()}", str(tmp_path / "kept" / key))
    outcome = with_echo("run", "recipes/small.toml")
    assert outcome.code == 0
    assert "warning" not in outcome.err
    assert contents(project) == before
    assert len(with_echo("history", "--json").json["runs"]) == 1
    assert {path.name for path in (tmp_path / "kept").iterdir()} >= {"cache", "runs", "history"}
