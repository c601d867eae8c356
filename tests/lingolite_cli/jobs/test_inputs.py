"""Options and lingolite.toml as inputs of a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import corpus_input, input_table, model_path
from lingolite_cli.recipe.model import ModelInput
from lingolite_cli.training.options import PairsSpec


@pytest.fixture
def context(project: Path, monkeypatch: pytest.MonkeyPatch) -> JobContext:
    """In a directory below the project."""
    (project / "below").mkdir()
    monkeypatch.chdir(project / "below")
    return JobContext(is_quiet=True)


def test_the_projects_texts_are_absolute_wherever_one_stands(context: JobContext, project: Path) -> None:
    assert corpus_input(context) == CorpusSpec(tsv=str(project / "test.tsv"), languages=("en", "da"))
    assert corpus_input(context, languages=("da", "en")).languages == ("da", "en")
    assert model_path(context, None) == project / "model"
    assert model_path(context, Path("here")) == project / "below" / "here"


def test_named_text_is_a_table_or_lines_by_whether_references_are_named(context: JobContext, project: Path) -> None:
    below = project / "below"
    assert corpus_input(context, source=Path("a.txt")) == CorpusSpec(tsv=str(below / "a.txt"), languages=("en", "da"))
    lines = corpus_input(context, source=Path("a.txt"), targets=[Path("b"), Path("c")], languages=("en", "sv"))
    references = (str(below / "b"), str(below / "c"))
    assert lines == CorpusSpec(source=str(below / "a.txt"), references=references, languages=("en", "sv"))


def test_text_that_is_nowhere_is_refused_with_a_way_to_name_it(context: JobContext) -> None:
    with pytest.raises(LingoLiteError, match=r"no dev set: there is no --source, and no \[dev\]"):
        corpus_input(context, which="dev")
    with pytest.raises(LingoLiteError, match="--target without --source"):
        corpus_input(context, targets=[Path("b")])


def test_a_table_has_the_keys_that_a_recipe_would_have() -> None:
    assert input_table(ModelInput(bundle="m")) == {"bundle": "m"}
    assert input_table(CorpusSpec(tsv="t.tsv")) == {"tsv": "t.tsv"}
    assert input_table(PairsSpec(pairs="t.tsv")) == {"pairs": "t.tsv"}
    assert input_table(PairsSpec(pairs="t.tsv", short_share=0.0)) == {"pairs": "t.tsv", "short_share": 0.0}
