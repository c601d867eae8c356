"""Which scripts a language is written in, and whether a text is written in another.

Owns a guess that is right or silent: two languages of one script cannot be told apart here, and nothing is said of
them. Short texts, texts of several scripts and languages that this module does not know are no reason for a remark.
"""

from __future__ import annotations

import unicodedata
from collections import Counter

from lingolite_cli.text.languages import primary_language

_LANGUAGES = {
    "LATIN": "af ast br ca ceb cs cy da de en eo es et eu fi fil fo fr fy ga gd gl hr ht hu id ig is it jv la lb lg ln "
    "lt lv mg mi mt nb nl nn no oc pl pt qu ro sk sl sm sn so sq st su sv sw tl tn tr vi wo xh yo zu",
    "CYRILLIC": "ab ba be bg ce cv kv ky mk mn os ru tg uk",
    "GREEK": "el",
    "HEBREW": "he iw yi",
    "ARABIC": "ar arz ckb fa ps sd ug ur",
    "DEVANAGARI": "bho hi mai mr ne sa",
    "BENGALI": "as bn",
    "GUJARATI": "gu",
    "TAMIL": "ta",
    "TELUGU": "te",
    "KANNADA": "kn",
    "MALAYALAM": "ml",
    "SINHALA": "si",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my",
    "TIBETAN": "bo",
    "GEORGIAN": "ka",
    "ARMENIAN": "hy",
    "ETHIOPIC": "am ti",
    "CJK": "ja ko zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
}
_SUBTAGS = {
    "latn": {"LATIN"},
    "cyrl": {"CYRILLIC"},
    "arab": {"ARABIC"},
    "grek": {"GREEK"},
    "hebr": {"HEBREW"},
    "deva": {"DEVANAGARI"},
    "hans": {"CJK"},
    "hant": {"CJK"},
    "jpan": {"CJK", "HIRAGANA", "KATAKANA"},
    "hang": {"HANGUL", "CJK"},
    "kore": {"HANGUL", "CJK"},
}
_NAMES = {"HIRAGANA": "Japanese", "CJK": "Chinese characters", "MYANMAR": "Burmese", "ETHIOPIC": "Ge'ez"}
_MIN_LETTERS, _MIN_LETTERS_CJK = 12, 6
_MIN_WORDS = 3
_MIN_SHARE = 0.9
_MIN_KANA = 0.1
"""Of letters: with so many of them, Chinese characters are Japanese."""


def scripts_of(tag: str) -> frozenset[str]:
    """The scripts of a language, as Unicode begins the names of their letters; none where they are not known."""
    for subtag in tag.lower().replace("_", "-").split("-")[1:]:
        if subtag in _SUBTAGS:
            return frozenset(_SUBTAGS[subtag])
    language = primary_language(tag)
    return frozenset(script for script, languages in _LANGUAGES.items() if language in languages.split())


def foreign_script(text: str, scripts: frozenset[str]) -> str | None:
    """The script that a text is clearly written in, where it is none of `scripts`.

    Args:
        text: a line or more.
        scripts: of the language that it should be in; where there are none, nothing is foreign.

    Returns:
        Its name for people. None for text without letters, of too few, or of several scripts.
    """
    letters = Counter(letter for letter in text if letter.isalpha())
    if not scripts or letters.total() < _MIN_LETTERS_CJK:
        return None
    found: Counter[str] = Counter()
    for letter, count in letters.items():
        found[unicodedata.name(letter, "?").split()[0].split("-")[0]] += count
    kana = found["HIRAGANA"] + found["KATAKANA"]
    if kana >= _MIN_KANA * letters.total():
        found = Counter({**found, "HIRAGANA": kana + found["CJK"]})
    ((script, count),) = found.most_common(1)
    if script not in _LANGUAGES or script in scripts or count < _MIN_SHARE * letters.total():
        return None
    is_spaceless = script in ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")
    if not is_spaceless and (letters.total() < _MIN_LETTERS or len(text.split()) < _MIN_WORDS):
        return None
    return _NAMES.get(script, script.capitalize())
