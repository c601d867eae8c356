"""The recipe `distill` on small texts: a teacher translates, a student learns, and what ships is judged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

ROOT = Path(__file__).parents[3]
RECIPE = ROOT / "recipes" / "distill.toml"
SHORT = {
    "student.options.max_steps": "2",
    "student.options.warmup_steps": "1",
    "student.options.checkpoint_every": "1",
    "student.options.batch_tokens": "256",
    # Eight sentences settle nothing.
    "kept.allow_inconclusive": "true",
    "reached.allow_inconclusive": "true",
}


@pytest.fixture
def distill(lingolite: Callable[..., Outcome], tmp_path: Path) -> Callable[..., Outcome]:
    """`lingolite COMMAND recipes/distill.toml` in a project with the starter and eight sentences of each text."""
    starter = ROOT / "recipes" / "starter-en-da"
    place = tmp_path / "recipes" / "starter-en-da"
    place.mkdir(parents=True)
    (place / "model").symlink_to(starter / "model")
    for name in ("dev", "test", "other"):
        lines = (starter / f"{name}.en-da.tsv").read_text(encoding="utf-8").splitlines()[:8]
        (place / f"{name}.en-da.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "recipes" / "distill.toml").write_text(RECIPE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "lingolite.toml").write_text("schema = 1\n")

    def run(command: str, *arguments: str) -> Outcome:
        return lingolite(command, "recipes/distill.toml", *arguments, cwd=tmp_path)

    return run


@pytest.mark.slow
def test_a_student_learns_what_its_teacher_wrote_and_what_ships_is_judged(distill: Callable[..., Outcome]) -> None:
    outcome = distill("run", *(f"--set={key}={value}" for key, value in SHORT.items()))

    assert outcome.code == 0, outcome.err
    assert "student: train: inputs.student on clean" in outcome.err
    for verdict in ("kept.size_mb_max", "kept.exported_kl_max", "reached.bleu_drop_max", "kept-other.chrf_drop_max"):
        assert verdict in outcome.out + outcome.err


def test_train_says_that_it_does_not_translate(distill: Callable[..., Outcome]) -> None:
    outcome = distill("train")

    assert outcome.code == 2
    assert "step `student` reads what step `clean` makes" in outcome.err
    assert "lingolite run" in outcome.err
