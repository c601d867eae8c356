"""Corpora as files that other programs read: lines, TSV, JSON lines and TMX, plain, gzip or zstd by their names.

Owns the bytes of these files, as a stream; who writes them makes them appear whole or not at all.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import msgspec

from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.corpora.lines import CorpusLine
from lingolite_cli.corpora.reading import TextForm
from lingolite_cli.environment import VERSION
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.zstd import zstd_blocks

_TABS = str.maketrans("\t\n\r", "   ")
_GZIP = 31  # of zlib: a gzip header, which has no name and no time
PACKINGS = (".gz", ".zst")
"""Endings of names by which files are packed."""
_TMX_HEADER = (
    '<?xml version="1.0" encoding="utf-8"?>\n<tmx version="1.4">\n<header creationtool="lingolite" '
    'creationtoolversion={version} segtype="sentence" o-tmf="lingolite" adminlang="en" srclang={language} '
    'datatype="plaintext"/>\n<body>\n'
)


def exported(corpus: CorpusArtifact, form: TextForm, path: Path, *, side: int = 0) -> Iterator[bytes]:
    """The bytes of a file, as a stream.

    Args:
        corpus: what is written. A line without a translation has an empty target.
        form: of the file.
        path: of the file; its name says how it is packed.
        side: of a file of lines: 0 has the sources, 1 the targets.

    Raises:
        LingoLiteError: a text has a tab or a line feed, which the form has no place for; or the package that packs is
            not installed.
    """
    write: dict[TextForm, Callable[[CorpusArtifact], Iterator[bytes]]] = {
        "text": lambda corpus: _lines(corpus, side),
        "tsv": _tsv,
        "jsonl": lambda corpus: (msgspec.json.encode(line) + b"\n" for line in corpus.lines()),
        "tmx": _tmx,
    }
    blocks = write[form](corpus)
    match path.suffix:
        case ".gz":
            return _gzip_blocks(blocks)
        case ".zst":
            return zstd_blocks(blocks)
    return blocks


def _gzip_blocks(blocks: Iterator[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(6, zlib.DEFLATED, _GZIP)
    for block in blocks:
        yield packer.compress(block)
    yield packer.flush()


def _lines(corpus: CorpusArtifact, side: int) -> Iterator[bytes]:
    for number, line in enumerate(corpus.lines(), start=1):
        text = (line.source, line.target or "")[side]
        _refuse(text, "\n", number=number)  # two lines in place of one would shift all that follow
        yield f"{text}\n".encode()


def _tsv(corpus: CorpusArtifact) -> Iterator[bytes]:
    for number, line in enumerate(corpus.lines(), start=1):
        sides = _sides(corpus, line)
        for text in sides:
            _refuse(text, "\t\n", number=number)
        names = ((name or "").translate(_TABS) for name in (line.provenance, line.licence))
        yield "\t".join([*sides, *names]).encode() + b"\n"


def _refuse(text: str, characters: str, *, number: int) -> None:
    if any(character in text for character in characters):
        raise LingoLiteError(
            f"line {number} has a tab or a line feed inside of its text", hint="pass --to jsonl or --to tmx"
        )


def _sides(corpus: CorpusArtifact, line: CorpusLine) -> list[str]:
    return [line.source, line.target or ""] if corpus.manifest.is_parallel else [line.source]


def _tmx(corpus: CorpusArtifact) -> Iterator[bytes]:
    languages = corpus.manifest.languages
    yield _TMX_HEADER.format(version=quoteattr(VERSION), language=quoteattr(languages[0])).encode()
    for line in corpus.lines():
        variants = (
            f"<tuv xml:lang={quoteattr(language)}><seg>{escape(_in_xml(text))}</seg></tuv>"
            for language, text in zip(languages, _sides(corpus, line), strict=True)
        )
        yield f"<tu>{''.join(variants)}</tu>\n".encode()
    yield b"</body>\n</tmx>\n"


def _in_xml(text: str) -> str:
    """Without control characters, which XML cannot have."""
    return "".join(
        character
        for character in text
        if (character >= " " or character in "\t\n\r") and character not in "\ufffe\uffff"
    )
