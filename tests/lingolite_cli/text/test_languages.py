"""Tags of languages in all their spellings, and what the letters of a text tell."""

from __future__ import annotations

import pytest

from lingolite_cli.text.languages import language_by_script, primary_language


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        (("zh", "zh-CN", "zh_TW", "zh-Hant", "zh_Hant_HK", "zho_Hans", "cmn", "yue_Hant", "ZH", "Chinese"), "zh"),
        (("ja", "ja-JP", "jpn", "jpn_Jpan", "JA"), "ja"),
        (("ko", "kor_Hang", "ko-KR"), "ko"),
        (("th", "tha_Thai", "th-TH"), "th"),
        (("my", "mya_Mymr", "bur"), "my"),
        (("pt", "pt-BR", "pt_PT"), "pt"),
        (("da", "da-DK"), "da"),
        (("",), ""),
    ],
)
def test_a_tag_means_its_language_whatever_its_region_and_script(tags: tuple[str, ...], language: str) -> None:
    assert {primary_language(tag) for tag in tags} == {language}


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("打开文件。", "zh"),
        ("開啟 GIMP 檔案", "zh"),
        ("ファイルを開く", "ja"),
        ("設定を保存して終了する", "ja"),
        ("파일 열기", "ko"),
        ("เปิดไฟล์", "th"),
        ("បើកឯកសារ", "km"),
        ("Åbn filen", None),
        ("Open 文件", None),
        ("Файл", None),
        ("123 %s", None),
        ("", None),
    ],
)
def test_letters_tell_the_language_where_its_script_does(text: str, language: str | None) -> None:
    assert language_by_script([text]) == language


def test_a_few_names_in_another_script_do_not_matter() -> None:
    assert language_by_script(["保存当前文件到磁盘上", "GIMP"] * 10) == "zh"
    assert language_by_script(["Åbn filen", "北京"] * 10) is None
    assert language_by_script([]) is None
