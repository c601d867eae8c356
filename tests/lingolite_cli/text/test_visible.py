"""Which characters can be seen, and how those that act unseen are written."""

from __future__ import annotations

import json
import sys
import unicodedata

import pytest

from lingolite_cli.text.visible import escaped_json, has_visible_text, shown, shown_on_a_line


@pytest.mark.parametrize("text", ["a", "·", "…", "漢", "👍🏽", "\u0301", "\ue000", "\u200ba", " . ", "\x1b[m"])
def test_text_with_something_to_see(text: str) -> None:
    assert has_visible_text(text)


@pytest.mark.parametrize(
    "text", ["", " \t\r\n", "\u00a0\u3000\u2028", "\u200b\u200c\u200d\u2060\ufeff", "\x00\x7f\x9b"]
)
@pytest.mark.parametrize("blank", ["", "\u3164", "\u2800", "\ufe0f", "\u034f", "\U000e0041", "\u115f", "\ufdd0"])
def test_text_without(text: str, blank: str) -> None:
    assert not has_visible_text(text + blank)


def test_control_characters_and_overrides_of_direction_are_written_out_and_others_stay() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
        acts = (category == "Cc" and character not in "\t\n") or category in ("Cs", "Zl", "Zp")
        acts = acts or direction in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        if acts:
            assert shown(character).isascii()
            assert shown(character).isprintable()
        elif category not in ("Cf", "Cn"):
            assert shown(character) == character


def test_what_is_written_names_the_character() -> None:
    assert shown("a\x1b[31m\x9b\u202e\r\n\tb") == "a\\x1b[31m\\x9b\\u202e\\r\n\tb"
    assert shown_on_a_line("a\n\tb\r\u2028c") == "a\\n\\tb\\r\\u2028c"
    assert shown("שלום \u200f- عربي\u200c 👨\u200d👩") == "שלום \u200f- عربي\u200c 👨\u200d👩"


def test_json_is_read_as_the_same() -> None:
    value = {"a\u202e": ["\x9b\x7f\u2028\ufdd0", "å\n"]}
    document = json.dumps(value, ensure_ascii=False)
    assert json.loads(escaped_json(document)) == value
    assert shown(escaped_json(document)) == escaped_json(document)
