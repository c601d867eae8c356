"""What `lingolite translate` reads: texts from the command line, lines of a file or of stdin, or a document.

Owns how a source becomes texts, and that a document is never taken for lines.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lingolite_cli.documents.recognition import DocumentKind, is_unsupported, kind_by_content, kind_by_name
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.files.special import is_stream
from lingolite_cli.files.text import beginning, decoded_lines, lines_of, read_lines, read_text_bytes, unpacked
from lingolite_cli.plugins.extras import DOCUMENTS

if TYPE_CHECKING:
    import io

    from lingolite_cli.documents.document import Document

PLAIN = "text"
"""Name, in commands, of what is no document."""


class Source(msgspec.Struct, frozen=True):
    """Texts in order, and the document that they are of, if they are of one."""

    texts: Iterable[str]
    document: Document | None = None


def typed_texts(texts: list[str]) -> Source:
    """Texts from the command line.

    Raises:
        LingoLiteError: the shell passed bytes that are no text.
    """
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise LingoLiteError(f"{text!r}: not UTF-8", hint="check the terminal's encoding") from None
    return Source(texts)


def file_texts(file: Path, *, kind: str | None, languages: tuple[str, str]) -> Source:
    """The lines of a file, or the texts of a document.

    Args:
        file: plain or gzip.
        kind: what the user says that it is; None leaves it to its name and its beginning.
        languages: source and target.

    Raises:
        LingoLiteError: it cannot be read, or it is a document and cannot be read as one.
    """
    found = _asked(kind)
    if kind is None:
        if is_unsupported(file):
            raise LingoLiteError(
                f"{file}: a file with markup of a kind that is not read; line by line it would be damaged",
                hint=f"take the text out of it; or pass --document {PLAIN} if each line is a text",
            )
        found = kind_by_name(file) or (None if is_stream(file) else _kind_of(file))
    if found is not None:
        return _document(read_text_bytes(file), found, name=str(file), languages=languages)
    return Source(decoded_lines(lines_of(file), name=str(file)))


def check_is_lines(file: Path, *, kind: str | None) -> None:
    """Refuse a document where lines are read.

    Args:
        file: may be a pipe, of which nothing is read.
        kind: what the user says that it is; None leaves it to its name and its beginning.

    Raises:
        LingoLiteError: it is a document, or it cannot be read.
    """
    found = _asked(kind)
    if kind is None:
        found = kind_by_name(file) or (None if is_stream(file) else _kind_of(file))
    if found is not None or (kind is None and is_unsupported(file)):
        raise LingoLiteError(
            f"{file}: a document has no lines, and a corpus is made of lines",
            hint=f"pass --document {PLAIN} if each line is a text, or --output FILE for a translated document",
        )


def stdin_texts(*, kind: str | None, languages: tuple[str, str]) -> Source:
    """As `file_texts`, of stdin; lines that are typed at a terminal are lines."""
    name = "stdin"
    found = _asked(kind)
    if sys.stdin.isatty():
        return Source(decoded_lines(read_lines(sys.stdin.buffer, name=name), name=name))
    stream: io.BufferedReader = unpacked(sys.stdin.buffer, name=name)
    if kind is None:
        found = kind_by_content(beginning(stream, name=name))
    if found is not None:
        return _document(stream.read(), found, name=name, languages=languages)
    return Source(decoded_lines(read_lines(stream, name=name), name=name))


def remarked(texts: Iterable[str], language: str, warn: Callable[[str], None]) -> Iterator[str]:
    """`texts`, and a warning of the first that is clearly not in `language`."""
    from lingolite_cli.text.scripts import foreign_script, scripts_of

    scripts = scripts_of(language)
    is_told = False
    for number, text in enumerate(texts, start=1):
        script = None if is_told else foreign_script(text, scripts)
        if script is not None:
            is_told = True
            warn(f"sentence {number} is written in {script}, and the model translates from `{language}`")
        yield text


def _asked(kind: str | None) -> DocumentKind | None:
    if kind is None or kind == PLAIN:
        return None
    try:
        return DocumentKind(kind)
    except ValueError:
        known = [PLAIN, *(kind.value for kind in DocumentKind)]
        raise LingoLiteError(f"--document {kind}: no such kind", hint=did_you_mean(kind, known)) from None


def _kind_of(file: Path) -> DocumentKind | None:
    try:
        with file.open("rb") as stream:
            return kind_by_content(beginning(unpacked(stream, name=str(file)), name=str(file)))
    except OSError as error:
        raise LingoLiteError(f"cannot read {file}: {error.strerror}") from None


def _document(data: bytes, kind: DocumentKind, *, name: str, languages: tuple[str, str]) -> Source:
    if not DOCUMENTS.is_installed:
        raise LingoLiteError(
            f"{name} is a document ({kind.value}); line by line it would be damaged",
            hint=f"run `{DOCUMENTS.install}`; or pass --document {PLAIN} if each line is a text",
        )
    from lingolite_cli.documents.document import read

    document = read(data, kind, name=name, languages=languages)
    return Source(document.texts, document)
