"""`lingolite plugins new`: what it writes installs, is used by its name, and passes its own tests."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, environment, install_distribution, run_command

from lingolite_cli import testing
from lingolite_cli.artifact import Artifact
from lingolite_cli.plugins.manager import KINDS

Command = Callable[..., Outcome]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_a_package_of_code_that_compiles(lingolite: Command, project: Path, kind: str) -> None:
    outcome = lingolite("plugins", "new", "two-words", "--kind", kind)
    assert outcome.code == 0, outcome.err
    assert f"{kind.capitalize()}Contract" in testing.__all__
    written = project / "lingolite-two-words"
    names = sorted(line.removeprefix("wrote lingolite-two-words/") for line in outcome.out.splitlines())
    assert names == [
        "README.md",
        "lingolite_two_words/__init__.py",
        f"lingolite_two_words/{kind}.py",
        "pyproject.toml",
        "tests/test_lingolite_two_words.py",
    ]
    for name in names:
        text = (written / name).read_text(encoding="utf-8")
        assert not re.search(r"@\w+@", text)
        if name.endswith(".py"):
            compile(text, name, "exec")


@pytest.mark.parametrize(
    "kind",
    [
        "metric",
        "backend",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS if kind not in ("metric", "backend")),
    ],
)
def test_a_new_plugin_installs_and_passes_its_contract(
    lingolite: Command, project: Path, tmp_path: Path, kind: str
) -> None:
    assert lingolite("plugins", "new", "two-words", "--kind", kind).code == 0
    written = project / "lingolite-two-words"
    site = install_distribution(written, tmp_path / "site")

    listed = run_command("plugins", "check", "two-words", cwd=project, plugins=[site])
    class_ = f"TwoWords{kind.capitalize()}"
    assert listed == Outcome(0, f"{kind} two-words: lingolite_two_words.{kind}.{class_} loads\n", "")
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(written / "tests")],
        cwd=tmp_path,
        env=environment([site]),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout
    assert "passed" in tests.stdout


def test_a_new_metric_is_used_by_eval(lingolite: Command, project: Path, tmp_path: Path, echo: Path) -> None:
    assert lingolite("plugins", "new", "score", "--kind", "metric", "--out", str(tmp_path / "mine")).code == 0
    site = install_distribution(tmp_path / "mine", tmp_path / "site")
    outcome = run_command("eval", "--metrics", "score", "--json", cwd=project, plugins=[site, echo])
    assert outcome.code == 0, outcome.err
    assert outcome.json["score"] == 100.0
    assert outcome.json["signatures"]["score"] == "score|case:mixed|version:0.1.0"


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("Two Words", "--kind", "metric"), "`Two Words` cannot be the name of a plugin", "word-order"),
        (("../up", "--kind", "metric"), "`../up` cannot be the name of a plugin", "word-order"),
        (("bleu", "--kind", "metric"), "there is a metric called `bleu` already, of lingolite", "another name"),
        (("mine", "--kind", "metric", "--out", "model"), "model exists", "--out"),
        (("mine", "--kind", "engine"), "'engine' is not one of 'metric', 'backend'", ""),
    ],
    ids=["spaces", "path", "taken", "exists", "kind"],
)
def test_what_cannot_be_written_is_refused(
    lingolite: Command, project: Path, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    before = sorted(path.name for path in project.iterdir())
    outcome = lingolite("plugins", "new", *arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert hint in outcome.err
    assert sorted(path.name for path in project.iterdir()) == before
    assert Artifact.open(project / "model")
