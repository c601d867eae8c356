"""What is published: a wheel that brings the starter, and a source distribution whose tests have their data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lingolite_cli.files.starter import STARTER_FILES

pytestmark = pytest.mark.installation

ROOT = Path(__file__).parent.parent
COPIED = ("lingolite_cli", "plugins", "recipes", "tests", "docs")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", ".lingolite", "runs")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the source distribution of a copy of the tree."""
    copy = tmp_path_factory.mktemp("distribution") / "tree"
    copy.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, copy / name, ignore=LEFT_OUT)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copyfile(path, copy / path.name)
    made = copy.parent / "dist"
    made.mkdir()
    for build in ("build_wheel", "build_sdist"):
        script = f"import sys; from setuptools import build_meta; build_meta.{build}(sys.argv[1])"
        subprocess.run(
            [sys.executable, "-c", script, str(made)], cwd=copy, check=True, capture_output=True, timeout=300
        )
    return made


def test_the_wheel_alone_makes_a_project_that_can_run(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    assert [name for name in names if name.endswith("model.safetensors")] == [
        "lingolite_cli/starter/model/model.safetensors"
    ]
    guides = {Path(name).stem for name in names if name.startswith("lingolite_cli/guides/") and name.endswith(".md")}
    assert guides == {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert not [name for name in names if name.startswith(("tests/", "recipes/"))]
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    environment.pop("LINGOLITE_CACHE", None)
    for arguments, directory in (
        (("init", "--starter", "demo"), "empty"),
        (("run", "recipes/mobile.toml", "--plan"), "empty/demo"),
        (("translate", "Open the file", "--backend", "onnx"), "empty/demo"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "lingolite_cli", *arguments],
            cwd=tmp_path / directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout == "Åbn filen\n"
    for name in STARTER_FILES:
        assert (tmp_path / "empty" / "demo" / "starter-en-da" / name).is_file()


def test_the_source_distribution_has_the_tests_with_their_data(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = [name.partition("/")[2] for name in opened.getnames()]
    assert {
        "tests/conftest.py",
        "tests/data/existing-checkpoint/checkpoint.pt",
        "tests/third_party/echo/pyproject.toml",
        "recipes/mobile.toml",
        "docs/recipes.md",
        "lingolite.toml",
        "setup.py",
    } <= set(names)
    assert sum(name.endswith("model.safetensors") for name in names) == 1
