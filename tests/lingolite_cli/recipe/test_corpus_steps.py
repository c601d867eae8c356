"""The steps `translate` and `filter`, and a training on what they made."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, closed_gate, command, echo_length, environment, finished_shards, read_run, runs

from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.runs.made_results import FilterResult, TranslateResult

Call = Callable[..., Outcome]
RECIPE = """\
schema = 1
name = "distill"

[inputs]
model = { bundle = "model" }
text = { corpus = "corpus" }
lines = { source = "lines.en", languages = ["en", "da"] }
pairs = { pairs = "pairs.tsv" }

[[steps]]
id = "translated"
uses = "translate"
backend = "echo"
shard_lines = 2
OPTIONS

[[steps]]
id = "clean"
uses = "filter"
text = "translated"
filters = ["empty", "duplicates"]
"""
LINES = ("The boat sails.", "Where is it?", "", "The boat sails.", "She reads.", "We ate bread and cheese.", "Snow!")


@pytest.fixture
def recipe(lingolite: Call, project: Path) -> Callable[..., Path]:
    """Writes the recipe, with a corpus of seven lines beside it."""
    (project / "lines.en").write_text("".join(f"{line}\n" for line in LINES if line), encoding="utf-8")
    (project / "pairs.tsv").write_text("".join(f"{line}\tx\n" for line in LINES if line), encoding="utf-8")
    text = project / "mono.en"
    text.write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    made = lingolite("corpus", "import", text, "--languages", "en", "--out", "corpus", "--licence", "CC0")
    assert made.code == 0, made.err

    def write(*, options: str = "", further: str = "", replaced: tuple[str, str] = ("", "")) -> Path:
        path = project / "recipes" / "distill.toml"
        path.write_text(RECIPE.replace("OPTIONS", options).replace(*replaced) + further, encoding="utf-8")
        return path

    return write


def test_a_corpus_is_translated_filtered_and_found_in_the_cache(
    with_echo: Call, project: Path, recipe: Callable[..., Path]
) -> None:
    path = recipe()
    first = with_echo("run", path)
    assert first.code == 0, first.err
    (run,) = runs(project, "distill")
    translated, clean = (step.result for step in read_run(run).steps)
    assert isinstance(translated, TranslateResult)
    assert isinstance(clean, FilterResult)
    assert (translated.num_lines, translated.languages) == (7, ("en", "da"))
    assert clean.removed == {"empty": 1, "duplicates": 1}
    lines = list(CorpusArtifact.open(run / "artifacts" / "clean", verify=True).lines())
    assert [line.target for line in lines] == [LINES[index] for index in (0, 1, 4, 5, 6)]
    assert {line.licence for line in lines} == {"CC0"}
    # Who translates is no part of the work.
    again = with_echo("run", path, "--set", "translated.workers=2")
    assert "2 steps in" in again.out
    assert "2 from the cache" in again.out


@pytest.mark.parametrize("reference", ["inputs.lines", "inputs.pairs"])
def test_sources_of_other_texts_are_translated_too(
    with_echo: Call, project: Path, recipe: Callable[..., Path], reference: str
) -> None:
    assert with_echo("run", recipe(options=f'text = "{reference}"')).code == 0
    (run,) = runs(project, "distill")
    corpus = CorpusArtifact.open(run / "artifacts" / "translated")
    assert [line.target for line in corpus.lines()] == [line for line in LINES if line]


def test_a_run_that_was_killed_goes_on_with_the_shards_that_it_finished(
    with_echo: Call, echo: Path, project: Path, recipe: Callable[..., Path]
) -> None:
    long = "The train to the coast was late again, so they walked home in the rain."
    (project / "mono.en").write_text("".join(f"{line}\n" for line in (*LINES, long)), encoding="utf-8")
    assert with_echo("corpus", "import", "mono.en", "--languages", "en", "--out", "corpus", "--overwrite").code == 0
    path = recipe(options=f'options = {{ gate = "gate", gate_length = {echo_length(project, long)} }}')
    with closed_gate(project):
        process = subprocess.Popen(
            command("run", path), cwd=project, env=environment([echo]), stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert any("waiting at the gate" in line for line in process.stderr)
        process.send_signal(signal.SIGKILL)
        process.wait()
    process.stderr.close()
    (state,) = (entry for entry in (project / ".lingolite").glob("**/state/translate/*") if entry.is_dir())
    before = finished_shards(state)
    assert before
    resumed = with_echo("run", path)
    assert resumed.code == 0, resumed.err
    assert before == {shard: shard.stat().st_mtime_ns for shard in before}
    (run,) = runs(project, "distill")
    assert CorpusArtifact.open(run / "artifacts" / "translated", verify=True).manifest.num_lines == 8


@pytest.mark.slow
def test_a_student_is_trained_on_what_the_teacher_made(
    with_echo: Call, project: Path, recipe: Callable[..., Path]
) -> None:
    student = """
[[steps]]
id = "student"
uses = "train"
data = ["clean", "inputs.pairs"]
model = "inputs.model"
options = { max_steps = 2, batch_tokens = 64 }
"""
    done = with_echo("run", recipe(further=student))
    assert done.code == 0, done.err
    (run,) = runs(project, "distill")
    training = read_run(run).steps[-1].result.training
    assert training is not None
    assert [(text.name, text.num_pairs) for text in training.texts] == [("clean", 5), ("pairs.tsv", 6)]


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        (('text = "translated"', 'text = "inputs.lines"'), "`inputs.lines` is a file, not a corpus"),
        (('text = "translated"', 'text = "clean"'), "refers to this very step"),
        (('filters = ["empty"', 'filters = ["noise"'), "there is no filter `noise`"),
        (('corpus = "corpus"', 'corpus = "model"'), "model is not a corpus"),
        (("shard_lines = 2", 'executor = "moon"'), "there is no executor called `moon`"),
        (("shard_lines = 2", 'languages = ["da", "en"]'), "is in `en`, and the model translates from `da`"),
        (("shard_lines = 2", 'languages = ["en", "en"]'), "['en', 'en'] are not two of the model's languages"),
        (("shard_lines = 2", 'compression = "xz"'), "compression"),
        (('uses = "translate"', 'uses = "translate"\nmodel = "inputs.text"'), "there is no `inputs.text`"),
    ],
)
def test_wrong_recipes_are_refused_before_any_work(
    with_echo: Call, project: Path, recipe: Callable[..., Path], replaced: tuple[str, str], message: str
) -> None:
    refused = with_echo("recipes", "check", recipe(replaced=replaced))
    assert refused.code == 2, refused.err
    assert message in refused.err


def test_a_corpus_is_no_model_for_other_steps_and_monolingual_text_trains_nothing(
    with_echo: Call, recipe: Callable[..., Path]
) -> None:
    further = '\n[[steps]]\nid = "half"\nuses = "quantize"\nmethod = "fp16"\nmodel = "clean"\n'
    assert "`clean` is of format corpus" in with_echo("recipes", "check", recipe(further=further)).err
    further = '\n[[steps]]\nid = "s"\nuses = "train"\nmodel = "inputs.model"\ndata = ["inputs.text"]\n'
    further += "options = { max_steps = 1 }\n"
    assert "`inputs.text` is monolingual text" in with_echo("recipes", "check", recipe(further=further)).err
