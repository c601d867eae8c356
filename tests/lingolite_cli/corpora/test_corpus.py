"""Corpora: what is read, and every way in which a file is refused."""

from __future__ import annotations

import gzip
import subprocess
import sys
import tracemalloc
from pathlib import Path

import msgspec
import pytest

from lingolite_cli.corpora.corpus import Corpus, CorpusSpec, check_corpus_files, read_corpus
from lingolite_cli.errors import LingoLiteError


def read(root: Path, **fields: object) -> Corpus:
    max_samples = fields.pop("max_samples", None)
    spec = msgspec.convert(fields, CorpusSpec)
    return read_corpus(spec, name="test", root=root, max_samples=max_samples)  # type: ignore[arg-type]


def refusal(root: Path, **fields: object) -> LingoLiteError:
    with pytest.raises(LingoLiteError) as caught:
        read(root, **fields)
    assert caught.value.hint
    return caught.value


def test_tsv_gives_sources_and_one_stream_of_references(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"A cat.\tEn kat.\tbook\tCC0\nA dog.\tEn hund.\tweb\tCC0\n")
    corpus = read(tmp_path, tsv="x.tsv", languages=["en", "da"])
    assert corpus.sources == ["A cat.", "A dog."]
    assert corpus.references == [["En kat.", "En hund."]]
    assert corpus.languages == ("en", "da")


def test_several_references_are_several_streams(tmp_path: Path) -> None:
    for name, text in (("x.en", "one\ntwo\n"), ("a.da", "en\nto\n"), ("b.da", "én\ntvende\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert read(tmp_path, source="x.en", references=["a.da", "b.da"]).references == [
        ["en", "to"],
        ["én", "tvende"],
    ]


def test_calibration_text_needs_no_references(tmp_path: Path) -> None:
    (tmp_path / "x.en").write_bytes(b"one\ntwo")
    corpus = read(tmp_path, source="x.en")
    assert (corpus.sources, corpus.references, corpus.languages) == (["one", "two"], [], None)


def test_gzip_windows_line_ends_and_byte_order_mark_make_no_difference(tmp_path: Path) -> None:
    (tmp_path / "plain.tsv").write_bytes("å\tø\nb\tc\n".encode())
    (tmp_path / "odd.tsv.gz").write_bytes(gzip.compress("\ufeffå\tø\r\nb\tc\r\n".encode()))
    plain, odd = read(tmp_path, tsv="plain.tsv"), read(tmp_path, tsv="odd.tsv.gz")
    assert plain == odd


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1e", "\r"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, separator: str) -> None:
    (tmp_path / "x.en").write_bytes(f"one{separator}half\ntwo\n".encode())
    assert read(tmp_path, source="x.en").sources == [f"one{separator}half", "two"]


def test_max_samples_keeps_the_first_but_checks_all(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"a\tb\nc\td\ne\tf\n")
    corpus = read(tmp_path, tsv="x.tsv", max_samples=2)
    assert (corpus.sources, corpus.references) == (["a", "c"], [["b", "d"]])
    (tmp_path / "x.tsv").write_bytes(b"a\tb\nc\td\ne\t\n")
    assert "line 3" in refusal(tmp_path, tsv="x.tsv", max_samples=2).message


def test_digest_covers_text_and_languages_and_not_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"a\tb\nc\td\n")
    (tmp_path / "y.tsv").write_bytes(b"a\tb\tnote\nc\td\tnote\n")
    (tmp_path / "z.tsv").write_bytes(b"a\tb\nc\te\n")
    digest = read(tmp_path, tsv="x.tsv").digest
    assert len(digest) == 64
    assert read(tmp_path, tsv="y.tsv").digest == digest
    assert read(tmp_path, tsv="z.tsv").digest != digest
    assert read(tmp_path, tsv="x.tsv", languages=["en", "da"]).digest != digest
    assert read(tmp_path, tsv="x.tsv", max_samples=1).digest != digest


def test_starter_sets_are_whole() -> None:
    root = Path(__file__).parents[3] / "recipes" / "starter-en-da"
    for name, num_sentences in (("dev", 1000), ("test", 999), ("other", 79)):
        corpus = read(root, tsv=f"{name}.en-da.tsv", languages=["en", "da"])
        assert (len(corpus.sources), len(corpus.references)) == (num_sentences, 1)


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "test.en").write_bytes(b"one\n")
    error = refusal(tmp_path, source="tset.en")
    assert "no such file" in error.message
    assert "test.en" in (error.hint or "")
    assert str(tmp_path) in (refusal(tmp_path, source="deep/other").hint or "")
    assert "is a directory" in refusal(tmp_path, source=".").message


