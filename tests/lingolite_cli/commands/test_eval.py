"""`lingolite eval`: its options, its JSON, and text that it refuses."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sacrebleu
from command_line import Outcome, contents

from lingolite_cli.evaluation.scorer import Scorer, Translations
from lingolite_cli.runs.translations import TranslationRecord

Command = Callable[..., Outcome]

SOURCES = ["She reads the paper now.", "The boat is red and old.", "We ate bread with cheese.", "It is quiet here."]
REFERENCES = ["She reads the book now.", "The boat is red and old.", "We ate old bread with cheese.", "It is late."]


@pytest.fixture
def text(project: Path) -> Path:
    """The project, with source.txt, and two references of it."""
    for name, lines in {"source": SOURCES, "first": REFERENCES, "second": SOURCES[::-1]}.items():
        (project / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return project


def test_the_json_has_the_scores_their_parts_and_their_signatures(with_echo: Command, text: Path) -> None:
    flags = ("--source", "source.txt", "--target", "first.txt", "--metrics", "bleu,chrf")
    report = with_echo("eval", *flags, "--json").json
    bleu = sacrebleu.corpus_bleu(SOURCES, [REFERENCES])
    assert report["bleu"] == pytest.approx(bleu.score, abs=1e-9)
    assert [report[f"bleu_{n}"] for n in range(1, 5)] == pytest.approx(bleu.precisions, abs=1e-9)
    assert report["bp"] == pytest.approx(bleu.bp, abs=1e-9)
    assert (report["sys_len"], report["ref_len"]) == (bleu.sys_len, bleu.ref_len)
    assert report["chrf"] == pytest.approx(sacrebleu.corpus_chrf(SOURCES, [REFERENCES]).score, abs=1e-9)
    assert report["num_samples"] == 4
    assert report["signatures"]["bleu"].startswith("nrefs:1|case:mixed|")
    assert report["signatures"]["chrf"].startswith("nrefs:1|case:mixed|")


def test_several_targets_are_several_references(with_echo: Command, text: Path) -> None:
    flags = ("--source", "source.txt", "--target", "first.txt", "--target", "second.txt")
    report = with_echo("eval", *flags, "--json").json
    expected = sacrebleu.corpus_bleu(SOURCES, [REFERENCES, SOURCES[::-1]])
    assert report["bleu"] == pytest.approx(expected.score, abs=1e-9)
    assert report["signatures"]["bleu"].startswith("nrefs:2|")


def test_results_are_written_where_they_are_wanted(with_echo: Command, text: Path) -> None:
    flags = ("--source", "source.txt", "--target", "first.txt", "--max-samples", "3")
    files = ("--output", "out/scores.json", "--save-translations", "out/translations.jsonl")
    outcome = with_echo("eval", *flags, *files, "--json")
    assert outcome.code == 0
    assert json.loads((text / "out" / "scores.json").read_text()) == outcome.json
    assert outcome.json["num_samples"] == 3
    lines = (text / "out" / "translations.jsonl").read_bytes().splitlines()
    records = [msgspec.json.decode(line, type=TranslationRecord) for line in lines]
    assert [record.hypothesis for record in records] == SOURCES[:3]
    assert [record.references for record in records] == [[reference] for reference in REFERENCES[:3]]


@pytest.mark.parametrize("flag", ["--output", "--save-translations"])
def test_a_place_that_is_a_directory_is_refused_before_any_work(with_echo: Command, project: Path, flag: str) -> None:
    before = contents(project)
    outcome = with_echo("eval", flag, "recipes")
    assert outcome == Outcome(2, "", "error: recipes is a directory\n\nhint: name the file to write\n")
    assert contents(project) == before


def test_inside_a_project_no_option_is_needed(with_echo: Command, project: Path) -> None:
    outcome = with_echo("eval", cwd=project / "recipes")
    assert outcome.code == 0
    assert "100.00" in outcome.out


def test_options_of_decoding_and_batching_reach_the_search(with_echo: Command) -> None:
    report = with_echo("eval", "--max-length", "5", "--beam-size", "2", "--batch-size", "3", "--json").json
    assert report["decoding"]["max_length"] == 5
    assert report["decoding"]["beam_size"] == 2
    assert report["num_unfinished"] == report["num_samples"] == 21
    assert report["num_tokens"] == 5 * 21


def test_no_cache_is_the_backend_eager_and_gives_the_same_tokens(with_echo: Command, project: Path) -> None:
    few = ("--max-samples", "5", "--max-length", "12", "--save-translations")
    reports = {
        name: with_echo("eval", *flags, *few, f"{name}.jsonl", "--json").json
        for name, flags in {
            "no-cache": ("--no-cache",),
            "eager": ("--backend", "eager"),
            "cached": ("--backend", "cached"),
        }.items()
    }
    assert {name: report["backend"] for name, report in reports.items()} == {
        "no-cache": "eager",
        "eager": "eager",
        "cached": "cached",
    }
    tokens = {}
    for name in reports:
        lines = (project / f"{name}.jsonl").read_text().splitlines()
        tokens[name] = [json.loads(line)["tokens"] for line in lines]
    assert tokens["no-cache"] == tokens["eager"] == tokens["cached"]
    assert reports["eager"]["status"] == "cached", "the same work as with --no-cache"
    contradiction = with_echo("eval", "--no-cache", "--backend", "cached")
    assert contradiction.code == 2
    assert "--no-cache and --backend cached contradict one another" in contradiction.err


def test_a_bundle_is_converted_when_the_backend_needs_another_format(with_echo: Command, project: Path) -> None:
    outcome = with_echo("eval", "--backend", "int8", "--max-samples", "2", "--max-length", "4", "--json")
    assert outcome.code == 0
    assert outcome.json["model"]["format"] == "bundle-int8"
    assert "backend `int8` runs another format: the model is converted (quantize) into the cache" in outcome.err
    assert sorted(path.name for path in project.iterdir()) == [
        ".lingolite",
        "lingolite.toml",
        "model",
        "recipes",
        "test.tsv",
    ]


def test_a_line_of_5000_words_is_scored_with_a_warning(with_echo: Command, text: Path) -> None:
    lines = [*SOURCES[:3], "boat " * 5000]
    (text / "source.txt").write_text("".join(f"{line}\n" for line in lines))
    outcome = with_echo("eval", "--source", "source.txt", "--target", "first.txt", "--json")
    assert outcome.code == 0
    assert (outcome.json["num_samples"], outcome.json["num_truncated"]) == (4, 1)
    shown = with_echo("eval", "--source", "source.txt", "--target", "first.txt")
    assert "warning: echo: 1 sources were longer than the model and were cut" in shown.err


@pytest.mark.parametrize(
    ("name", "data", "message", "hint"),
    [
        (
            "first",
            b"one\ntwo\n",
            "{root}/source.txt has 4 lines and {root}/first.txt has 2",
            "line n of one translates line n of the other; {root}/first.txt ends after line 2",
        ),
        (
            "source",
            b"a\n\nb\nc\n",
            "{root}/source.txt, line 2: the source is blank",
            "fill the line, or delete it in every file",
        ),
        (
            "first",
            b"a\nb\n \nc\n",
            "{root}/first.txt, line 3: the reference is blank",
            "fill the line, or delete it in every file",
        ),
        (
            "source",
            b"a\nb\nbl\xe5\nc\n",
            "{root}/source.txt, line 3: byte 6 (0xe5) is not UTF-8",
            "convert it first, such as with `iconv -f latin1 -t utf-8`",
        ),
    ],
    ids=["lengths", "blank source", "blank reference", "not UTF-8"],
)
def test_text_that_cannot_be_scored_is_refused(
    with_echo: Command, text: Path, name: str, data: bytes, message: str, hint: str
) -> None:
    (text / f"{name}.txt").write_bytes(data)
    before = contents(text)
    outcome = with_echo("eval", "--source", "source.txt", "--target", "first.txt")
    root = text.resolve()
    assert outcome == Outcome(2, "", f"error: {message.format(root=root)}\n\nhint: {hint.format(root=root)}\n")
    assert contents(text) == before


def test_a_test_set_without_a_sentence_is_refused(with_echo: Command, project: Path) -> None:
    (project / "test.tsv").write_bytes(b"")
    outcome = with_echo("eval")
    assert outcome.code == 2
    assert outcome.err.endswith("test.tsv has no sentences\n\nhint: a corpus needs at least one line\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "first.txt"), "--target without --source"),
        (("--source", "source.txt"), "line 1: 1 column where 2 are needed"),
        (("--source", "none.txt", "--target", "first.txt"), "no such file: "),
        (("--metrics", " ,"), "--metrics names no metric"),
        (("--metrics", "belu"), "there is no metric called `belu`"),
        (("--max-length", "4000"), "4000 is more than the 48 positions"),
        (("--languages", "da-xx"), "which the model does not know"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_refused(with_echo: Command, text: Path, arguments: tuple[str, ...], message: str) -> None:
    outcome = with_echo("eval", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err


def test_ids_of_tokens_are_written_and_not_held_until_the_end(
    with_echo: Command, text: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They take most of the memory of an evaluation, and metrics read texts."""
    score = Scorer.score
    held: list[int] = []

    def observed(scorer: Scorer, translations: Translations) -> Any:
        gc.collect()
        held.append(sum(type(found) is TranslationRecord for found in gc.get_objects()))
        return score(scorer, translations)

    monkeypatch.setattr(Scorer, "score", observed)
    flags = ("--source", "source.txt", "--target", "first.txt", "--metrics", "bleu")
    outcome = with_echo("eval", *flags)
    assert outcome.code == 0, outcome.err
    assert held
    assert set(held) == {0}
