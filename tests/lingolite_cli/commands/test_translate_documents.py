"""`lingolite translate` on documents, on texts of several sentences, and on text in another script."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from pathlib import Path

import msgspec
import pytest
from command_line import Outcome

from lingolite_cli.artifact import Artifact, write_manifest

Command = Callable[..., Outcome]

SRT = "1\n00:00:01,000 --> 00:00:03,500\nShe <i>reads</i>.\n\n2\n00:00:04,000 --> 00:00:05,000\nThe boat.\n"


class WithoutDocuments(PathFinder):
    """Finds what is installed, but for the packages of the extra `documents`."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):  # type: ignore[no-untyped-def]
        return None if name.partition(".")[0] in ("translate", "lxml") else PathFinder.find_spec(name, path, target)


@pytest.fixture
def without_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [WithoutDocuments if finder is PathFinder else finder for finder in sys.meta_path]
    monkeypatch.setattr(sys, "meta_path", found)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("translate", "lxml")]:
        monkeypatch.delitem(sys.modules, name)


def test_a_document_goes_in_and_a_document_comes_out(with_echo: Command, project: Path) -> None:
    (project / "a.srt").write_text(SRT)
    assert with_echo("translate", "--file", "a.srt") == Outcome(0, SRT, "")
    assert with_echo("translate", stdin=SRT.encode()) == Outcome(0, SRT, "")
    assert with_echo("translate", "--document", "subtitles", stdin=SRT.encode()) == Outcome(0, SRT, "")
    assert with_echo("translate", "--file", "a.srt", "--output", "b.srt") == Outcome(0, "", "")
    assert (project / "b.srt").read_text() == SRT


def test_the_user_says_what_a_file_is(with_echo: Command, project: Path) -> None:
    (project / "names.md").write_text("# The boat\n")
    assert with_echo("translate", "--file", "names.md").out == "# The boat\n"
    assert with_echo("translate", "--file", "names.md", "--document", "text", "--json").json["text"] == "# The boat"
    refused = with_echo("translate", "--file", "names.md", "--document", "markdwn")
    assert (refused.code, "did you mean `markdown`?" in refused.err) == (2, True)


@pytest.mark.usefixtures("without_documents")
@pytest.mark.parametrize("name", ["a.srt", "a.tmx", "a.xlf", "a.html", "README.md"])
def test_without_the_extra_a_document_is_refused_by_its_name(with_echo: Command, project: Path, name: str) -> None:
    (project / name).write_text("She reads.\n")
    refused = with_echo("translate", "--file", name, "--output", "out")
    assert refused.code == 2
    assert 'pip install "lingolite[documents]"' in refused.err
    assert not (project / "out").exists()
    assert with_echo("translate", "--file", name, "--document", "text").out == "She reads.\n"


@pytest.mark.usefixtures("without_documents")
@pytest.mark.parametrize(
    "text",
    [
        SRT,
        "WEBVTT\n\n00:01.000 --> 00:03.000\nShe reads.\n",
        '<?xml version="1.0"?>\n<tmx version="1.4"></tmx>',
        '<xliff version="1.2"></xliff>',
        "<!DOCTYPE html>\n<p>She reads.</p>",
        "# The boat\n\n## The gate\n\nShe reads.\n",
    ],
)
def test_without_the_extra_a_document_is_refused_by_its_beginning(with_echo: Command, project: Path, text: str) -> None:
    (project / "a.txt").write_text(text)
    for refused in (with_echo("translate", "--file", "a.txt"), with_echo("translate", stdin=text.encode())):
        assert (refused.code, refused.out) == (2, "")
        assert 'pip install "lingolite[documents]"' in refused.err


def test_files_with_markup_that_is_not_read_are_refused(with_echo: Command, project: Path) -> None:
    for name in ("strings.json", "messages.po", "a.ass", "strings.xml"):
        (project / name).write_text("She reads.\n")
        refused = with_echo("translate", "--file", name)
        assert (refused.code, "--document text" in refused.err) == (2, True)
        assert with_echo("translate", "--file", name, "--document", "text").out == "She reads.\n"


@pytest.mark.parametrize("asked", [("--json",), ("--stream",), ("--n-best", "2", "--beam-size", "2")], ids=" ".join)
def test_a_document_has_one_translation(with_echo: Command, project: Path, asked: tuple[str, ...]) -> None:
    (project / "a.srt").write_text(SRT)
    refused = with_echo("translate", "--file", "a.srt", *asked)
    assert (refused.code, refused.out) == (2, "")
    assert "a document and --" in refused.err


def test_output_is_written_whole_and_never_over_an_input(with_echo: Command, project: Path) -> None:
    (project / "in.txt").write_text("She reads.\nThe boat.\n")
    assert with_echo("translate", "--file", "in.txt", "--output", "out.txt") == Outcome(0, "", "")
    assert (project / "out.txt").read_text() == "She reads.\nThe boat.\n"
    for output in ("in.txt", "model/model.safetensors", "model"):
        refused = with_echo("translate", "--file", "in.txt", "--output", output)
        assert refused.code == 2
    assert (project / "in.txt").read_text() == "She reads.\nThe boat.\n"
    os.symlink("in.txt", project / "link.txt")
    assert with_echo("translate", "--file", "in.txt", "--output", "link.txt").code == 2
    refused = with_echo("translate", "She reads.", "--stream", "--output", "out.txt")
    assert (refused.code, "--stream and --output" in refused.err) == (2, True)


def test_a_line_of_several_sentences_is_translated_sentence_by_sentence(with_echo: Command) -> None:
    text = "She reads.  The boat."
    ends = [
        with_echo("translate", text, "--json", *how).json["tokens"].count(2) for how in ([], ["--no-split-sentences"])
    ]
    assert ends == [2, 1]
    assert with_echo("translate", text).out == f"{text}\n"
    assert with_echo("translate", text, "--stream").out == f"{text}\n"
    refused = with_echo("translate", text, "--split-sentences", "--n-best", "2", "--beam-size", "2")
    assert (refused.code, "contradict one another" in refused.err) == (2, True)


def test_a_model_of_documents_gets_whole_texts(with_echo: Command, project: Path) -> None:
    manifest = msgspec.structs.replace(Artifact.open(project / "model").manifest, trained_on="documents")
    write_manifest(project / "model", manifest)
    text = "She reads. The boat."
    ends = [with_echo("translate", text, "--json", *how).json["tokens"].count(2) for how in ([], ["--split-sentences"])]
    assert ends == [1, 2]


def test_text_in_another_script_is_told_once(with_echo: Command) -> None:
    lines = "She reads.\nОна читает книгу дома.\nОна читает книгу дома.\n"
    warnings = with_echo("translate", stdin=lines.encode()).err.splitlines()
    assert [line for line in warnings if "stopped" not in line] == [
        "warning: sentence 2 is written in Cyrillic, and the model translates from `en`"
    ]
    assert with_echo("translate", "Hun læser en bog derhjemme.").err == ""
