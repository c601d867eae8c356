"""Every command and snippet of the README, run in its order in one project, and its examples of output."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.lingolite_importers.marian_files import write_student

ROOT = Path(__file__).resolve().parent.parent
STARTER = ROOT / "recipes" / "starter-en-da"
BROKEN_BUDGET = 3

pytestmark = pytest.mark.readme


class Example(NamedTuple):
    """A shell command of the README; `shown` are lines of its output, in order, and None where others may stand."""

    line: str
    expects: str
    shown: tuple[str | None, ...]


def examples() -> list[Example]:
    """Commands of `sh` and `console` blocks, in the order of the README; what stands twice in a row is run once."""
    merged: list[Example] = []
    for example in read_examples():
        if merged and merged[-1].line == example.line:
            merged.pop()
        merged.append(example)
    return merged


def read_examples() -> Iterator[Example]:
    """Commands of `sh` and `console` blocks."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(sh|console)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        lines = block.splitlines()
        if language == "console":
            shown = tuple(None if line == "…" else line.rstrip() for line in lines[1:])
            yield Example(lines[0].removeprefix("$ "), "", shown)
            continue
        for line in lines:
            command, _, comment = line.partition("#")
            # .ci/run installs by these commands, and runs the tests by the last of them.
            parts = [part.strip() for part in command.split("&&")]
            for part in parts:
                if not part.startswith(("pip ", "pytest")):
                    yield Example(part, comment.strip(), ())


def normal(line: str) -> str:
    """A line of output without what another machine or day changes: figures, and the widths they make."""
    return re.sub(r"[─\s]+", " ", re.sub(r"[-+]?\d[\d,.]*(e-\d+)?", "0", line)).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a new user has: the recipes of this repository, and a model and texts of their own."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "recipes", folder / "recipes")
    shutil.copy(ROOT / "lingolite.toml", folder)
    write_student(folder / "enpt")
    for name, source in (("test.tsv", "test.en-da.tsv"), ("dev.tsv", "dev.en-da.tsv")):
        lines = (STARTER / source).read_text(encoding="utf-8").splitlines()
        (folder / name).write_text("\n".join(lines[:30]) + "\n", encoding="utf-8")
    (folder / "notes.txt").write_text("Open the file\nClose the window\n", encoding="utf-8")
    return folder


def run(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command in a shell, with this environment's `lingolite`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200"}
    return subprocess.run(line, shell=True, cwd=folder, env=environment, capture_output=True, encoding="utf-8")


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.line)
def test_a_command_does_what_the_readme_says(example: Example, folder: Path) -> None:
    ended = run(example.line, folder)
    output = ended.stdout + ended.stderr

    broken = any(text is not None and text.startswith("fail:") for text in example.shown)
    assert ended.returncode == (BROKEN_BUDGET if broken else 0), output
    if example.expects == "Åbn filen":
        assert ended.stdout == "Åbn filen\n"
    found = iter([normal(text) for text in output.splitlines()])
    for text in filter(None, example.shown):
        assert normal(text) in found, f"{text!r} is not in, or not at its place in:\n{output}"


def test_the_snippet_runs(folder: Path) -> None:
    (snippet,) = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    ended = subprocess.run(
        [sys.executable, "-c", snippet], cwd=folder, capture_output=True, encoding="utf-8", check=True
    )
    first, second = ended.stdout.splitlines()
    assert first == "Åbn filen"
    assert re.fullmatch(r"\d+\.\d nrefs:1\|.*\|tok:13a\|.*", second)


def test_no_linked_guide_is_missing() -> None:
    links = re.findall(r"\]\(([^)#]+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).is_file()] == []
