"""HTML: the text of a page, and of the attributes that are read.

Owns what in a page is text. Tags, comments, scripts, styles, code, preformatted text, form fields and everything that
says `translate="no"` are kept; the page's own `lang` becomes that of the translations.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

from lingolite_cli.documents.document import SplicedDocument
from lingolite_cli.documents.formatting import HTML
from lingolite_cli.documents.spans import TAG, Span, Syntax, line_parts, spans_in, syntax
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.text.languages import primary_language


def _escaped(text: str) -> str:
    return html.escape(text, quote=False)


_KEPT = frozenset({"script", "style", "code", "pre", "kbd", "samp", "var", "tt", "textarea", "svg", "math", "template"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_ATTRIBUTES = frozenset({"alt", "title", "placeholder", "aria-label", "summary", "abbr"})
_METADATA = frozenset(
    {"description", "keywords", "og:title", "og:description", "og:site_name", "og:image:alt"}
    | {"twitter:title", "twitter:description", "twitter:image:alt"}
)
_BUTTONS = frozenset({"submit", "button", "reset"})
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))""")
_CHARSET = re.compile(r"""<meta\b[^>]*\bcharset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_TEXT = syntax(TAG, decode=html.unescape, encode=_escaped)
_QUOTED = {
    '"': syntax(decode=html.unescape, encode=lambda text: _escaped(text).replace('"', "&quot;")),
    "'": syntax(decode=html.unescape, encode=lambda text: _escaped(text).replace("'", "&#39;")),
}


def read(text: str, languages: tuple[str, str]) -> SplicedDocument:
    """The texts of a page.

    Raises:
        LingoLiteError: it says that it is not UTF-8.
    """
    charset = _CHARSET.search(text)
    if charset is not None and charset[1].lower() not in _UTF8:
        raise LingoLiteError(
            f"the page says that it is written in {charset[1]}",
            hint=f"convert it with `iconv -f {charset[1]} -t utf-8`, and change its charset to utf-8",
        )
    reader = PageReader(text, languages=languages)
    return SplicedDocument(text, reader.spans, tags=HTML, fixed=reader.fixed)


class PageReader(HTMLParser):
    """The texts of a page, or of HTML inside of another document.

    Args:
        text: of the file.
        languages: source and target.
        start: where the HTML begins.
        end: where it ends; None is the end of the text.

    Attributes:
        spans: its texts.
        fixed: attributes that name the language, with their new value.
    """

    def __init__(self, text: str, *, languages: tuple[str, str], start: int = 0, end: int | None = None) -> None:
        super().__init__(convert_charrefs=False)
        self.spans: list[Span] = []
        self.fixed: list[tuple[int, int, str]] = []
        self._text = text
        self._languages = languages
        self._kept: list[str] = []
        self._text_start: int | None = None
        page = text[start:end]
        self._lines = [start, *(start + match.end() for match in re.finditer("\n", page))]
        # Behind the last tag nothing is markup, but html.parser takes time by the square of what begins like it there.
        markup = page[: page.rfind(">") + 1]
        try:
            self.feed(markup)
            self.close()
        except AssertionError as error:  # html.parser's word for a declaration that is none
            raise LingoLiteError(f"not HTML: {error}", hint="mend it, or save it again") from None
        self._end_text(start + len(markup))
        if "<" not in page[len(markup) :]:
            self._text_start = start + len(markup)
            self._end_text(start + len(page))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Text ends; inside of an element that is kept, none begins."""
        self._end_text(self._place)
        if not self._kept:
            self._read_attributes(tag, {name: value or "" for name, value in attrs})
        if tag in _VOID:
            return
        given = dict(attrs)
        is_kept = tag in _KEPT or given.get("translate") == "no" or "notranslate" in (given.get("class") or "").split()
        if tag == self._kept[-1] if self._kept else is_kept:
            self._kept.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element without content."""
        self._end_text(self._place)
        if not self._kept:
            self._read_attributes(tag, {name: value or "" for name, value in attrs})

    def handle_endtag(self, tag: str) -> None:
        """Text ends."""
        self._end_text(self._place)
        if self._kept and tag == self._kept[-1]:
            self._kept.pop()

    def handle_data(self, data: str) -> None:
        """Text goes on."""
        if self._text_start is None:
            self._text_start = self._place

    def handle_entityref(self, name: str) -> None:
        """Text goes on: `&amp;`."""
        self.handle_data(name)

    def handle_charref(self, name: str) -> None:
        """Text goes on: `&#38;`."""
        self.handle_data(name)

    def handle_comment(self, data: str) -> None:
        """Text ends."""
        self._end_text(self._place)

    def handle_decl(self, decl: str) -> None:
        """Text ends."""
        self._end_text(self._place)

    def handle_pi(self, data: str) -> None:
        """Text ends."""
        self._end_text(self._place)

    def unknown_decl(self, data: str) -> None:
        """Text ends."""
        self._end_text(self._place)

    @property
    def _place(self) -> int:
        """Where in the file the parser is."""
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _end_text(self, end: int) -> None:
        start, self._text_start = self._text_start, None
        if start is not None and not self._kept:
            self.spans += spans_in(self._text, line_parts(self._text, start, end), _TEXT)

    def _read_attributes(self, tag: str, given: dict[str, str]) -> None:
        markup, place = self.get_starttag_text() or "", self._place
        for match in _ATTRIBUTE.finditer(markup, len(tag) + 1):
            name = match[1].lower()
            group = match.lastindex or 0
            start, end = place + match.start(group), place + match.end(group)
            if (
                name == "lang"
                and tag == "html"
                and primary_language(match[group]) == primary_language(self._languages[0])
            ):
                self.fixed.append((start, end, self._languages[1]))
            elif _is_text(tag, name, given):
                how = _QUOTED.get(self._text[start - 1])
                self.spans += [] if how is None else _attribute_spans(self._text, start, end, how)


def _attribute_spans(text: str, start: int, end: int, how: Syntax) -> Iterator[Span]:
    return spans_in(text, line_parts(text, start, end), how)


def _is_text(tag: str, name: str, given: dict[str, str]) -> bool:
    """Whether an attribute is read by people."""
    if given.get("translate") == "no":
        return False
    if tag == "meta":
        return name == "content" and (given.get("name") or given.get("property") or "").lower() in _METADATA
    if tag == "input" and name == "value":
        return given.get("type", "").lower() in _BUTTONS
    return name in _ATTRIBUTES


def html_spans(text: str, start: int, end: int, *, languages: tuple[str, str]) -> Sequence[Span]:
    """The texts of a piece of HTML in another document."""
    return PageReader(text, languages=languages, start=start, end=end).spans
