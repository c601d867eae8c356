"""Markdown (CommonMark, with tables): paragraphs, headings, list items, quotes and cells.

Owns which lines are text, told by markdown-it, and what inside of them is markup. Front matter, code, addresses of
links and references are kept, and so is where lines end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lingolite_cli.documents.document import SplicedDocument
from lingolite_cli.documents.formatting import MARKDOWN
from lingolite_cli.documents.spans import TAG, Span, Syntax, spans_in, syntax
from lingolite_cli.documents.web_page import html_spans

_ADDRESS = r"\((?:<[^<>\n]*>|[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)"
_PATTERNS = (
    r"(?P<fence>`+)(?!`).+?(?<!`)(?P=fence)(?!`)",
    r"\$\$.{1,2000}?\$\$|\$[^\s$](?:[^$\n]*[^\s$])?\$(?!\d)",
    rf"\]{_ADDRESS}|\]\[[^\]]*\]|\[\^[^\]]+\]|\[[ xX]\](?=\s)|^\[![A-Z]+\]|!?\[|\]",
    rf"<[a-z][\w+.-]*:[^<>\s]*>|<!--.{0, 2000}?-->|{TAG}",
    r"\*+|~~|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)",
    r"\\[!-/:-@\[-`{-~]|&#?\w+;|\{#[^{}]*\}|\{:[^{}]*\}",
)
_HARD_BREAK = re.compile(r"  +\r?\n|\\\r?\n")
_FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\r?\n.*?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)


def read(text: str, languages: tuple[str, str]) -> SplicedDocument:
    """The texts of a file."""
    return SplicedDocument(text, _Reader(text, languages).spans(), tags=MARKDOWN)


def _syntax(references: Iterable[str]) -> Syntax:
    """Markdown's, in a file with these labels: one that stands alone, as `[ref]`, is text and names an address."""
    labels = "|".join(r"\s+".join(map(re.escape, label.split())) for label in references)
    return syntax(*([rf"\[(?i:{labels})\](?![\[(])"] if labels else []), *_PATTERNS)


class _Reader:
    """Finds the content of markdown-it's tokens in the lines of the file: it tells lines, and no columns."""

    def __init__(self, text: str, languages: tuple[str, str]) -> None:
        self._text = text
        self._languages = languages
        self._lines = [0, *(match.end() for match in re.finditer("\r\n?|\n", text))]
        self._cursor = 0

    def spans(self) -> list[Span]:
        """The texts."""
        front = _FRONT_MATTER.match(self._text)
        # Blank lines in its place keep the numbers of the others.
        body = self._text
        if front is not None:
            num_lines = sum(start <= front.end() for start in self._lines[1:])
            body = "\n" * num_lines + self._text[front.end() :]
        environment: dict[str, Any] = {}
        parser = MarkdownIt("commonmark").enable("table").enable("strikethrough")
        tokens = parser.parse(body.removeprefix("\ufeff"), environment)
        how = _syntax(environment.get("references", {}))
        found: list[Span] = []
        row: list[int] | None = None
        for token in tokens:
            if token.type == "tr_open":
                row = token.map
            elif token.type == "html_block" and token.map is not None:
                found += html_spans(self._text, *self._range(token.map), languages=self._languages)
            elif token.type == "inline" and (token.map or row) is not None:
                for lines in self._texts_of(token, token.map or row or []):
                    found += spans_in(self._text, lines, how)
        return found

    def _range(self, numbers: list[int]) -> tuple[int, int]:
        ends = [*self._lines, len(self._text)]
        return ends[numbers[0]], ends[min(numbers[1], len(ends) - 1)]

    def _texts_of(self, token: Token, numbers: list[int]) -> Iterator[list[tuple[int, int]]]:
        """The places of a token's lines, split at hard breaks."""
        start, end = self._range(numbers)
        self._cursor = max(self._cursor, start)
        found: list[tuple[int, int]] = []
        for line in filter(None, map(str.strip, token.content.split("\n"))):
            words = line.removesuffix("\\") or line
            place = self._text.find(words, self._cursor, end)
            if place < 0:  # its content is not what stands in the file, as where a cell has an escaped bar
                continue
            if found and _HARD_BREAK.match(self._text, found[-1][1]):
                yield found
                found = []
            self._cursor = place + len(words)
            found.append((place, self._cursor))
        yield found
