"""Languages by their tags, and by their script.

Owns which language a tag means, whatever its region, script or standard (`zh-CN`, `zh_Hant`, `zho_Hans`, `jpn`), and
what a text's letters tell where no tag says it. Tags in artifacts and corpora stay as they are written there.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from itertools import islice

_SAME = {
    "zh": ("zho", "chi", "cmn", "yue", "wuu", "nan", "hak", "lzh", "hsn", "gan", "chinese", "mandarin", "cantonese"),
    "ja": ("jpn", "jp", "japanese"),
    "ko": ("kor", "kr", "korean"),
    "th": ("tha", "thai"),
    "km": ("khm", "khmer"),
    "lo": ("lao",),
    "my": ("mya", "bur", "burmese"),
    "bo": ("bod", "tib", "dz", "dzo", "tibetan", "dzongkha"),
}
_PRIMARY = {tag: language for language, tags in _SAME.items() for tag in tags}
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "THAI": "th",
    "KHMER": "km",
    "LAO": "lo",
    "MYANMAR": "my",
    "TIBETAN": "bo",
}
_SAMPLE = 500  # texts that are looked at
_MIN_SHARE, _MIN_KANA = 0.5, 0.1  # of letters; Japanese is told from Chinese by kana, between characters of both


_SPACELESS = frozenset({"zh", "ja", "th", "km", "lo", "my", "bo"})


def has_spaces(tag: str) -> bool:
    """Whether a language puts spaces between sentences."""
    return primary_language(tag) not in _SPACELESS


def primary_language(tag: str) -> str:
    """The language of a tag, by ISO 639-1 where this module knows of it: `zh` for `zho_Hans`, `pt` for `pt-BR`."""
    first = tag.strip().lower().replace("_", "-").split("-")[0]
    return _PRIMARY.get(first, first)


def is_same_tag(one: str, other: str) -> bool:
    """Whether two tags are written alike, but for case and the sign between their parts: `pt-BR` and `pt_br`."""
    return one.lower().replace("_", "-") == other.lower().replace("_", "-")


def language_by_script(texts: Iterable[str]) -> str | None:
    """The language that most letters are of, among those whose script tells it; None for all others.

    Args:
        texts: the first of them are looked at.
    """
    letters = Counter(letter for text in islice(texts, _SAMPLE) for letter in text if letter.isalpha())
    if not letters:
        return None
    found: Counter[str] = Counter()
    for letter, count in letters.items():
        found[_SCRIPTS.get(unicodedata.name(letter, "?").split()[0].split("-")[0], "")] += count
    if found["ja"] >= _MIN_KANA * letters.total():
        found["ja"] += found.pop("zh", 0)
    ((language, count),) = found.most_common(1)
    return language if language and count >= _MIN_SHARE * letters.total() else None
