"""Bad rows are counted with their first place, or refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lingolite_cli.corpora.pairs import Text, TextReport
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.training.options import TextOptions
from lingolite_cli.training.reading import read_examples
from lingolite_cli.training.text_cache import TextCache

ROWS = [
    b"the cat\tkatten\torigin\tlicence",
    b"\tkatten",
    b"the dog\t ",
    b"the mat",
    b"\xff\tkatten",
    b"the cat sat on a mat in the fog\tkatten",
    b"\tdog",
    b"the cat sat on a mat\tkatten\r",
]
BAD = {"empty source": 2, "empty target": 1, "wrong columns": 1, "invalid UTF-8": 1, "over-long": 1}


def read(*paths: Path, tokenizer: Path, **options) -> tuple[list[int], TextReport]:
    """The numbers of tokens of the sources, and the report."""
    examples, (report,) = read_examples(
        [Text(paths)],
        read_tokenizer(tokenizer),
        languages=("en", "da"),
        positions=64,
        options=TextOptions(**options),
        cache=TextCache(paths[0].parent / "texts", host="this code"),
        tokenizer_digest="of the small one",
    )
    return examples.source_lengths.tolist(), report


@pytest.fixture
def longest(small_tokenizer: Path) -> int:
    """Tokens of the longest source that shall pass."""
    tokenizer = read_tokenizer(small_tokenizer)
    return len(tokenizer.encode_source("the cat sat on a mat", ("en", "da"), max_length=64).ids)


@pytest.mark.parametrize("is_gzipped", [False, True])
def test_bad_rows_are_counted_by_kind(tmp_path: Path, small_tokenizer: Path, longest: int, is_gzipped: bool) -> None:
    data = b"\xef\xbb\xbf" + b"\n".join(ROWS) + b"\n"
    path = tmp_path / "text.tsv"
    path.write_bytes(gzip.compress(data) if is_gzipped else data)

    lengths, report = read(path, tokenizer=small_tokenizer, max_tokens=longest)

    assert (report.num_rows, report.num_pairs, report.num_short) == (8, 2, 1)
    assert report.bad == BAD
    assert report.first_bad["empty source"] == f"{path}, line 2"
    assert report.first_bad["over-long"] == f"{path}, line 6"
    assert max(lengths) == longest


@pytest.mark.parametrize("row", range(1, 6))
def test_bad_rows_are_refused(tmp_path: Path, small_tokenizer: Path, longest: int, row: int) -> None:
    path = tmp_path / "text.tsv"
    path.write_bytes(ROWS[0] + b"\n" + ROWS[row] + b"\n")
    with pytest.raises(LingoLiteError, match=r"text.tsv, line 2: bad data: ") as refused:
        read(path, tokenizer=small_tokenizer, max_tokens=longest, on_bad_data="refuse")
    assert refused.value.message.rpartition(": ")[2] in BAD


def test_aligned_files_are_read_side_by_side(tmp_path: Path, small_tokenizer: Path) -> None:
    source, target = tmp_path / "text.en", tmp_path / "text.da"
    source.write_bytes(b"the cat\n\nthe\tdog\n")
    target.write_bytes(b"katten\nhund\nhund\n")
    _, report = read(source, target, tokenizer=small_tokenizer)
    assert (report.num_pairs, report.bad) == (2, {"empty source": 1})


def test_aligned_files_of_different_length_are_refused(tmp_path: Path, small_tokenizer: Path) -> None:
    source, target = tmp_path / "text.en", tmp_path / "text.da"
    source.write_bytes(b"the cat\nthe dog\n")
    target.write_bytes(b"katten\n")
    with pytest.raises(LingoLiteError, match=r"text.en has 2 lines and .*text.da has 1"):
        read(source, target, tokenizer=small_tokenizer)


def test_text_without_a_good_pair_is_refused(tmp_path: Path, small_tokenizer: Path) -> None:
    path = tmp_path / "text.tsv"
    path.write_bytes(b"one column\n")
    with pytest.raises(LingoLiteError, match="no pair is left"):
        read(path, tokenizer=small_tokenizer)


def test_text_named_twice_counts_twice_and_is_reported_once(
    parallel_text: Path, small_tokenizer: Path, tmp_path: Path
) -> None:
    examples, reports = read_examples(
        [Text((parallel_text,)), Text((parallel_text,))],
        read_tokenizer(small_tokenizer),
        languages=("en", "da"),
        positions=64,
        options=TextOptions(),
        cache=TextCache(tmp_path, host="this code"),
        tokenizer_digest="of the small one",
    )
    assert len(reports) == 1
    assert examples.draw(np.random.default_rng(1)).tolist() == [*range(30), *range(30)]
