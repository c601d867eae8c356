"""Text to train on: rows of files as pairs, and what was wrong with the others.

A bad row is counted under its kind with the first place where it was seen, and skipped or refused; never dropped in
silence. Evaluation reads its text with `lingolite_cli.corpora.corpus`, which refuses any bad line.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.text import read_text_bytes

BadKind = Literal["empty source", "empty target", "wrong columns", "invalid UTF-8", "over-long"]


_NEARLY_ALL = 0.9


class Pair(NamedTuple):
    """A source, its translation, and the file and line that they stand in."""

    source: str
    target: str
    where: str


class Text(NamedTuple):
    """The TSV file or the two aligned files of a text, and the share of its short pairs that an epoch has."""

    paths: tuple[Path, ...]
    short_share: float = 1.0


class TextReport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one text had: its rows, those that can be trained on, how many of them are short, and bad rows by kind.

    `first_bad` has the place of the first bad row of each kind.
    """

    name: str
    num_rows: int
    num_pairs: int
    num_short: int
    bad: dict[str, int]
    first_bad: dict[str, str]


class BadRows:
    """The bad rows of one text.

    Args:
        is_refused: raise at the first.
    """

    def __init__(self, *, is_refused: bool) -> None:
        self._is_refused = is_refused
        self.counts: dict[str, int] = {}
        self.first: dict[str, str] = {}

    def add(self, kind: BadKind, where: str) -> None:
        """Count a bad row.

        Raises:
            LingoLiteError: bad rows are refused.
        """
        if self._is_refused:
            raise LingoLiteError(
                f"{where}: bad data: {kind}", hint='mend the line, or count and skip such: on_bad_data = "skip"'
            )
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.first.setdefault(kind, where)


class Rows(NamedTuple):
    """The raw lines of a text: one column of lines for a TSV file, two for aligned files."""

    columns: list[list[bytes]]
    paths: list[Path]

    @property
    def num_rows(self) -> int:
        """Lines of each file."""
        return len(self.columns[0])


def read_rows(paths: Sequence[Path]) -> Rows:
    """The lines of a TSV file or of two aligned files, plain or gzip.

    Raises:
        LingoLiteError: a file cannot be read or is damaged, or aligned files differ in length: then no line can be
            trusted to translate the other.
    """
    columns = [_lines(path) for path in paths]
    lengths = [len(column) for column in columns]
    if min(lengths) != max(lengths):
        raise LingoLiteError(
            f"{paths[0]} has {lengths[0]:,} lines and {paths[1]} has {lengths[1]:,}",
            hint="line n of one file translates line n of the other",
        )
    if lengths[0] == 0:
        raise LingoLiteError(f"{paths[0]} has no lines", hint="there is nothing to train on")
    return Rows(columns, list(paths))


def good_pairs(rows: Rows, bad: BadRows) -> Iterator[Pair]:
    """The pairs of `rows` that have text in two columns; the others go to `bad`.

    So do rows that have another number of columns than nearly all: a tab stands in their midst, and a half of the
    source would be its translation.
    """
    num_columns = _num_columns(rows)
    lines = zip(*rows.columns, strict=True) if len(rows.columns) == 2 else zip(rows.columns[0], repeat(None))
    for number, (first, second) in enumerate(lines, start=1):
        where = f"{rows.paths[0]}, line {number}"
        columns = _decode(first, second)
        if columns is None:
            bad.add("invalid UTF-8", where)
        elif len(columns) < 2 or (num_columns is not None and len(columns) != num_columns):
            bad.add("wrong columns", where)
        elif not columns[0].strip():
            bad.add("empty source", where)
        elif not columns[1].strip():
            bad.add("empty target", where)
        else:
            yield Pair(columns[0].strip(), columns[1].strip(), where)


def _num_columns(rows: Rows) -> int | None:
    """Of nearly all rows of a TSV file that have a translation; None where the number changes, as it may."""
    if len(rows.columns) == 2:
        return None
    counts = Counter(line.count(b"\t") + 1 for line in rows.columns[0])
    del counts[1]
    most, count = max(counts.items(), key=lambda item: item[1], default=(2, 0))
    return most if count >= _NEARLY_ALL * counts.total() else None


def _decode(first: bytes, second: bytes | None) -> list[str] | None:
    """The columns of a row; None where they are not UTF-8."""
    try:
        return first.decode().split("\t") if second is None else [first.decode(), second.decode()]
    except UnicodeDecodeError:
        return None


def _lines(path: Path) -> list[bytes]:
    lines = read_text_bytes(path).removeprefix(codecs.BOM_UTF8).split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]
