"""Which kind of document a file is: by its name, or by how it begins.

Owns the kinds and how they are told. Plain text is what is none of them; a text that merely mentions a tag or a time
is plain.
"""

from __future__ import annotations

import codecs
import re
from enum import Enum
from pathlib import Path


class DocumentKind(str, Enum):
    """A kind of document; its value is the name used in commands."""

    SUBTITLES = "subtitles"
    TMX = "tmx"
    XLIFF = "xliff"
    HTML = "html"
    MARKDOWN = "markdown"


_BY_SUFFIX = {
    ".srt": DocumentKind.SUBTITLES,
    ".vtt": DocumentKind.SUBTITLES,
    ".tmx": DocumentKind.TMX,
    ".xlf": DocumentKind.XLIFF,
    ".xlif": DocumentKind.XLIFF,
    ".xliff": DocumentKind.XLIFF,
    ".sdlxliff": DocumentKind.XLIFF,
    ".mxliff": DocumentKind.XLIFF,
    ".mqxliff": DocumentKind.XLIFF,
    ".html": DocumentKind.HTML,
    ".htm": DocumentKind.HTML,
    ".xhtml": DocumentKind.HTML,
    ".md": DocumentKind.MARKDOWN,
    ".markdown": DocumentKind.MARKDOWN,
    ".mdown": DocumentKind.MARKDOWN,
    ".mkd": DocumentKind.MARKDOWN,
}
UNSUPPORTED_SUFFIXES = frozenset(
    {".ass", ".ssa", ".sub", ".sbv", ".ttml", ".dfxp", ".po", ".pot", ".ts", ".resx", ".strings", ".arb", ".properties"}
    | {".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".rst", ".adoc", ".tex", ".rtf", ".mdx", ".ipynb"}
)
"""Endings of files with markup that are not read as documents: translated line by line they would be damaged."""

HEAD_BYTES = 4096
_TIME = r"-?\d{1,2}:\d{2}(?::\d{2})?[,.]\d{1,3}"
_BEFORE_ROOT = r"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*"
_BY_CONTENT = (
    (DocumentKind.SUBTITLES, rf"\s*(?:WEBVTT(?:\s|$)|\d+[ \t]*\r?\n{_TIME}[ \t]*-->[ \t]*{_TIME})"),
    (DocumentKind.TMX, rf"{_BEFORE_ROOT}(?:<!DOCTYPE tmx\b|<tmx[\s>])"),
    (DocumentKind.XLIFF, rf"{_BEFORE_ROOT}<(?:\w+:)?xliff[\s>]"),
    (DocumentKind.HTML, rf"{_BEFORE_ROOT}<(?i:!doctype html|html|head|body)\b"),
    # A heading first, and something else that plain text does not have: another, a link with its address, or a fence.
    (DocumentKind.MARKDOWN, r"\s*#{1,6} \S.*?\n(?:#{1,6} \S|```|~~~|[^\n]*\]\([^)\s]+\))"),
    (DocumentKind.MARKDOWN, r"---[ \t]*\r?\n(?:[\w-]+:[^\n]*\n)+---[ \t]*\r?\n"),
)


def kind_by_name(path: Path) -> DocumentKind | None:
    """What the ending of a file tells; how it is packed does not matter."""
    return _BY_SUFFIX.get(_suffix(path))


def is_unsupported(path: Path) -> bool:
    """Whether a file has markup of a kind that is not read, by its ending."""
    return _suffix(path) in UNSUPPORTED_SUFFIXES


def kind_by_content(head: bytes) -> DocumentKind | None:
    """What the beginning of a file tells.

    Args:
        head: up to `HEAD_BYTES`, unpacked.
    """
    text = head[:HEAD_BYTES].removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")
    return next((kind for kind, pattern in _BY_CONTENT if re.match(pattern, text, re.DOTALL)), None)


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz").removesuffix(".zst")).suffix
