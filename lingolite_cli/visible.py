"""What of a text can be seen.

Owns which characters show nothing, and how text from outside is written where people read it.
"""

from __future__ import annotations

import re
import unicodedata

_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"})
# Letters, marks and symbols without an image of their own, whatever their category: joiners, fillers, variation
# selectors, the empty Braille pattern, tags, noncharacters.
_BLANKS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufdd0-\ufdef\ufe00-\ufe0f\uffa0\ufff0-\ufff8\ufffe\uffff"
    "\U000e0000-\U000e0fff]"
)


def has_visible_text(text: str) -> bool:
    """Whether any character shows something: white space, control, format and zero-width characters do not."""
    return any(unicodedata.category(character) not in _UNSEEN_CATEGORIES for character in set(_BLANKS.sub("", text)))
