"""Every command on imported models: an OPUS-MT model with a vocabulary for each side, and an SSRU student."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from command_line import Outcome, run_command, same_on_both_sides, settings, write_project

from tests.lingolite_cli.tokenization.foreign_texts import SENTENCES
from tests.lingolite_importers.hugging_face_files import write_opus_mt
from tests.lingolite_importers.marian_files import write_student

Command = Callable[..., Outcome]
DEV = """\
[dev]
tsv = "test.tsv"
languages = ["en", "pt"]
"""
RECIPE = """\
schema = 1
name = "ship"

[inputs]
model = { bundle = "model" }
test = { tsv = "test.tsv", languages = ["en", "pt"] }

[[steps]]
id = "int8"
uses = "quantize"
method = "dynamic-int8"

[[steps]]
id = "onnx"
uses = "export"
format = "onnx"
model = "int8"
options = { test = false }

[[steps]]
id = "baseline"
uses = "evaluate"
corpus = "inputs.test"
decoding = { max_length = 8 }
metrics = ["chrf"]

[[steps]]
id = "shipped"
uses = "evaluate"
model = "onnx"
corpus = "inputs.test"
decoding = { max_length = 8 }
metrics = ["chrf"]

[[steps]]
id = "verify"
uses = "verify"
reference = "baseline"
candidate = "shipped"
allow_implausible_reference = true
[steps.budget]
size_ratio_max = 1.5
"""


class Projects(NamedTuple):
    """Projects with an imported model each. Not to be written to."""

    opus: Path
    student: Path


@pytest.fixture(scope="session")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Projects:
    """Both models, imported by the command."""
    root = tmp_path_factory.mktemp("imported")
    write_opus_mt(root / "hf", is_shared=False)
    write_student(root / "firefox")
    found = []
    for name in ("hf", "firefox"):
        files = {
            "ship.toml": RECIPE,
            "test.tsv": same_on_both_sides([*SENTENCES, *(f"{text} {text}" for text in SENTENCES)]),
        }
        project = write_project(root / f"{name}-project", files, settings=settings("en", "pt", tables=DEV))
        done = run_command("import", root / name, "--out", "model", "--option", "max_seq_len=48", cwd=project)
        assert done.code == 0, done.err
        found.append(project)
    return Projects(*found)


def _walk(lingolite: Command, root: Path, steps: list[list[str]]) -> list[Outcome]:
    outcomes = []
    for arguments in steps:
        outcome = lingolite(*arguments, cwd=root)
        assert outcome.code == 0, f"{' '.join(arguments)}: {outcome.err}"
        outcomes.append(outcome)
    return outcomes


ANY = "--allow-implausible-reference"
"""Networks of random weights translate nothing well."""
TRANSLATE = ["translate", SENTENCES[0], "--max-length", "8"]
SHORT = ["--max-samples", "10", "--max-length", "8"]


def test_an_imported_opus_mt_goes_from_translation_to_verified_files(
    lingolite: Command, projects: Projects, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(projects.opus, tmp_path / "copy"))
    made = _walk(
        lingolite,
        root,
        [
            [*TRANSLATE, "--beam-size", "1", "--backend", "cached"],
            [*TRANSLATE, "--beam-size", "4"],
            ["inspect", "model"],
            ["quantize", "--out", "int8"],
            ["export", "--model", "model", "--out", "portable"],
            ["export", "--model", "model", "--option", "profile=optimized", "--out", "ort", "--no-test"],
            ["export", "--model", "model", "--format", "ctranslate2", "--out", "ct2"],
            ["export", "--model", "int8", "--format", "ctranslate2", "--out", "ct2-int8"],
            *([*TRANSLATE, "--beam-size", "1", "--model", name] for name in ("portable", "ort", "ct2")),
        ],
    )
    texts = {outcome.out for outcome in (made[0], *made[-3:])}
    assert len(texts) == 1, texts
    pieces = [
        (root / "ct2" / name).read_text().splitlines() for name in ("source_vocabulary.json", "target_vocabulary.json")
    ]
    assert pieces[0] != pieces[1]


def test_an_imported_student_goes_from_translation_to_verified_files(
    lingolite: Command, projects: Projects, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(projects.student, tmp_path / "copy"))
    made = _walk(
        lingolite,
        root,
        [
            [*TRANSLATE, "--beam-size", "1", "--backend", "cached"],
            [*TRANSLATE, "--beam-size", "4"],
            ["inspect", "model"],
            ["quantize", "--out", "int8"],
            ["export", "--model", "model", "--out", "portable"],
            ["export", "--model", "model", "--option", "profile=optimized", "--out", "ort", "--no-test"],
            *([*TRANSLATE, "--beam-size", "1", "--model", name] for name in ("portable", "ort")),
        ],
    )
    assert len({outcome.out for outcome in (made[0], *made[-2:])}) == 1
    refused = lingolite("export", "--format", "ctranslate2", "--out", "ct2", cwd=root)
    assert refused.code == 2
    assert "decoder_recurrence ssru" in refused.err
    assert not (root / "ct2").exists()


METHODS = ["fp16", "bf16", "dynamic-int8", "int4", "mixed", "static-int8", "gptq-int4"]


@pytest.mark.slow
@pytest.mark.parametrize("which", Projects._fields)
def test_every_quantizer_eval_bench_search_and_recipes_run(
    lingolite: Command, projects: Projects, tmp_path: Path, which: str
) -> None:
    root = Path(shutil.copytree(getattr(projects, which), tmp_path / "copy"))
    outcomes = {}
    for method in METHODS:
        outcome = lingolite("quantize", "--method", method, "--out", method, cwd=root)
        assert outcome.code == 0, f"{method}: {outcome.err}"
        for profile in ("portable", "optimized"):
            options = ["--option", f"profile={profile}", "--no-test", "--out", f"{method}-{profile}"]
            done = lingolite("export", "--model", method, *options, cwd=root)
            outcomes[method, profile] = (done.code, done.err.splitlines()[:1])
        shown = lingolite(*TRANSLATE, "--model", method, cwd=root)
        outcomes[method, "translate"] = (shown.code, shown.err.splitlines()[:1])
    refused = {key: outcome for key, outcome in outcomes.items() if outcome[0]}
    assert not refused, refused
    _walk(
        lingolite,
        root,
        [
            ["eval", *SHORT, "--beam-size", "4", "--metrics", "bleu,chrf"],
            ["verify", "dynamic-int8-portable", "--max-samples", "10", "--budget", "size_ratio_max=2", ANY],
            [
                "bench",
                "--system",
                "cached",
                "--num-sentences",
                "4",
                "--batch-sizes",
                "1",
                "--lengths",
                "4",
                "--rounds",
                "1",
            ],
            ["run", "ship.toml", "--lock"],
            ["run", "ship.toml", "--locked"],
        ],
    )
    budget = ["--budget", "chrf_drop_max=100", "--max-trials", "3"]
    searched = lingolite("quantize", "--search", *budget, "--out", "smallest", cwd=root)
    assert "uniform int4" in searched.err
    assert "fits" in searched.err
    assert searched.code == 3, "the baseline's own translations are implausible"
    assert not (root / "smallest").exists()
    assert lingolite("quantize", "--search", *budget, ANY, "--out", "smallest", cwd=root).code == 0
