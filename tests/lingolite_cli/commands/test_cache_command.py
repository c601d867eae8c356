"""`lingolite cache`: what it counts, and what it clears."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, read_run, runs

Command = Callable[..., Outcome]


@pytest.fixture
def cache(with_echo: Command, project: Path) -> Path:
    """The cache of a project with a run."""
    assert with_echo("run", "recipes/small.toml").code == 0
    return project / ".lingolite" / "cache"


def done(command: Command, project: Path) -> list[str]:
    """The steps that a further run does, reports aside."""
    known = runs(project)
    assert command("run", "recipes/small.toml").code == 0
    (new,) = [run for run in runs(project) if run not in known]
    return [step.id for step in read_run(new).steps if step.status == "done" and step.uses != "report"]


def test_contents_are_counted_by_kind(with_echo: Command, cache: Path) -> None:
    found = with_echo("cache", "show", "--json").json
    assert {kind: amount["count"] for kind, amount in found["steps"].items()} == {
        "evaluate": 2,
        "quantize": 1,
        "verify": 1,
    }
    assert found["artifacts"]["count"] == 1
    assert found["artifacts"]["size_bytes"] == sum(
        path.stat().st_size for path in (cache / "artifacts").rglob("*") if path.is_file()
    )
    assert found["stale"] == {"count": 0, "size_bytes": 0}
    assert str(cache) in with_echo("cache", "show").out


def test_prune_leaves_what_is_of_use(with_echo: Command, project: Path, cache: Path) -> None:
    assert with_echo("cache", "prune", "--json").json == {"removed": {"count": 0, "size_bytes": 0}}
    assert done(with_echo, project) == []


def test_prune_clears_what_this_version_cannot_use(with_echo: Command, project: Path, cache: Path) -> None:
    (entry,) = [path for path in (cache / "steps").rglob("entry.json") if b'"kind":"quantize"' in path.read_bytes()]
    plain = json.loads(entry.read_text())
    entry.write_text(json.dumps({**plain, "host": "0" * 64}))
    old = cache / "steps" / "ab" / ("ab" * 32)
    (old / "artifact").mkdir(parents=True)
    (old / "entry.json").write_text('{"result": {}, "files": {}, "digest": ""}')
    (cache / "steps" / "ab" / f".{'ab' * 32}.123-abc.partial").mkdir()
    assert with_echo("cache", "show", "--json").json["stale"]["count"] == 4
    assert "prune" in with_echo("cache", "show").out
    assert with_echo("cache", "prune", "--json").json["removed"]["count"] == 4
    assert with_echo("cache", "show", "--json").json["stale"]["count"] == 0
    assert list((cache / "artifacts").rglob("lingolite.json")) == []
    assert done(with_echo, project) == ["half"]


def test_prune_clears_by_age_and_all(with_echo: Command, project: Path, cache: Path) -> None:
    oldest = next((cache / "steps").glob("*/*"))
    os.utime(oldest, (0, 0))
    assert with_echo("cache", "prune", "--older-than", "30", "--json").json["removed"]["count"] >= 1
    assert not oldest.exists()
    with_echo("cache", "prune", "--all")
    shutil.rmtree(project / "runs")
    found = with_echo("cache", "show", "--json").json
    assert (found["steps"], found["artifacts"]["count"]) == ({}, 0)


def test_cache_that_is_not_there_is_empty(lingolite: Command, project: Path) -> None:
    assert lingolite("cache", "show", "--json").json["steps"] == {}
    assert lingolite("cache", "prune", "--json").json["removed"]["count"] == 0
    assert not (project / ".lingolite").exists()


def test_run_after_an_upgrade_says_that_it_does_work_again(with_echo: Command, project: Path, cache: Path) -> None:
    for last in (cache / "last").rglob("*.json"):
        last.write_text(json.dumps({**json.loads(last.read_text()), "host": "0" * 64}))
    for entry in (cache / "steps").rglob("entry.json"):
        entry.unlink()
    said = with_echo("run", "recipes/small.toml").err
    assert said.count("finished by another version of lingolite") == 1
    assert "lingolite cache prune" in said
