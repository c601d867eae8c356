"""What of a text can be seen, and texts from outside as people may be shown them.

Owns which characters show nothing, and how the harmful ones are written: where a sentence, the name of a file or a
plugin's message goes to a terminal, a page or Markdown, a control character must not start a terminal escape, and
nothing may turn the direction of what stands beside it. JSON, and files of text, have texts as they are.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
# Letters, marks and symbols without an image of their own, whatever their category: joiners, fillers, variation
# selectors, the empty Braille pattern, tags, noncharacters.
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f\uffa0\ufff0-\ufff8\ufffe\uffff"
    "\U000e0000-\U000e0fff]"
)
# C0 but tab and line feed, DEL and C1: ESC and CSI are among them. Line and paragraph separators; embeddings, overrides
# and isolates of direction; deprecated format and annotation characters; halves of pairs; noncharacters, of which the
# console uses some for itself. Marks of direction and joiners stay: Arabic, Hebrew, Persian and emoji need them.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufdd0-\ufdef\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def has_visible_text(text: str) -> bool:
    """Whether any character shows something: white space, control, format and zero-width characters do not."""
    return any(unicodedata.category(character) not in _UNSEEN_CATEGORIES for character in set(_BLANKS.sub("", text)))


def shown(text: str) -> str:
    r"""`text` with harmful characters written out, such as `\x1b` and `\u202e`; tabs and line feeds stay."""
    return _HARMFUL.sub(_written, text)


def shown_on_a_line(text: str) -> str:
    r"""As `shown`, for a text that must not look like two lines: tabs and line feeds are `\t` and `\n`."""
    return shown(text).replace("\n", "\\n").replace("\t", "\\t")


def escaped_json(document: str) -> str:
    r"""A JSON document with harmful characters as `\u202e`, which parsers read as the same."""
    return _HARMFUL.sub(lambda character: f"\\u{ord(character[0]):04x}", document)


def shown_value(value: Any) -> Any:
    """What a template prints, if it is text, as `shown`; for the `finalize` of a jinja environment."""
    if not isinstance(value, str):
        return value
    return type(value)(shown(value))  # our own markup stays markup


def _written(character: re.Match[str]) -> str:
    code = ord(character[0])
    if character[0] == "\r":
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
