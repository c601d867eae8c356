"""Text that options name: to look for overflow on, or to translate on a Mac."""

from __future__ import annotations

from pathlib import Path

from lingolite_cli.corpora.corpus import CorpusSpec, read_corpus
from lingolite_cli.evaluation.goldens import read_sources


def sentences_of(text: Path) -> tuple[str, ...]:
    """The sources of a TSV corpus, or the lines of any other file.

    Raises:
        LingoLiteError: it cannot be read, or has no sentence.
    """
    if text.suffix != ".tsv":
        return read_sources(text)
    return tuple(read_corpus(CorpusSpec(tsv=str(text)), name=text.name, root=Path()).sources)