def test_streams_of_different_lengths_name_both_counts(tmp_path: Path) -> None:
    (tmp_path / "x.en").write_bytes(b"one\ntwo\nthree\n")
    (tmp_path / "x.da").write_bytes(b"en\nto\n")
    error = refusal(tmp_path, source="x.en", references=["x.da"])
    assert "x.en has 3 lines" in error.message
    assert "x.da has 2" in error.message
    assert "x.da ends after line 2" in (error.hint or "")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a\tb\n\nc\td\n", "source"),
        (b"a\tb\n \tx\n", "source"),
        (b"a\tb\nc\t\xc2\xa0\n", "reference"),
        (b"a\tb\r\nc\t\r\n", "reference"),
    ],
)
def test_blank_text_is_refused_by_file_and_line(tmp_path: Path, content: bytes, what: str) -> None:
    (tmp_path / "x.tsv").write_bytes(content)
    assert f"x.tsv, line 2: the {what} is blank" in refusal(tmp_path, tsv="x.tsv").message


def test_blank_line_in_a_stream_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.en").write_bytes(b"one\ntwo\n")
    (tmp_path / "x.da").write_bytes(b"en\n\n")
    message = refusal(tmp_path, source="x.en", references=["x.da"]).message
    assert "x.da, line 2: the reference is blank" in message


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_invalid_utf8_is_refused_by_line_and_byte(tmp_path: Path, mark: bytes) -> None:
    content = mark + "bål\nsm".encode() + b"\xf8rrebr\xf8d\n"
    (tmp_path / "x.da").write_bytes(content)
    message = refusal(tmp_path, source="x.da").message
    assert f"x.da, line 2: byte {content.index(0xF8)} (0xf8) is not UTF-8" in message


def test_too_few_columns_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"a\tb\nonly a source\n")
    assert "x.tsv, line 2: 1 column" in refusal(tmp_path, tsv="x.tsv").message


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
def test_no_sentences_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tsv").write_bytes(content)
    assert "no sentences" in refusal(tmp_path, tsv="x.tsv").message


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_gzip_is_refused(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(b"one\n" * 500))
    if damage == "flipped":
        packed[-6] ^= 0xFF  # in the checksum
    (tmp_path / "x.en.gz").write_bytes(packed[:-9] if damage == "cut" else packed)
    assert "damaged or cut short" in refusal(tmp_path, source="x.en.gz").message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tsv": "x.tsv", "source": "x.en"}, "both tsv `x.tsv` and source"),
        ({"tsv": "x.tsv", "references": ["x.da"]}, "both tsv `x.tsv` and references"),
        ({}, "neither tsv nor source"),
        ({"references": ["x.da"]}, "neither tsv nor source"),
    ],
)
def test_ambiguous_specs_are_refused_before_reading(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    (tmp_path / "x.tsv").write_bytes(b"\xff\n")
    with pytest.raises(LingoLiteError, match=message):
        check_corpus_files(msgspec.convert(fields, CorpusSpec), tmp_path)
    assert message in refusal(tmp_path, **fields).message


def test_preflight_checks_every_file_and_reads_none(tmp_path: Path) -> None:
    (tmp_path / "x.en").write_bytes(b"\xff\n")
    check_corpus_files(CorpusSpec(source="x.en"), tmp_path)
    with pytest.raises(LingoLiteError, match=r"no such file: .*x\.da"):
        check_corpus_files(CorpusSpec(source="x.en", references=("x.da",)), tmp_path)


def test_max_samples_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="max_samples"):
        read(tmp_path, tsv="x.tsv", max_samples=0)


def test_reading_imports_neither_numpy_nor_torch() -> None:
    program = (
        "import sys, lingolite_cli.corpora.corpus, lingolite_cli.budgets.verdicts;"
        "print(sorted({'numpy', 'torch', 'sacrebleu'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_holds_the_rows_of_a_file_and_not_its_lines_besides(tmp_path: Path) -> None:
    row = f"{'the cat sat on a mat in fog ' * 7}\t{'katten sad paa en maatte i taage ' * 7}\n"
    (tmp_path / "x.tsv").write_text(row * 4000)
    tracemalloc.start()
    try:
        corpus = read(tmp_path, tsv="x.tsv")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(corpus.sources) == 4000
    assert peak < 2.9 * len(row) * 4000
