"""`lingolite.toml`: where it is looked for, and what it may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.settings import Settings, find_project


def test_the_nearest_settings_above_the_working_directory_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "outer" / "inner" / "deep" / "deeper"
    inner.mkdir(parents=True)
    (tmp_path / "outer" / "lingolite.toml").write_text('schema = 1\nruns = "elsewhere"\n')
    (tmp_path / "outer" / "inner" / "lingolite.toml").write_text("schema = 1\nthreads = 3\n")
    monkeypatch.chdir(inner)
    project = find_project()
    assert project.root == tmp_path / "outer" / "inner"
    assert project.settings_path == tmp_path / "outer" / "inner" / "lingolite.toml"
    assert project.threads == 3
    assert project.runs_directory == tmp_path / "outer" / "inner" / "runs"
    assert find_project(tmp_path / "outer").runs_directory == tmp_path / "outer" / "elsewhere"


def test_linked_directory_belongs_to_the_project_that_it_is_linked_into(tmp_path: Path) -> None:
    for name in ("mine", "theirs"):
        (tmp_path / name / "recipes").mkdir(parents=True)
        (tmp_path / name / "lingolite.toml").write_text("schema = 1\n")
    (tmp_path / "mine" / "linked").symlink_to(tmp_path / "theirs" / "recipes")
    assert find_project(tmp_path / "mine" / "linked").root == tmp_path / "mine"
    assert find_project(tmp_path / "mine" / "linked" / ".." / "recipes").root == tmp_path / "theirs"
    assert find_project(tmp_path / "mine" / ".." / "theirs").root == tmp_path / "theirs"


def test_without_settings_the_working_directory_is_the_project(tmp_path: Path) -> None:
    project = find_project(tmp_path)
    assert (project.root, project.settings, project.settings_path) == (tmp_path, Settings(), None)
    assert project.cache_directory == tmp_path / ".lingolite" / "cache"
    assert project.threads == 1


def test_all_keys_are_read(tmp_path: Path) -> None:
    (tmp_path / "lingolite.toml").write_text(
        """
        schema = 1
        model = "bundles/a"
        languages = ["de", "nl"]
        runs = "out"
        cache = "kept"
        threads = 2
        [test]
        source = "a.de"
        references = ["a.nl", "b.nl"]
        [plugins]
        blocked = ["slow-one"]
        [defaults.evaluate]
        batch_size = 8
        """
    )
    settings = find_project(tmp_path).settings
    assert settings.model == "bundles/a"
    assert settings.languages == ("de", "nl")
    assert settings.test == CorpusSpec(source="a.de", references=("a.nl", "b.nl"))
    assert (settings.runs, settings.cache, settings.threads) == ("out", "kept", 2)
    assert settings.plugins.blocked == ("slow-one",)
    assert settings.defaults == {"evaluate": {"batch_size": 8}}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("modle = 'm'", 'unknown key `modle` = "m"', "did you mean `model`?"),
        ("schema = 7", "schema is 7; this version reads 1", "upgrade lingolite"),
        ("threads = 0", "threads must be from 1 to 1024, not 0", None),
        ("[plugins]\nblock = ['x']", "unknown key `plugins.block`", "did you mean `blocked`?"),
        ("[test]\nsauce = 'x'", 'unknown key `test.sauce` = "x"', "did you mean `source`?"),
        ("languages = ['en']", "`languages`: expected `array` of length 2, got 1", None),
        ("model = ", "is not TOML", None),
    ],
    ids=["key", "schema", "threads", "plugins", "test", "languages", "toml"],
)
def test_a_mistake_is_named_with_the_file(tmp_path: Path, text: str, message: str, hint: str | None) -> None:
    (tmp_path / "lingolite.toml").write_text(text)
    with pytest.raises(LingoLiteError) as error:
        find_project(tmp_path)
    assert message in error.value.message
    assert str(tmp_path / "lingolite.toml") in error.value.message
    assert error.value.hint == hint


@pytest.mark.parametrize("key", ["runs", "cache", "history"])
@pytest.mark.parametrize("place", ["../elsewhere", "/elsewhere", "a/../../elsewhere", "link/elsewhere"])
def test_project_writes_outside_itself_only_where_the_user_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, place: str
) -> None:
    """It may come from elsewhere, and name any file of the user's."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "lingolite.toml").write_text(f'schema = 1\n{key} = "{place}"\n')
    name = {"runs": "runs_directory", "cache": "cache_directory", "history": "history_path"}[key]
    with pytest.raises(LingoLiteError, match=f"`{key}` leads out of the project") as error:
        getattr(find_project(root), name)
    assert f"LINGOLITE_{key.upper()}=" in str(error.value.hint)
    monkeypatch.setenv(f"LINGOLITE_{key.upper()}", str(tmp_path / "mine"))
    assert getattr(find_project(root), name) == tmp_path / "mine"
