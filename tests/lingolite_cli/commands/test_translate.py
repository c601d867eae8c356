"""`lingolite translate`: any text goes in, one line a sentence comes out."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import sentencepiece
from command_line import Outcome, command, environment

from lingolite_cli.console import Console
from lingolite_cli.decoding.translator import Translation
from lingolite_cli.text.visible import shown
from lingolite_cli.views.translations import print_all

Command = Callable[..., Outcome]


def test_arguments_a_file_and_stdin_are_the_same_text(with_echo: Command, project: Path) -> None:
    lines = ["The boat sails at noon.", "", "She reads."]
    (project / "in.txt").write_text("\n".join(lines))
    expected = Outcome(0, "".join(f"{line}\n" for line in lines), "")
    assert with_echo("translate", *lines) == expected
    assert with_echo("translate", "--file", "in.txt") == expected
    assert with_echo("translate", stdin="\n".join(lines).encode()) == expected
    assert with_echo("translate", stdin="\r\n".join(lines).encode()) == expected


@pytest.mark.parametrize("is_json", [False, True])
def test_what_a_model_says_is_exact_in_a_pipe_and_does_a_terminal_no_harm(
    monkeypatch: pytest.MonkeyPatch, is_json: bool
) -> None:
    text = "a\x1b]0;title\x07 \x9b2J \u202eb"
    said = Translation(
        text=text, tokens=(5,), score=-1.0, alternatives=(), num_source_tokens=3, is_truncated=False, is_finished=True
    )
    printed = {}
    for is_terminal in (False, True):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda answer=is_terminal: answer)
        monkeypatch.setattr(sys, "stdout", stream)
        print_all([said], Console(json=is_json), n_best=1)
        printed[is_terminal] = stream.getvalue()
    assert shown(printed[True]) == printed[True]
    if is_json:
        assert json.loads(printed[True]) == json.loads(printed[False]) == json.loads(msgspec.json.encode(said))
    else:
        assert printed[False] == f"{text}\n"


def test_a_model_without_the_languages_of_the_project_translates_between_its_own(
    lingolite: Command, project: Path
) -> None:
    settings = (project / "lingolite.toml").read_text()
    own = lingolite("translate", "She reads.", "--backend", "cached")
    (project / "lingolite.toml").write_text(settings.replace('["en", "da"]', '["en", "pt"]'))
    assert lingolite("translate", "She reads.", "--backend", "cached") == own
    named = lingolite("translate", "She reads.", "--backend", "cached", "--languages", "en-pt")
    assert (named.code, named.out) == (2, "")


def test_the_languages_are_those_of_the_project(lingolite: Command, project: Path) -> None:
    settings = (project / "lingolite.toml").read_text()
    to_english = lingolite("translate", "She reads.", "--languages", "da-en", "--backend", "cached")
    to_danish = lingolite("translate", "She reads.", "--backend", "cached")
    assert to_english.out != to_danish.out
    (project / "lingolite.toml").write_text(settings.replace('languages = ["en", "da"]', 'languages = ["da", "en"]', 1))
    assert lingolite("translate", "She reads.", "--backend", "cached") == to_english


def test_empty_lines_stay_in_their_place(with_echo: Command) -> None:
    outcome = with_echo("translate", stdin=b"\nShe reads.\n\n \t\nThe boat.\n\n")
    assert outcome == Outcome(0, "\nShe reads.\n\n\nThe boat.\n\n", "")


def test_empty_input_gives_empty_output(with_echo: Command) -> None:
    assert with_echo("translate", stdin=b"") == Outcome(0, "", "")


def test_a_line_of_5000_words_is_cut_with_a_warning(with_echo: Command) -> None:
    text = "She reads. " + "boat " * 5000
    outcome = with_echo("translate", stdin=f"The boat.\n{text}\nThe gate.\n".encode())
    assert outcome.code == 0
    first, long, last = outcome.out.splitlines()
    assert (first, last) == ("The boat.", "The gate.")
    assert long.startswith("She reads. boat boat")
    assert text.startswith(long.rstrip())
    warnings = outcome.err.splitlines()
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: sentence 2 has ")
    assert warnings[0].endswith(" tokens, more than the model reads: it was cut")


def test_a_translation_that_has_no_room_is_marked(with_echo: Command) -> None:
    outcome = with_echo("translate", "--max-length", "3", "The boat sails at noon.")
    assert outcome.code == 0
    assert outcome.err == "warning: sentence 1: the translation was stopped at --max-length\n"


def test_decoding_is_the_projects_unless_it_is_asked_for(with_echo: Command, project: Path) -> None:
    settings = project / "lingolite.toml"
    kept = settings.read_text()
    settings.write_text(f"{kept}[defaults.evaluate.decoding]\nmax_length = 3\n")
    assert "stopped at --max-length" in with_echo("translate", "The boat sails at noon.").err
    assert with_echo("translate", "--max-length", "40", "The boat sails at noon.").err == ""
    settings.write_text(f"{kept}[defaults.evaluate.decoding]\nmax_lenght = 3\n")
    outcome = with_echo("translate", "The boat sails at noon.")
    assert outcome.code == 2
    assert "lingolite.toml: `defaults.evaluate.decoding`: unknown key `max_lenght` = 3" in outcome.err
    settings.write_text(f"{kept}decoding = 3\n")
    assert "`defaults.evaluate.decoding`: expected `table`, not 3" in with_echo("translate", "The boat.").err


@pytest.mark.parametrize("text", ["<tgt>", "<s> a </s>", "<da> boat <pad>", "a<src>b", "<unk>"])
def test_a_tag_that_is_typed_is_text(with_echo: Command, text: str) -> None:
    """The backend repeats its source: a tag that had become a control token would be gone from the output."""
    outcome = with_echo("translate", text, "--json")
    assert outcome.json["text"] == text
    # Ids below 8 are <pad>, <s>, </s>, <unk> and the tags; only the </s> that ends the hypothesis may be there.
    assert [token for token in outcome.json["tokens"] if token < 8] == [2]


def test_invalid_utf_8_is_refused_with_its_line(with_echo: Command, project: Path) -> None:
    data = "The boat.\nbl\xe5\n".encode("latin-1")
    (project / "latin.txt").write_bytes(data)
    for name, outcome in {
        "latin.txt": with_echo("translate", "--file", "latin.txt"),
        "stdin": with_echo("translate", stdin=data),
    }.items():
        assert outcome.code == 2
        assert outcome.err == (
            f"error: {name}, line 2: not UTF-8: byte 2 is 0xe5\n\n"
            "hint: convert it first, such as with `iconv -f latin1 -t utf-8`\n"
        )
    outcome = with_echo("translate", "bl\udce5")
    assert (outcome.code, outcome.out) == (2, "")
    assert "not UTF-8" in outcome.err


def test_a_file_that_is_not_there_is_named(with_echo: Command) -> None:
    outcome = with_echo("translate", "--file", "none.txt")
    assert outcome == Outcome(2, "", "error: cannot read none.txt: No such file or directory\n")
    outcome = with_echo("translate", "--file", "none.txt", "text")
    assert outcome == Outcome(2, "", "error: both text and --file were given\n\nhint: pass one of them\n")


def test_a_translation_is_one_line_whatever_the_model_writes(with_echo: Command, project: Path) -> None:
    processor = sentencepiece.SentencePieceProcessor()
    processor.Load(str(project / "model" / "tokenizer.model"))
    newline, tab = processor.PieceToId("<0x0A>"), processor.PieceToId("<0x09>")
    option = f"suffix=[{newline}, {tab}, {newline}]"
    outcome = with_echo("translate", "--option", option, "She reads.", "The boat.")
    assert outcome == Outcome(0, "She reads.   \nThe boat.   \n", "")
    assert json.loads(with_echo("translate", "--option", option, "She reads.", "--json").out)["text"] == (
        "She reads.\n\t\n"
    )


def test_a_stream_is_the_same_text(with_echo: Command, project: Path) -> None:
    lines = ["The boat sails at noon.", "", "She reads."]
    plain = with_echo("translate", *lines, "--max-length", "4")
    assert with_echo("translate", "--stream", *lines, "--max-length", "4") == plain
    assert plain.err.count("was stopped at --max-length") == 2


@pytest.mark.parametrize("flags", [("--json",), ("--n-best", "2"), ("--batch-size", "2"), ("--workers", "2")])
def test_a_stream_is_one_translation_at_a_time(with_echo: Command, flags: tuple[str, ...]) -> None:
    outcome = with_echo("translate", "--stream", *flags, "She reads.")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"--stream and {' '.join(flags)} contradict one another" in outcome.err
    beams = with_echo("translate", "--stream", "--beam-size", "2", "She reads.")
    assert (beams.code, beams.out) == (2, "")


def test_json_has_a_document_a_line(with_echo: Command) -> None:
    outcome = with_echo("translate", "She reads.", "", "--json")
    first, second = map(json.loads, outcome.out.splitlines())
    assert first["text"] == "She reads."
    assert first["is_finished"] is True
    assert first["tokens"][-1] == 2
    assert (second["text"], second["tokens"]) == ("", [])


def test_each_sentence_is_answered_before_the_next_is_read(project: Path, echo: Path) -> None:
    process = subprocess.Popen(
        command("translate", "--batch-size", "1"),
        cwd=project,
        env=environment([echo]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        for sentence in ("The boat.", "The gate."):
            process.stdin.write(f"{sentence}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{sentence}\n"
        process.stdin.close()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backend", "ecko"), "there is no backend called `ecko`"),
        (("--languages", "en-nl"), "the model does not know the language `nl`"),
        (("--languages", "english"), "--languages english: expected two languages"),
        (("--max-length", "49"), "max_length 49 is more than the 48 positions that the model has"),
        (("--beam-size", "65"), "decoding: `beam_size`: expected `int` <= 64, not 65"),
        (("--n-best", "2"), "n_best 2 is more than beam_size 1"),
        (("--option", "skip"), "--option skip: expected KEY=VALUE"),
        (("--option", "skip=1"), "options of backend `echo`: unknown key `skip` = 1"),
        (("--device", "cuda"), "backend `echo` has no option device"),
        (("--model", "nowhere"), "no such directory: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_refused_before_any_output(
    with_echo: Command, arguments: tuple[str, ...], message: str
) -> None:
    outcome = with_echo("translate", "hello", *arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert message in outcome.err
    assert "Traceback" not in outcome.err


def test_a_bundle_is_converted_when_the_backend_needs_another_format(with_echo: Command, project: Path) -> None:
    said = "backend `int8` runs another format: the model is converted (quantize) into the cache"
    arguments = ("translate", "Open the file.", "--backend", "int8", "--max-length", "4")
    first = with_echo(*arguments)
    assert (first.code, first.out.count("\n")) == (0, 1), first.err
    assert said in first.err
    again = with_echo(*arguments)
    assert again == Outcome(
        0, first.out, "\n".join(line for line in first.err.splitlines() if "stopped" in line) + "\n"
    )
    assert with_echo("quantize", "--out", "small").code == 0
    assert with_echo("translate", "Open the file.", "--model", "small", "--max-length", "4").out == first.out
    assert with_echo("eval", *arguments[2:], "--max-samples", "2").err.count("quantize: cached") == 1


def test_a_wrong_option_is_refused_before_a_conversion(with_echo: Command, project: Path) -> None:
    outcome = with_echo("translate", "hello", "--backend", "int8", "--option", "depth=1")
    assert outcome.code == 2
    assert "options of backend `int8`: unknown key `depth` = 1" in outcome.err
    assert not (project / ".lingolite").exists()


def test_without_a_project_a_model_must_be_named(with_echo: Command, tmp_path: Path, project: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    outcome = with_echo("translate", "hello", cwd=elsewhere)
    assert outcome.code == 2
    assert outcome.err.startswith("error: no model: there is no --model, and no `model` in lingolite.toml\n")
    outcome = with_echo("translate", "hello", "--model", project / "model", "--backend", "echo", cwd=elsewhere)
    assert outcome == Outcome(0, "hello\n", "")


def test_beams_and_n_best_are_options_of_the_command(lingolite: Command) -> None:
    """With the real network: the alternatives of a beam are columns, best first."""
    outcome = lingolite(
        "translate", "She reads.", "--backend", "cached", "--beam-size", "3", "--n-best", "3", "--max-length", "6"
    )
    assert outcome.code == 0
    (line,) = outcome.out.splitlines()
    assert len(line.split("\t")) == 3
    greedy = lingolite("translate", "She reads.", "--backend", "cached", "--max-length", "6", "--json").json
    eager = lingolite("translate", "She reads.", "--backend", "eager", "--max-length", "6", "--json").json
    assert greedy["tokens"] == eager["tokens"]


def test_inside_a_project_a_bundle_is_translated_by_the_backend_that_starts_soonest(
    lingolite: Command, project: Path
) -> None:
    settings = project / "lingolite.toml"
    settings.write_text(settings.read_text().replace('backend = "echo"\n', ""))
    arguments = ("translate", "Open the file.", "The boat sails at noon.", "--max-length", "12", "--json")
    said = "backend `onnx` runs another format: the model is converted (export) into the cache"
    first, again = lingolite(*arguments), lingolite(*arguments)
    assert [line for line in first.err.splitlines() if "stopped" not in line] == [said]
    assert [line for line in again.err.splitlines() if "stopped" not in line] == []
    by_torch = lingolite(*arguments, "--backend", "cached")
    tokens = [[json.loads(line)["tokens"] for line in done.out.splitlines()] for done in (first, again, by_torch)]
    assert tokens[0] == tokens[1] == tokens[2]


@pytest.mark.parametrize("reason", ["no-project", "options", "project", "no-place"])
def test_elsewhere_it_is_the_backend_that_runs_the_bundle_as_it_is(
    lingolite: Command, project: Path, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = project / "lingolite.toml"
    given = {"project": 'backend = "cached"\n'}.get(reason, "")
    settings.write_text(settings.read_text().replace('backend = "echo"\n', given))
    options = ("--device", "cpu") if reason == "options" else ()
    if reason == "no-project":
        settings.unlink()
    if reason == "no-place":
        monkeypatch.setenv("LINGOLITE_CACHE", str(settings / "cache"))  # inside a file, which even root cannot make
    done = lingolite("translate", "Open the file.", "--model", "model", "--max-length", "4", *options)
    assert (done.code, "converted" in done.err) == (0, False)
    assert not (project / ".lingolite" / "cache").exists()
