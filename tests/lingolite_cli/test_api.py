"""The toolchain from Python: the names at package level do what the commands do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome

import lingolite_cli
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import LingoLiteError

Command = Callable[..., Outcome]


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project, as the working directory, with the backend that commands use without a `lingolite.toml` key."""
    settings = (project / "lingolite.toml").read_text()
    (project / "lingolite.toml").write_text(settings[: settings.index("[defaults.evaluate]")])
    monkeypatch.chdir(project)
    return project


def test_every_public_name_is_there() -> None:
    for name in lingolite_cli.__all__:
        assert getattr(lingolite_cli, name) is not None
        assert name in dir(lingolite_cli)
    with pytest.raises(AttributeError, match="has no attribute 'translte'"):
        lingolite_cli.translte  # noqa: B018


def test_translate_gives_what_the_command_prints(here: Path, lingolite: Command) -> None:
    texts = ["She reads.", "", "The boat sails at noon."]
    command = lingolite("translate", *texts, "--max-length", "8")
    assert lingolite_cli.translate(texts, max_length=8) == command.out.split("\n")[:-1]
    assert lingolite_cli.translate("She reads.", max_length=8) == command.out.split("\n")[0]
    pieces = list(lingolite_cli.translate_stream("She reads.", max_length=8))
    assert len(pieces) > 1
    assert "".join(pieces) == command.out.split("\n")[0]


@pytest.mark.usefixtures("here")
def test_translate_refuses_what_the_command_refuses() -> None:
    with pytest.raises(LingoLiteError, match="max_length 49 is more than the 48 positions"):
        lingolite_cli.translate("She reads.", max_length=49)
    with pytest.raises(LingoLiteError, match="source and target are the same language, `da`"):
        lingolite_cli.translate("She reads.", languages=("da", "da"))
    with pytest.raises(LingoLiteError, match="unknown key `beams` = 2"):
        lingolite_cli.translate("She reads.", beams=2)
    with pytest.raises(LingoLiteError, match="no such directory"):
        lingolite_cli.translate("She reads.", model="nowhere")
    with pytest.raises(LingoLiteError, match='expected `int`, not "8"'):
        lingolite_cli.translate("She reads.", max_length="8")
    with pytest.raises(LingoLiteError, match="threads must be at least 1, not 0"):
        lingolite_cli.translate("She reads.", threads=0)
    with pytest.raises(LingoLiteError, match="batch_size must be at least 1, not 0"):
        lingolite_cli.translate("She reads.", batch_size=0)


@pytest.mark.usefixtures("here")
def test_what_translate_could_not_return_is_not_asked_of_it() -> None:
    with pytest.raises(LingoLiteError, match="returns the best translation alone"):
        lingolite_cli.translate("She reads.", beam_size=2, n_best=2)


@pytest.mark.usefixtures("here")
def test_one_metric_and_one_file_need_no_list(project: Path) -> None:
    lines = (project / "test.tsv").read_text().splitlines()[:4]
    (project / "source.txt").write_text("".join(f"{line.split(chr(9))[0]}\n" for line in lines))
    for targets in ("source.txt", Path("source.txt"), ["source.txt"]):
        report = lingolite_cli.evaluate_model("model", source_file="source.txt", target_file=targets, metrics="chrf")
        assert list(report["signatures"]) == ["chrf"]
        assert report["num_samples"] == 4


def test_evaluate_model_gives_the_json_of_the_command(here: Path, lingolite: Command) -> None:
    report = lingolite_cli.evaluate_model("model", source_file="test.tsv", max_samples=4)
    command = lingolite("eval", "--source", "test.tsv", "--max-samples", "4", "--metrics", "bleu,chrf", "--json").json
    assert {**json.loads(json.dumps(report)), "status": ""} == {**command, "status": ""}
    assert command["status"] == "cached", "the same work"
    assert {
        "bleu",
        "bleu_1",
        "bleu_4",
        "chrf",
        "bp",
        "sys_len",
        "ref_len",
        "num_samples",
        "signatures",
    } <= report.keys()


def test_a_model_in_memory_is_evaluated_with_its_tokenizer(here: Path) -> None:
    model = lingolite_cli.load_bundle(here / "model")
    by_path = lingolite_cli.evaluate_model(here / "model", source_file="test.tsv", max_samples=3)
    in_memory = lingolite_cli.evaluate_model(
        model, source_file="test.tsv", max_samples=3, tokenizer_path=here / "model" / "tokenizer.model"
    )
    assert in_memory["bleu"] == by_path["bleu"]
    assert in_memory["num_tokens"] == by_path["num_tokens"]
    with pytest.raises(LingoLiteError, match="a model in memory has no tokenizer"):
        lingolite_cli.evaluate_model(model, source_file="test.tsv")


def test_export_full_model_makes_the_artifact_of_the_command(here: Path, lingolite: Command) -> None:
    artifact = lingolite_cli.export_full_model("model", "graphs", test=False)
    assert artifact.manifest.format == "onnx"
    assert lingolite("export", "--out", "again", "--no-test").code == 0
    assert Artifact.open(here / "again").digest == artifact.digest
    with pytest.raises(LingoLiteError, match="graphs exists"):
        lingolite_cli.export_full_model("model", "graphs")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["fine", "half \ud83d"], "sentence 2, character 6: U\\+D83D is half of a character"),
        ("\udce5", "sentence 1, character 1: U\\+DCE5"),
        (["fine", 3], "sentence 2 is of type int, not text"),
    ],
)
def test_a_sentence_that_is_no_text_is_refused_before_work(texts: object, message: str) -> None:
    """There is no model either: that would be told later."""
    with pytest.raises(LingoLiteError, match=message):
        lingolite_cli.translate(texts)
