"""Text to train on: rows of files as pairs, and what was wrong with the others.

A bad row is counted under its kind with the first place where it was seen, and skipped or refused; never dropped in
silence. Evaluation reads its text with `lingolite_cli.corpora.corpus`, which refuses any bad line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from lingolite_cli.artifact import MANIFEST_NAME
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.text import repeatable_lines

BadKind = Literal[
    "empty source",
    "empty target",
    "wrong columns",
    "invalid UTF-8",
    "over-long",
    "invalid JSON",
    "missing language",
]


_NEARLY_ALL = 0.9


class Pair(NamedTuple):
    """A source, its translation, and the number of the line that they stand in, from 1."""

    source: str
    target: str
    line: int


class Text(NamedTuple):
    """A text, and the share of its short pairs that an epoch has.

    Attributes:
        paths: the TSV file or the two aligned files; of a corpus, its manifest, which has the digests of all shards.
        short_share: 1 is all of them.
        label: what reports call it; empty is the name of its file.
    """

    paths: tuple[Path, ...]
    short_share: float = 1.0
    label: str = ""

    @property
    def name(self) -> str:
        """What reports call it."""
        path = self.paths[0]
        return self.label or (path.parent.name if path.name == MANIFEST_NAME else path.name)


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
        name: of the text, for messages.
        is_refused: raise at the first.
        hint: of that error.

    Attributes:
        counts: by kind.
        first: the line of the first of each kind.
    """

    def __init__(
        self,
        name: str,
        *,
        is_refused: bool = False,
        hint: str = 'mend the line, or count and skip such: on_bad_data = "skip"',
    ) -> None:
        self._hint = hint
        self._name = name
        self._is_refused = is_refused
        self.counts: dict[str, int] = {}
        self.first: dict[str, int] = {}

    def add(self, kind: BadKind, line: int) -> None:
        """Count a bad row.

        Raises:
            LingoLiteError: bad rows are refused.
        """
        if self._is_refused:
            raise LingoLiteError(
                f"{place_of(self._name, line)}: bad data: {kind}",
                hint=self._hint,
            )
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.first.setdefault(kind, line)


def place_of(name: str | Path, line: int) -> str:
    """How messages and reports write the place of a row."""
    return f"{name}, line {line}"


class Rows(msgspec.Struct, frozen=True):
    """A text that was looked through once: its files, and the number of rows.

    `num_columns` is that of nearly all rows of a TSV file that have a translation; None where the number changes, as
    it may, and for aligned files.
    """

    paths: tuple[Path, ...]
    num_rows: int
    num_columns: int | None


def _corpus_of(paths: Sequence[Path]) -> CorpusArtifact | None:
    """The corpus that a text is, where its one file is a manifest."""
    is_manifest = len(paths) == 1 and paths[0].name == MANIFEST_NAME
    return CorpusArtifact.open(paths[0].parent) if is_manifest else None


def read_rows(paths: Sequence[Path]) -> Rows:
    """Look through a TSV file or two aligned files, plain or gzip, or the manifest of a corpus. No text is kept.

    Raises:
        LingoLiteError: a file cannot be read or is damaged, or aligned files differ in length: then no line can be
            trusted to translate the other.
    """
    corpus = _corpus_of(paths)
    if corpus is not None:
        if not corpus.manifest.is_parallel:
            raise LingoLiteError(f"{corpus.path} is monolingual text", hint="name a corpus of pairs")
        return Rows(tuple(paths), corpus.manifest.num_lines, None)
    columns = [Counter(line.count(b"\t") + 1 for line in _lines(path)) for path in paths]
    lengths = [found.total() for found in columns]
    if min(lengths) != max(lengths):
        raise LingoLiteError(
            f"{paths[0]} has {lengths[0]:,} lines and {paths[1]} has {lengths[1]:,}",
            hint="line n of one file translates line n of the other",
        )
    if lengths[0] == 0:
        raise LingoLiteError(f"{paths[0]} has no lines", hint="there is nothing to train on")
    return Rows(tuple(paths), lengths[0], _num_columns(columns[0]) if len(paths) == 1 else None)


def good_pairs(rows: Rows, bad: BadRows) -> Iterator[Pair]:
    """The pairs of `rows` that have text in two columns, read from the files; the others go to `bad`.

    So do rows that have another number of columns than nearly all: a tab stands in their midst, and a half of the
    source would be its translation.
    """
    corpus = _corpus_of(rows.paths)
    if corpus is not None:
        yield from _pairs_of(corpus, bad)
        return
    files = [_lines(path) for path in rows.paths]
    # Of equal length, unless somebody writes to them now: then the digests tell.
    lines = zip(*files, strict=False) if len(files) == 2 else zip(files[0], repeat(None))
    for number, (first, second) in enumerate(lines, start=1):
        columns = _decode(first, second)
        if columns is None:
            bad.add("invalid UTF-8", number)
        elif len(columns) < 2 or (rows.num_columns is not None and len(columns) != rows.num_columns):
            bad.add("wrong columns", number)
        elif not columns[0].strip():
            bad.add("empty source", number)
        elif not columns[1].strip():
            bad.add("empty target", number)
        else:
            yield Pair(columns[0].strip(), columns[1].strip(), number)


def _pairs_of(corpus: CorpusArtifact, bad: BadRows) -> Iterator[Pair]:
    for number, line in enumerate(corpus.lines(), start=1):
        source, target = line.source.strip(), (line.target or "").strip()
        if not source:
            bad.add("empty source", number)
        elif not target:
            bad.add("empty target", number)
        else:
            yield Pair(source, target, number)


def _num_columns(counts: Counter[int]) -> int | None:
    counts = counts.copy()
    del counts[1]
    most, count = max(counts.items(), key=lambda item: item[1], default=(2, 0))
    return most if count >= _NEARLY_ALL * counts.total() else None


def _decode(first: bytes, second: bytes | None) -> list[str] | None:
    """The columns of a row; None where they are not UTF-8."""
    try:
        return first.decode().split("\t") if second is None else [first.decode(), second.decode()]
    except UnicodeDecodeError:
        return None


def _lines(path: Path) -> Iterator[bytes]:
    for line in repeatable_lines(path):
        yield line.removesuffix(b"\n").removesuffix(b"\r")
