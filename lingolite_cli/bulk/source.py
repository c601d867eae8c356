"""Text that is translated as a whole: its lines in order, as a stream, and how many they are.

Owns what may be a source: a corpus, or a file or pipe of lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.corpora.lines import CorpusLine
from lingolite_cli.files.special import is_stream
from lingolite_cli.files.text import decoded_lines, lines_of


class SourceText(msgspec.Struct, frozen=True, kw_only=True):
    """Text to translate.

    Attributes:
        name: for messages.
        lines: gives them, from the first; what is a pipe gives them once.
        num_lines: how many there are; None where that is known only at the end.
        inputs: digests of what was read, by name, where there is one.
    """

    name: str
    lines: Callable[[], Iterator[CorpusLine]]
    num_lines: int | None
    inputs: dict[str, str] = {}


def corpus_source(corpus: CorpusArtifact) -> SourceText:
    """The sources of a corpus, with where they are from and their licences."""

    def lines() -> Iterator[CorpusLine]:
        for line in corpus.lines():
            yield CorpusLine(source=line.source, provenance=line.provenance, licence=line.licence)

    return SourceText(
        name=str(corpus.path),
        lines=lines,
        num_lines=corpus.manifest.num_lines,
        inputs={"source": corpus.digest},
    )


def file_source(path: Path) -> SourceText:
    """The lines of a file, plain or gzip. A regular file is looked through once, so that what is wrong is found first.

    Raises:
        LingoLiteError: it cannot be read, or is not UTF-8.
    """

    def lines() -> Iterator[CorpusLine]:
        return (CorpusLine(source=text) for text in decoded_lines(lines_of(path), name=str(path)))

    num_lines = None if is_stream(path) else sum(1 for _ in lines())
    return SourceText(name=str(path), lines=lines, num_lines=num_lines)
