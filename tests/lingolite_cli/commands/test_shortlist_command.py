"""`lingolite shortlist`, and `--shortlist` of the commands that put one in or decode with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Outcome, contents

from lingolite_cli.artifact import SHORTLIST_NAME, Artifact
from lingolite_cli.shortlist.candidates import CandidateChooser
from lingolite_cli.shortlist.shortlist import read_shortlist
from lingolite_cli.testing import SENTENCES
from lingolite_cli.testing.tiny import TRANSLATIONS
from lingolite_cli.tokenization.opening import read_tokenizer
from tests.lingolite_onnx.onnx_bundles import wide_headed_bundle

Command = Callable[..., Outcome]
BUILD = ("shortlist", "--text", "train.tsv", "--model", "wide", "--dev", "dev.tsv")
EXPORT = ("export", "--model", "wide", "--option", "profile=optimized", "--no-test")


@pytest.fixture
def wide(project: Path) -> Path:
    """The project, with a bundle that the ORT profile can carry, and text to learn from."""
    wide_headed_bundle(project / "wide")
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text().replace('backend = "echo"', 'backend = "cached"'))
    rows = [f"{source}\t{target}\n" for source, target in zip(SENTENCES, TRANSLATIONS, strict=True)]
    (project / "dev.tsv").write_text("".join(rows), encoding="utf-8")
    (project / "train.tsv").write_text("".join([*rows, "no translation\n"]), encoding="utf-8")
    return project


def test_a_shortlist_is_made_exported_and_decoded_with(lingolite: Command, wide: Path) -> None:
    made = lingolite(*BUILD, "--out", "words", "--json")
    assert made.code == 0, made.err
    assert "1 rows left out: wrong columns, first at train.tsv, line 8" in made.err
    report = made.json
    assert report["details"]["num_pairs"] == report["coverage"]["num_sentences"] == len(SENTENCES)
    assert report["coverage"]["token_share"] == 1.0
    assert lingolite(*EXPORT, "--shortlist", "words", "--out", "fast").code == 0
    assert (wide / "fast" / SHORTLIST_NAME).read_bytes() == (wide / "words").read_bytes()
    provenance = Artifact.open(wide / "fast").manifest.made_by
    assert set(provenance.inputs) == {"source", "shortlist"}
    tokenizer = read_tokenizer(wide / "wide" / "tokenizer.model")
    ids = np.array([tokenizer.encode_source(SENTENCES[2], ("en", "da"), max_length=48).ids])
    chosen = CandidateChooser(read_shortlist(wide / "words")).choose(ids, np.ones(ids.shape, np.bool_))
    words = set(chosen.ids.ravel().tolist())
    decode = ("translate", SENTENCES[2], "--model", "fast", "--max-length", "8", "--json")
    assert not set(lingolite(*decode).json["tokens"]) <= words
    assert set(lingolite(*decode, "--shortlist").json["tokens"]) <= words


def test_another_shortlist_is_another_artifact_and_the_same_one_is_cached(lingolite: Command, wide: Path) -> None:
    lingolite(*BUILD, "--out", "words")
    lingolite(*EXPORT, "--shortlist", "words", "--out", "first")
    again = lingolite(*EXPORT, "--shortlist", "words", "--out", "second")
    assert "cached" in again.err
    assert contents(wide / "first") == contents(wide / "second")
    lingolite(*BUILD, "--out", "words", "--overwrite", "--frequent", "3")
    other = lingolite(*EXPORT, "--shortlist", "words", "--out", "third")
    assert "cached" not in other.err
    assert Artifact.open(wide / "third").digest != Artifact.open(wide / "first").digest


def test_bench_measures_with_and_without(lingolite: Command, wide: Path) -> None:
    lingolite(*BUILD, "--out", "words")
    lingolite(*EXPORT, "--shortlist", "words", "--out", "fast")
    flags = ("--num-sentences", "2", "--batch-sizes", "1", "--lengths", "", "--rounds", "1", "--model", "wide")
    measured = lingolite("bench", "--system", "onnx@./fast", "--shortlist", *flags, "--json")
    assert [system["name"] for system in measured.json["systems"]] == ["onnx@fast", "onnx@fast,shortlist=true"]
    refused = lingolite("bench", "--system", "cached", "--shortlist", *flags)
    assert refused.code == 2
    assert "no system has an artifact with a vocabulary shortlist" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*BUILD, "--out", "lingolite.toml"), "lingolite.toml exists"),
        ((*BUILD, "--out", "words", "--languages", "en-sv"), "does not know the language `sv`"),
        (("shortlist", "--text", "missing.tsv", "--model", "wide", "--out", "words"), "cannot read missing.tsv"),
        ((*EXPORT, "--shortlist", "missing", "--out", "fast"), "no such file"),
        ((*EXPORT, "--shortlist", "train.tsv", "--out", "fast"), "is not a shortlist"),
        (("translate", "x", "--model", "wide", "--shortlist"), "has no option shortlist\n\nhint: those with it: onnx"),
    ],
    ids=["exists", "languages", "no text", "no file", "no shortlist", "backend"],
)
def test_what_cannot_be_is_refused(lingolite: Command, wide: Path, arguments: tuple[str, ...], message: str) -> None:
    before = contents(wide)
    outcome = lingolite(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert {name: data for name, data in contents(wide).items() if not name.startswith(".lingolite")} == before


def test_a_recipe_names_it_as_an_input(lingolite: Command, wide: Path) -> None:
    lingolite(*BUILD, "--out", "words")
    recipe = """
schema = 1
name = "fast"
[inputs]
model = { bundle = "wide" }
words = { shortlist = "words" }
[[steps]]
id = "export"
uses = "export"
shortlist = "inputs.words"
options = { profile = "optimized", test = false }
"""
    (wide / "recipes" / "fast.toml").write_text(recipe)
    assert lingolite("run", "recipes/fast.toml", "--lock").code == 0
    assert "words" in (wide / "recipes" / "fast.lock.toml").read_text()
    (wide / "recipes" / "fast.toml").write_text(recipe.replace("inputs.words", "inputs.word"))
    unknown = lingolite("run", "recipes/fast.toml")
    assert unknown.code == 2
    assert "there is no `inputs.word`" in unknown.err
