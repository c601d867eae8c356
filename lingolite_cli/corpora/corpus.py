"""Parallel text: read strictly, or refused with the file and the line.

Owns how corpora are named in recipes and read from disk. What is translated or scored with them is the
business of others. Files are UTF-8, plain or gzip; only a line feed ends a line, so that U+2028, form feeds
and the like stay inside their sentence.
"""

from __future__ import annotations

import codecs
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import msgspec

from lingolite_cli.corpora.test_sets import test_set_files
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.files.encodings import not_utf8_hint
from lingolite_cli.files.special import is_stream
from lingolite_cli.files.text import read_text_bytes


class CorpusSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A corpus as a recipe names it: `tsv`, `source` with `references`, or `test_set`. Paths are relative to a root.

    Attributes:
        tsv: a file with the columns source, reference, then any others (such as provenance and licence).
        source: a file of sources, one a line.
        references: files of references, one a stream; none for text that is only translated.
        test_set: a public test set that sacreBLEU has downloaded, by its name there; `languages` choose the pair.
        languages: source and target language; None leaves them to the model.
    """

    tsv: str | None = None
    source: str | None = None
    references: tuple[str, ...] = ()
    test_set: str | None = None
    languages: tuple[str, str] | None = None

    @property
    def has_references(self) -> bool:
        """Whether translations can be scored against it."""
        return self.tsv is not None or self.test_set is not None or bool(self.references)


class Corpus(msgspec.Struct, frozen=True, kw_only=True):
    """N sources and R streams of N references each. `digest` is a SHA-256 over the text and the languages."""

    name: str
    sources: list[str]
    references: list[list[str]]
    languages: tuple[str, str] | None
    digest: str


def check_corpus_files(spec: CorpusSpec, root: Path) -> None:
    """What can be checked before a run without reading the text.

    Raises:
        LingoLiteError: `tsv` and `source` are both given or neither is, or a file does not exist.
    """
    check_files(corpus_paths(spec, root), root)


def check_files(paths: Sequence[Path], root: Path) -> None:
    """Refuse a path that is not a file.

    Args:
        paths: of text.
        root: what relative paths started from, for the hint.

    Raises:
        LingoLiteError: with the nearest name in its directory.
    """
    for path in paths:
        if not path.is_file() and not is_stream(path):
            raise _missing(path, root)


def read_corpus(spec: CorpusSpec, *, name: str, root: Path, max_samples: int | None = None) -> Corpus:
    """Read and check a whole corpus.

    Args:
        spec: where it is.
        name: what reports call it.
        root: what relative paths start from.
        max_samples: keep this many sentences from the start; the rest is still checked.

    Raises:
        LingoLiteError: as `check_corpus_files`, or a file is not UTF-8 or cut short, a line is blank or has
            too few columns, source and references differ in length, or there is no sentence.
    """
    if max_samples is not None and max_samples < 1:
        raise LingoLiteError(f"max_samples must be at least 1, not {max_samples}")
    check_corpus_files(spec, root)
    first, *others = corpus_paths(spec, root)
    if spec.tsv is not None:
        sources, references = _read_tsv(first)
    else:
        sources, references = _read_streams(first, others)
    if not sources:
        raise LingoLiteError(f"{first} has no sentences", hint="a corpus needs at least one line")
    sources = sources[:max_samples]
    references = [stream[:max_samples] for stream in references]
    return Corpus(
        name=name,
        sources=sources,
        references=references,
        languages=spec.languages,
        digest=_digest(sources, references, spec.languages),
    )


def corpus_paths(spec: CorpusSpec, root: Path) -> list[Path]:
    """The files of a corpus: sources or the TSV file, then references.

    Raises:
        LingoLiteError: `tsv` and `source` are both given or neither is.
    """
    if spec.test_set is not None:
        return _test_set_paths(spec, spec.test_set)
    if spec.tsv is not None and (spec.source is not None or spec.references):
        other = "source" if spec.source is not None else "references"
        raise LingoLiteError(
            f"a corpus has both tsv `{spec.tsv}` and {other}",
            hint="a TSV file holds the references too: keep `tsv`, or `source` with `references`",
        )
    first = spec.tsv if spec.tsv is not None else spec.source
    if first is None:
        raise LingoLiteError(
            "a corpus has neither tsv nor source",
            hint='write tsv = "test.tsv", source = "test.en" with references = ["test.da"], or test_set = "wmt22"',
        )
    return [root / first, *(root / reference for reference in spec.references)]


def _test_set_paths(spec: CorpusSpec, name: str) -> list[Path]:
    if spec.tsv is not None or spec.source is not None or spec.references:
        raise LingoLiteError(f"a corpus has both test_set `{name}` and files", hint="keep one of them")
    if spec.languages is None:
        raise LingoLiteError(f"the test set `{name}` needs languages", hint='write languages = ["en", "da"] beside it')
    return test_set_files(name, spec.languages)


def _missing(path: Path, root: Path) -> LingoLiteError:
    if path.is_dir():
        return LingoLiteError(f"{path} is a directory", hint="a corpus is a file of lines, plain or .gz")
    siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
    near = get_close_matches(path.name, siblings, n=1)
    hint = f"did you mean `{path.parent / near[0]}`?" if near else f"paths are relative to {root.resolve()}"
    return LingoLiteError(f"no such file: {path}", hint=hint)


def _read_tsv(path: Path) -> tuple[list[str], list[list[str]]]:
    rows = [line.split("\t") for line in _read_lines(path)]
    _refuse_ragged(rows, path)
    sources, references = [], []
    for number, (source, reference, *_) in enumerate(rows, start=1):
        _refuse_blank(reference, path, number=number, what="reference")
        sources.append(source)
        references.append(reference)
    return sources, [references]


def _refuse_ragged(rows: list[list[str]], path: Path) -> None:
    """One tab too many, inside a sentence, would make its second half the reference."""
    counts = Counter(map(len, rows))
    expected = max((count for count in counts if count > 1), key=lambda count: counts[count], default=2)
    for number, row in enumerate(rows, start=1):
        _refuse_blank(row[0], path, number=number, what="source")
        if len(row) != expected:
            needed = "2 are needed" if len(counts) == 1 else f"the other lines have {expected}"
            columns = "1 column" if len(row) == 1 else f"{len(row)} columns"
            raise LingoLiteError(
                f"{path}, line {number}: {columns} where {needed}",
                hint="a TSV corpus has the columns source, reference, then any others, separated by single tabs",
            )


def _read_streams(source: Path, references: Sequence[Path]) -> tuple[list[str], list[list[str]]]:
    sources = _read_sentences(source, what="source")
    streams = [_read_sentences(path, what="reference") for path in references]
    for path, stream in zip(references, streams, strict=True):
        if len(stream) != len(sources):
            shorter, line = (path, len(stream)) if len(stream) < len(sources) else (source, len(sources))
            raise LingoLiteError(
                f"{source} has {len(sources):,} lines and {path} has {len(stream):,}",
                hint=f"line n of one translates line n of the other; {shorter} ends after line {line:,}",
            )
    return sources, streams


def _read_sentences(path: Path, *, what: str) -> list[str]:
    lines = list(_read_lines(path))
    for number, line in enumerate(lines, start=1):
        _refuse_blank(line, path, number=number, what=what)
    return lines


def _refuse_blank(text: str, path: Path, *, number: int, what: str) -> None:
    if not text.strip():
        raise LingoLiteError(
            f"{path}, line {number}: the {what} is blank", hint="fill the line, or delete it in every file"
        )


def _read_lines(path: Path) -> Iterator[str]:
    """The lines of a file, without their ends and without a byte order mark."""
    data = read_text_bytes(path)
    stream = io.BytesIO(data)
    offset = stream.seek(len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0)
    for number, line in enumerate(stream, start=1):
        try:
            yield line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            position = offset + error.start
            raise LingoLiteError(
                f"{path}, line {number}: byte {position} (0x{line[error.start]:02x}) is not UTF-8",
                hint=not_utf8_hint(data),
            ) from None
        offset += len(line)


def _digest(sources: list[str], references: list[list[str]], languages: tuple[str, str] | None) -> str:
    content = {"sources": sources, "references": references, "languages": languages}
    return sha256_json(content)
