"""`lingolite init`: projects that run, checked before anything is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents

from lingolite_cli.artifact import Artifact
from lingolite_cli.files.starter import STARTER_FILES, starter_directory
from lingolite_cli.schema import read_toml
from lingolite_cli.settings import find_project

Command = Callable[..., Outcome]


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    made = tmp_path / "empty"
    made.mkdir()
    return made


def test_the_starter_makes_a_project_whose_recipe_is_valid(lingolite: Command, empty: Path) -> None:
    outcome = lingolite("init", "--starter", "demo", cwd=empty)
    assert outcome.code == 0, outcome.err
    assert "next: cd demo && lingolite run recipes/mobile.toml" in outcome.err
    demo = empty / "demo"
    for name in STARTER_FILES:
        assert (demo / "starter-en-da" / name).read_bytes() == (starter_directory() / name).read_bytes()
    assert lingolite("recipes", "check", "recipes/mobile.toml", cwd=demo).code == 0
    for directory in (demo, demo / "recipes", demo / "starter-en-da"):
        named = lingolite("run", "mobile", "--plan", cwd=directory)
        assert named.code == 0, named.err
        assert "baseline" in named.out
    unknown = lingolite("run", "mobil", "--plan", cwd=demo)
    assert unknown.code == 2
    assert "mobil" in unknown.err
    settings = find_project(demo).settings
    assert settings.dev is not None
    assert settings.dev.tsv == "starter-en-da/dev.en-da.tsv"
    budget = next(step["budget"] for step in _recipe(demo)["steps"] if step["id"] == "verify")
    assert budget["bleu_min"] == 40
    assert budget["new_empty_max"] == 0
    shown = lingolite("inspect", "starter-en-da/model", "--json", cwd=demo).json
    assert shown["licence"] == "GPL-3.0-or-later", "what is exported states it, too"
    before = contents(demo)
    again = lingolite("init", "--starter", "demo", cwd=empty)
    assert again.code == 2
    assert "exists" in again.err
    assert contents(demo) == before
    assert lingolite("init", "--starter", "other", "--model", "model", cwd=empty).code == 2
    assert not (empty / "other").exists()


def test_paths_are_from_where_the_user_stands(lingolite: Command, project: Path, empty: Path) -> None:
    shutil.copytree(project / "model", empty / "mine")
    shutil.copyfile(project / "test.tsv", empty / "news.tsv")
    outcome = lingolite("init", "phone", "--model", "mine", "--test", "news.tsv", "--dev", "news.tsv", cwd=empty)
    assert outcome.code == 0, outcome.err
    settings = find_project(empty / "phone").settings
    assert settings.model == "../mine"
    assert settings.test is not None
    assert settings.test.tsv == "../news.tsv"
    assert settings.dev is not None
    assert settings.languages == ("en", "da")
    assert lingolite("recipes", "check", "recipes/mobile.toml", cwd=empty / "phone").code == 0


def test_files_that_are_there_are_noticed(lingolite: Command, project: Path, empty: Path) -> None:
    shutil.copytree(project / "model", empty / "model")
    shutil.copyfile(project / "test.tsv", empty / "test.tsv")
    assert lingolite("init", cwd=empty).code == 0
    assert find_project(empty).settings.dev is None
    assert "# [dev]" in (empty / "lingolite.toml").read_text()
    (empty / "lingolite.toml").unlink()
    (empty / "recipes" / "mobile.toml").unlink()
    shutil.copyfile(project / "test.tsv", empty / "dev.tsv")
    assert lingolite("init", cwd=empty).code == 0
    dev = find_project(empty).settings.dev
    assert dev is not None
    assert dev.tsv == "dev.tsv"


def test_what_cannot_be_used_is_refused_before_anything_is_written(
    lingolite: Command, project: Path, tiny: Artifact, empty: Path
) -> None:
    (empty / "one-column.tsv").write_text("only a source\n")
    given = ["--model", str(tiny.path), "--test", str(project / "test.tsv")]
    before = contents(empty)
    for arguments, message in (
        ([], "no model: there is no --model"),
        (["--model", "nowhere"], "no such directory"),
        ([*given[:2], "--test", "nowhere.tsv"], "nowhere.tsv"),
        ([*given[:2], "--test", "one-column.tsv"], "one-column.tsv"),
        ([*given, "--dev", "one-column.tsv"], "one-column.tsv"),
        ([*given, "--languages", "en-nb"], "does not know the language `nb`"),
    ):
        outcome = lingolite("init", "new", *arguments, cwd=empty)
        assert outcome.code == 2, arguments
        assert message in outcome.err
        assert "hint: " in outcome.err
        assert contents(empty) == before


def _recipe(project: Path) -> dict:
    return read_toml(project / "recipes" / "mobile.toml")
