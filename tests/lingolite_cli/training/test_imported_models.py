"""Imported models are trained further by the command, and what is written of them keeps their own tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, contents

from lingolite_cli import apply_dynamic_quantization, apply_static_quantization, load_bundle, save_bundle
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.opening import open_tokenizer
from tests.lingolite_cli.tokenization.foreign_texts import SENTENCES
from tests.lingolite_importers.hugging_face_files import write_opus_mt
from tests.lingolite_importers.marian_files import write_student

Command = Callable[..., Outcome]
RECIPE = """\
name = "learn"

[inputs]
model = { bundle = "opus" }
train = { pairs = "train.tsv" }
dev = { tsv = "train.tsv", languages = ["en", "pt"] }

[[steps]]
id = "train"
uses = "train"
model = "inputs.model"
data = ["inputs.train"]
dev = "inputs.dev"
backend = "cached"

[steps.options]
max_steps = 4
checkpoint_every = 2
batch_tokens = 200
warmup_steps = 1
learning_rate = 0.01
"""
QAT = RECIPE.replace('uses = "train"', 'uses = "quantize"\nmethod = "qat-int8"').replace('backend = "cached"\n', "")


@pytest.fixture
def opus(lingolite: Command, tmp_path: Path) -> Callable[..., Path]:
    """A project with an imported OPUS-MT model and text to train it on."""

    def make(*, is_shared: bool) -> Path:
        root = tmp_path / "opus-project"
        write_opus_mt(tmp_path / "hf", is_shared=is_shared)
        root.mkdir()
        (root / "lingolite.toml").write_text("schema = 1\nthreads = 1\n")
        rows = [f"{text} {number}\t{text} {number}\n" for number in range(3) for text in SENTENCES]
        (root / "train.tsv").write_text("".join(rows), encoding="utf-8")
        outcome = lingolite("import", tmp_path / "hf", "--out", root / "opus", "--option", "licence=CC-BY-4.0")
        assert outcome.code == 0, outcome.err
        return root

    return make


def _check_kept(made: Artifact, source: Artifact) -> None:
    """The tokenizer, and everything in the manifest that follows from it."""
    kept, before = made.manifest, source.manifest
    assert made.tokenizer_names == source.tokenizer_names
    assert all(made.read_bytes(name) == source.read_bytes(name) for name in source.tokenizer_names)
    assert kept.tokenizer_description == before.tokenizer_description
    assert (kept.languages, kept.model) == (before.languages, before.model)
    tokenizers = open_tokenizer(made), open_tokenizer(source)
    for text in SENTENCES:
        ids = [one.encode_source(text, ("en", "pt"), max_length=500).ids for one in tokenizers]
        assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("recipe", "is_shared"),
    [
        pytest.param(RECIPE, False, id="train, two vocabularies"),
        pytest.param(QAT, True, id="qat, one vocabulary"),
        pytest.param(RECIPE, True, id="train, one vocabulary", marks=pytest.mark.slow),
        pytest.param(QAT, False, id="qat, two vocabularies", marks=pytest.mark.slow),
    ],
)
def test_an_imported_model_is_trained_further_with_its_own_tokenizer(
    lingolite: Command, opus: Callable[..., Path], recipe: str, is_shared: bool
) -> None:
    root = opus(is_shared=is_shared)
    (root / "learn.toml").write_text(recipe)
    outcome = lingolite("train", "learn.toml", "--out", "made", cwd=root)
    assert outcome.code == 0, outcome.err
    made, source = Artifact.open(root / "made"), Artifact.open(root / "opus")
    _check_kept(made, source)
    assert (made.manifest.licence, made.manifest.decoding) == ("CC-BY-4.0", source.manifest.decoding)
    assert made.weights_path.read_bytes() != source.weights_path.read_bytes()
    shown = lingolite("translate", "Press Ctrl+C to copy.", "--model", "made", "--max-length", "8", cwd=root)
    assert shown.code == 0, shown.err


@pytest.mark.parametrize("is_shared", [True, False], ids=["one vocabulary", "two vocabularies"])
def test_a_model_in_memory_is_saved_with_the_tokenizer_of_an_artifact(
    opus: Callable[..., Path], tmp_path: Path, is_shared: bool
) -> None:
    source = Artifact.open(opus(is_shared=is_shared) / "opus")
    model = load_bundle(source.path)
    static = apply_static_quantization(model, SENTENCES[:3], tokenizer=source.path, languages=("en", "pt"))
    for number, one in enumerate((model, apply_dynamic_quantization(model), static)):
        for which, tokenizer in (("artifact", source), ("directory", source.path), ("text", str(source.path))):
            made = save_bundle(one, tmp_path / f"{which}-{number}", tokenizer=tokenizer)
            _check_kept(made, source)
    with pytest.raises(LingoLiteError, match="no tag for the language `da`"):
        save_bundle(model, tmp_path / "other", tokenizer=source, languages=["en", "da"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("recipe", [RECIPE, QAT], ids=["train", "qat"])
def test_a_recurrent_decoder_is_refused_by_name_before_any_work(
    lingolite: Command, tmp_path: Path, recipe: str
) -> None:
    student = write_student(tmp_path / "student")
    root = tmp_path / "students"
    root.mkdir()
    (root / "lingolite.toml").write_text("schema = 1\n")
    (root / "train.tsv").write_text("A fox.\tUma raposa.\n")
    assert lingolite("import", student, "--out", root / "opus").code == 0
    (root / "learn.toml").write_text(recipe)
    before = contents(root)
    outcome = lingolite("train", "learn.toml", "--out", "made", cwd=root)
    assert outcome.code == 2
    assert "lacks decoder_recurrence ssru" in outcome.err
    assert contents(root) == before
