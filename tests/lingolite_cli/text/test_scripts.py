"""A text in a script that the model cannot read: told, or nothing is said."""

from __future__ import annotations

import pytest

from lingolite_cli.text.scripts import foreign_script, scripts_of


@pytest.mark.parametrize(
    ("language", "text", "script"),
    [
        ("en", "Привет, как твои дела сегодня?", "Cyrillic"),
        ("da", "Γεια σου, τι κάνεις σήμερα;", "Greek"),
        ("en", "这是一个简单的句子", "Chinese characters"),
        ("en", "これは日本語の文です。", "Japanese"),
        ("zh-Hans", "これは日本語の文です。", "Japanese"),
        ("ru", "How are you doing today?", "Latin"),
        ("sr-Latn", "Како си ти данас, пријатељу?", "Cyrillic"),
        ("eng_Latn", "Как твои дела сегодня?", "Cyrillic"),
        ("ar", "How are you doing today?", "Latin"),
    ],
)
def test_a_clear_text_in_another_script_is_told(language: str, text: str, script: str) -> None:
    assert foreign_script(text, scripts_of(language)) == script


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Hvordan har du det i dag?"),  # the same script
        ("en", "Привет"),  # short
        ("en", "Владимир Владимирович"),  # a name
        ("en", "The word привет means hello in Russian"),  # mixed
        ("en", "東京"),
        ("en", "12 345 €, 67 %"),
        ("en", ""),
        ("en", "𝐇𝐞𝐥𝐥𝐨 𝐦𝐲 𝐝𝐞𝐚𝐫 𝐟𝐫𝐢𝐞𝐧𝐝𝐬"),  # mathematical letters
        ("sr", "How are you doing today?"),  # written in both
        ("xx", "Как твои дела сегодня?"),  # nobody knows
        ("ja", "東京都渋谷区代々木公園"),
        ("ko", "안녕하세요 오늘은 어떻습니까"),
        ("el", "Microsoft Windows"),
    ],
)
def test_where_it_is_not_clear_nothing_is_said(language: str, text: str) -> None:
    assert foreign_script(text, scripts_of(language)) is None
