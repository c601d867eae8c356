"""The Git commit of a run, where there is a repository."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lingolite_cli.runs.revision import Revision, find_revision


def git(root: Path, *arguments: str) -> str:
    named = {f"GIT_{who}_{what}": "someone" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(root), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **named})
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit with a recipe in a project that is not at its top."""
    project = tmp_path / "models" / "project"
    project.mkdir(parents=True)
    (project / "recipe.toml").write_text("schema = 1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "a recipe")
    return project


def test_commit_and_changes_of_the_project_are_found(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert find_revision(repository) == Revision(commit=commit, is_changed=False)
    (repository / "runs").mkdir()
    (repository / "runs" / "report.html").write_text("not tracked")
    (repository.parent / "other").write_text("not of the project")
    git(repository.parent, "add", "other")
    assert find_revision(repository) == Revision(commit=commit, is_changed=False)
    (repository / "recipe.toml").write_text("schema = 2\n")
    found = find_revision(repository)
    assert found == Revision(commit=commit, is_changed=True)
    assert found.said == f"{commit}, with uncommitted changes"


def test_nothing_is_found_without_a_repository_a_commit_or_git(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: Path
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    empty = tmp_path.parent / "empty"
    empty.mkdir(exist_ok=True)
    assert find_revision(empty) is None
    git(empty, "init", "--quiet")
    assert find_revision(empty) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_revision(repository) is None


def test_programs_that_a_repository_names_are_not_started(repository: Path, tmp_path: Path) -> None:
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    monitor.chmod(0o755)
    git(repository, "config", "core.fsmonitor", str(monitor))
    assert find_revision(repository) is not None
    assert not (tmp_path / "started").exists()
