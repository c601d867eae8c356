"""Text of others: packed, marked, in pipes, in other encodings, and absurd."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Outcome, command, environment

from lingolite_cli.corpora.corpus import CorpusSpec, read_corpus
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.text import MOST_LINE_BYTES, read_lines, read_text_bytes
from lingolite_cli.files.zstd import zstd_blocks
from lingolite_cli.plugins.extras import CORPORA

Command = Callable[..., Outcome]

LINES = "Åbn filen\n\nThe boat.\n"


@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_lines_are_the_same_packed_and_marked(is_packed: bool, mark: bytes) -> None:
    data = mark + LINES.encode()
    stream = io.BytesIO(gzip.compress(data) if is_packed else data)
    assert b"".join(read_lines(stream, name="x")).decode() == LINES


@pytest.mark.skipif(not CORPORA.is_installed, reason="needs the extra corpora")
def test_zstd_is_unpacked_frame_after_frame_and_what_is_cut_short_is_told(tmp_path: Path) -> None:
    frame = b"".join(zstd_blocks([LINES.encode()] * 3))
    path = tmp_path / "text.tsv.zst"
    path.write_bytes(frame + frame)
    assert read_text_bytes(path).decode() == LINES * 6
    assert b"".join(read_lines(io.BytesIO(frame + frame), name="x")).decode() == LINES * 6
    for damaged in (frame[:-1], frame + frame[:9], frame[:6] + b"\xff\xff" + frame[8:]):
        with pytest.raises(LingoLiteError, match="x is damaged or cut short"):
            list(read_lines(io.BytesIO(damaged), name="x"))


def test_lines_come_as_they_are_written() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as writer:
        lines = read_lines(stream, name="pipe")
        writer.write(b"first\n")
        assert next(lines) == b"first\n"
        writer.write(b"second\n")
        assert next(lines) == b"second\n"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (lzma.compress(b"text\n"), "xz -d"),
        (bz2.compress(b"text\n"), "bzip2 -d"),
        (LINES.encode("utf-16"), "iconv -f utf-16 -t utf-8"),
        (LINES.encode("utf-16-le"), "iconv -f utf-16le -t utf-8"),
        (gzip.compress(gzip.compress(b"text\n")), "gzip -d"),
    ],
    ids=["xz", "bzip2", "utf-16", "utf-16 without mark", "gzip twice"],
)
def test_other_forms_are_recognized_by_their_content(tmp_path: Path, data: bytes, hint: str) -> None:
    path = tmp_path / "text.tsv"
    path.write_bytes(data)
    for read in (lambda: read_text_bytes(path), lambda: list(read_lines(io.BytesIO(data), name="text.tsv"))):
        with pytest.raises(LingoLiteError, match=r"text.tsv is not UTF-8 text") as error:
            read()
        assert hint in (error.value.hint or "")


def test_text_that_begins_like_a_name_of_a_format_is_text(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"BZh is how bzip2 begins\n")
    assert read_text_bytes(tmp_path / "x") == b"BZh is how bzip2 begins\n"


def test_a_few_bytes_that_unpack_to_gigabytes_are_refused(tmp_path: Path) -> None:
    member = gzip.compress(b"\n" * (64 << 20), compresslevel=1)
    (tmp_path / "bomb.tsv.gz").write_bytes(member * 8)
    with pytest.raises(LingoLiteError, match=r"bomb.tsv.gz unpacks to more than [\d,]+ MB from [\d,]+ bytes"):
        read_text_bytes(tmp_path / "bomb.tsv.gz")


def test_a_line_without_an_end_is_refused() -> None:
    stream = io.BytesIO(gzip.compress(b"a\n" + b"a" * (MOST_LINE_BYTES + 1), compresslevel=1))
    with pytest.raises(LingoLiteError, match="x, line 2: longer than 16 MB"):
        list(read_lines(stream, name="x"))


def test_a_packed_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    data = gzip.compress(LINES.encode())[:-6]
    (tmp_path / "cut.gz").write_bytes(data)
    with pytest.raises(LingoLiteError, match=r"cut.gz is damaged or cut short"):
        read_text_bytes(tmp_path / "cut.gz")
    with pytest.raises(LingoLiteError, match="x is damaged or cut short"):
        list(read_lines(io.BytesIO(data), name="x"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a\tb\nc\td\te\nf\tg\n", "line 2: 3 columns where the other lines have 2"),
        ("a\tb\tx\nc\td\ny\te\tz\n", "line 2: 2 columns where the other lines have 3"),
        ("a\tb\tc\nd\te\nf\tg\nh\ti\n", "line 1: 3 columns where the other lines have 2"),
        ("a\tb\nc\n", "line 2: 1 column where the other lines have 2"),
        ("a\nb\n", "line 1: 1 column where 2 are needed"),
    ],
)
def test_a_changing_number_of_columns_is_refused_with_its_line(tmp_path: Path, rows: str, message: str) -> None:
    (tmp_path / "x.tsv").write_text(rows)
    with pytest.raises(LingoLiteError, match=message):
        read_corpus(CorpusSpec(tsv="x.tsv"), name="x", root=tmp_path)


def test_a_file_with_a_mark_or_packed_is_translated_and_configured(with_echo: Command, project: Path) -> None:
    (project / "a.txt").write_bytes(codecs.BOM_UTF8 + b"The boat.\n")
    (project / "a.gz").write_bytes(gzip.compress(b"The boat.\n"))
    for name in ("a.txt", "a.gz"):
        assert with_echo("translate", "--file", name).out == "The boat.\n"
    assert with_echo("translate", stdin=gzip.compress(b"The boat.\n")).out == "The boat.\n"
    for toml in ("lingolite.toml", "recipes/small.toml"):
        path = project / toml
        path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    assert with_echo("recipes", "check", "recipes/small.toml").code == 0


def test_a_test_set_may_come_through_a_pipe(project: Path, echo: Path) -> None:
    words = " ".join(f"'{word}'" for word in command("eval", "--json", "--source"))
    found = []
    for source in ("<(cat test.tsv)", "test.tsv", "/dev/stdin < <(gzip -c test.tsv)"):
        done = subprocess.run(
            ["bash", "-c", f"{words} {source}"], cwd=project, env=environment([echo]), capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        found.append(done.stdout.split(b'"sources"')[0].count(b'"bleu": 100.0'))
    assert found == [found[0]] * 3


def test_translations_that_are_not_utf_8_are_refused_with_their_line(with_echo: Command, project: Path) -> None:
    assert with_echo("eval", "--save-translations", "a.jsonl").code == 0
    lines = (project / "a.jsonl").read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b'"hypothesis":"', b'"hypothesis":"\xff')
    (project / "b.jsonl").write_bytes(b"\n".join(lines))
    outcome = with_echo("compare", "a.jsonl", "b.jsonl")
    assert outcome.code == 2
    assert outcome.err.startswith("error: b.jsonl is not a file of translations: line 3: ")
    assert "Traceback" not in outcome.err
    (project / "c.jsonl.gz").write_bytes(gzip.compress((project / "a.jsonl").read_bytes()))
    assert with_echo("compare", "a.jsonl", "c.jsonl.gz").code == 0


def test_a_removed_working_directory_is_an_error_of_its_own(project: Path, echo: Path) -> None:
    words = " ".join(f"'{word}'" for word in command("translate", "Hi"))
    done = subprocess.run(
        ["bash", "-c", f"mkdir gone && cd gone && rmdir ../gone && {words}"],
        cwd=project,
        env=environment([echo]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the working directory was removed\n")
