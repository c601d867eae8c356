"""A document: its texts in order, and the same file with their translations.

Owns what every reader of a kind returns, and which reader reads which kind.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import islice
from typing import NamedTuple, Protocol

from lingolite_cli.documents.formatting import sentences_in
from lingolite_cli.documents.recognition import DocumentKind
from lingolite_cli.documents.spans import Span, spliced
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.encodings import not_utf8_hint


class Document(Protocol):
    """What a reader makes of a file."""

    @property
    def texts(self) -> list[str]:
        """What is to be translated, in the order of the file, each on one line."""

    def written(self, translations: Sequence[str]) -> WrittenDocument:
        """The file with `translations` in the places of its texts."""


class WrittenDocument(NamedTuple):
    """A translated file.

    Attributes:
        text: of the file.
        num_dropped: pairs of inline tags that are not in it, because nobody can say around which words.
    """

    text: str
    num_dropped: int = 0


class SplicedDocument:
    """A document of which nothing but the texts changes.

    Args:
        text: of the file.
        spans: where its texts are.
        tags: inline tags, over which a sentence goes on.
        fixed: other changes: start, end and what stands there instead.
    """

    def __init__(
        self,
        text: str,
        spans: Sequence[Span],
        *,
        tags: re.Pattern[str],
        fixed: Sequence[tuple[int, int, str]] = (),
    ) -> None:
        self._text = text
        self._parts = list(sentences_in(text, spans, tags))
        self._fixed = fixed

    @property
    def texts(self) -> list[str]:
        """What is to be translated."""
        return [text for part in self._parts for text in ([part.text] if isinstance(part, Span) else part.texts)]

    def written(self, translations: Sequence[str]) -> WrittenDocument:
        """The file with translations."""
        rest, pieces, num_dropped = iter(translations), list(self._fixed), 0
        for part in self._parts:
            if isinstance(part, Span):
                pieces.append((part.start, part.end, part.written(next(rest))))
            else:
                found, lost = part.written(list(islice(rest, len(part.texts))))
                pieces += found
                num_dropped += lost
        return WrittenDocument(spliced(self._text, pieces), num_dropped)


_READERS = {
    DocumentKind.SUBTITLES: "subtitles",
    DocumentKind.TMX: "interchange",
    DocumentKind.XLIFF: "interchange",
    DocumentKind.HTML: "web_page",
    DocumentKind.MARKDOWN: "markdown",
}
"""Modules beside this one; each has `read(text, languages)`, which `lingolite_cli.documents.document.read` calls."""


def read(data: bytes, kind: DocumentKind, *, name: str, languages: tuple[str, str]) -> Document:
    """Read a document.

    Args:
        data: the file's content, unpacked, its byte order mark included.
        kind: what it is.
        name: of the file, for messages.
        languages: that of its texts, and that of their translations.

    Raises:
        LingoLiteError: it is not UTF-8, not of that kind, or for other languages.
    """
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise LingoLiteError(
            f"{name}, line {line}: not UTF-8: byte {error.start} is {data[error.start]:#04x}",
            hint=f"{not_utf8_hint(data[start:])}; mend the encoding that the file itself names, if it names one",
        ) from None
    module = import_module(f"lingolite_cli.documents.{_READERS[kind]}")
    reader: Callable[[str, tuple[str, str]], Document] = module.read
    try:
        return reader(text, languages)
    except LingoLiteError as error:
        raise LingoLiteError(f"{name}: {error.message}", hint=error.hint, exit_code=error.exit_code) from None
