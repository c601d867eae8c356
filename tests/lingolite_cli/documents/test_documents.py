"""Documents: what is text in them changes, and nothing else does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lingolite_cli.documents.document import read
from lingolite_cli.documents.recognition import DocumentKind, kind_by_content, kind_by_name
from lingolite_cli.errors import LingoLiteError

SRT = """\
\ufeff1
00:00:01,000 --> 00:00:03,500
Good morning, captain.

2
00:00:04,000 --> 00:00:06,250
<i>The ship sails
at noon.</i>

7
00:00:07,000 --> 00:00:09,000 X1:010 X2:020 Y1:030 Y2:040
{\\an8}- Who is there?
- It is <b>only</b> me.

8
00:00:10,000 --> 00:00:12,000
♪ We sail away ♪

1984
"""
VTT = """\
WEBVTT - Harbour
Kind: captions

STYLE
::cue { color: red }

NOTE This is a note

intro
00:01.000 --> 00:03.000 align:start position:10%
<v Captain>Good <c.loud>morning</c>, sailor.
"""
TMX = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
  <header creationtool="own" segtype="sentence" o-tmf="x" adminlang="en" srclang="en" datatype="plaintext"/>
  <body>
    <tu tuid="a1">
      <prop type="x-domain">ships</prop>
      <tuv xml:lang="en-GB"><seg>Open <bpt i="1">&lt;b&gt;</bpt>file<ept i="1">&lt;/b&gt;</ept> &amp; read.</seg></tuv>
    </tu>
    <tu tuid="a2">
      <tuv xml:lang="en"><seg>Close it.</seg></tuv>
      <tuv xml:lang="da"><seg>Luk den.</seg></tuv>
    </tu>
  </body>
</tmx>
"""
XLIFF = """\
<?xml version="1.0" encoding="UTF-8"?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:1.2" version="1.2">
  <file original="app.html" source-language="en" target-language="da" datatype="html">
    <body>
      <!-- the menu -->
      <trans-unit id="open" resname="a">
        <source>Open <g id="1">the file</g> <x id="2"/> now, {name}.</source>
        <note>menu</note>
      </trans-unit>
      <trans-unit id="brand" translate="no">
        <source>LingoLite</source>
      </trans-unit>
      <trans-unit id="many">
        <source>You have %1$d messages.</source>
        <target state="needs-translation">You have %1$d messages.</target>
      </trans-unit>
      <trans-unit id="done">
        <source>Close</source>
        <target state="final">Luk</target>
      </trans-unit>
    </body>
  </file>
</xliff>
"""
XLIFF_2 = """\
<?xml version="1.0" encoding="UTF-8"?>
<xliff xmlns="urn:oasis:names:tc:xliff:document:2.0" version="2.0" srcLang="en" trgLang="da">
  <file id="f1">
    <unit id="u1">
      <segment id="s1" state="initial">
        <source>Press <pc id="1">Save</pc> <ph id="2"/> first.</source>
      </segment>
    </unit>
  </file>
</xliff>
"""
HTML = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>The harbour</title>
<meta name="description" content='Ships &amp; boats'>
<style>p { color: red; }</style>
<script>var a = "Hello <p>";</script></head>
<body class='x'>
<!-- a remark -->
<h1 id="top">Good   morning</h1>
<p>The <b>ship</b> sails at <a href="/noon?a=1&amp;b=2" title="At noon">noon</a>,
and   returns.<br/>
Bring <code>ls -l</code> a coat. <span translate="no">ACME Ltd</span></p>
<img src=a.png alt="A boat"><input type="hidden" value="secret word"><input type=submit value="Send">
<ul>
  <li>Two <!-- inner --> boats
</ul>
<pre>x = one</pre>
Bare text &copy; 2024.
</body>
</html>
"""
MARKDOWN = """\
---
title: The harbour
---

# The harbour {#harbour}

The ship **sails** at [noon](https://x.org/a_b "At noon"), and
returns with `ls -l` and `` a ` b ``.

* One boat
* [ ] Two boats
    * nested

1) first
2) second

```python
x = "Hello"
```

    indented code

| Name | Size |
|------|:----:|
| Boat | `two` |

> A quote
> in two lines.

![A boat](a.png)

Setext heading
==============

<div align="center">
 Raw <b>markup</b>
</div>

Line with a break  
and \\*escape\\* &copy; <https://auto.link>, see [ref] and [text][ref].[^1]

[ref]: https://x.org "Title"
[^1]: A footnote.
"""

DOCUMENTS = {
    "a.srt": SRT,
    "a.vtt": VTT,
    "a.tmx": TMX,
    "a.xlf": XLIFF,
    "b.xliff": XLIFF_2,
    "a.html": HTML,
    "a.md": MARKDOWN,
}
EN_DA = ("en", "da")


def translated(name: str, text: str, languages: tuple[str, str] = EN_DA) -> str:
    """The document with each text in capitals."""
    kind = kind_by_name(Path(name))
    assert kind is not None
    document = read(text.encode(), kind, name=name, languages=languages)
    return document.written([words.upper() for words in document.texts]).text


@pytest.mark.parametrize("name", ["a.srt", "a.vtt", "a.html", "a.md"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_a_document_whose_texts_stay_is_the_same_byte_by_byte(name: str, end: str) -> None:
    text = DOCUMENTS[name].replace("\n", end)
    kind = kind_by_name(Path(name))
    assert kind is not None
    document = read(text.encode(), kind, name=name, languages=("en", "en"))
    assert document.texts
    assert document.written(document.texts).text == text.replace("Good   morning", "Good morning").replace(
        "and   returns", "and returns"
    ).replace("text &copy;", "text ©")


def test_cues_keep_their_numbers_times_places_tags_and_lines() -> None:
    expected = (
        SRT.replace("Good morning, captain.", "GOOD MORNING, CAPTAIN.")
        .replace("The ship sails\nat noon.", "THE SHIP SAILS\nAT NOON.")
        .replace("Who is there?", "WHO IS THERE?")
        .replace("It is <b>only</b> me", "IT IS <b>ONLY</b> ME")
        .replace("We sail away", "WE SAIL AWAY")
    )
    assert translated("a.srt", SRT) == expected
    captions = VTT.replace("Good <c.loud>morning</c>, sailor", "GOOD <c.loud>MORNING</c>, SAILOR")
    assert translated("a.vtt", VTT) == captions


def test_a_translation_of_another_length_keeps_the_number_of_lines() -> None:
    document = read(SRT.encode(), DocumentKind.SUBTITLES, name="a.srt", languages=EN_DA)
    place = document.texts.index("The ship sails at noon.")
    for translation in ("Skib", "Skibet, som vi alle kender, sejler klokken tolv", ""):
        texts = [translation if number == place else text for number, text in enumerate(document.texts)]
        assert document.written(texts).text.count("\n") == SRT.count("\n")


def test_a_page_keeps_tags_attributes_comments_scripts_and_code() -> None:
    assert translated("a.html", HTML) == (
        HTML.replace('lang="en"', 'lang="da"')
        .replace("The harbour", "THE HARBOUR")
        .replace("Ships &amp; boats", "SHIPS &amp; BOATS")
        .replace("Good   morning", "GOOD MORNING")
        .replace("The <b>ship</b> sails at", "THE <b>SHIP</b> SAILS AT")
        .replace('title="At noon">noon</a>,\nand   returns.', 'title="AT NOON">NOON</a>,\nAND RETURNS.')
        .replace("Bring", "BRING")
        .replace("a coat.", "A COAT.")
        .replace('alt="A boat"', 'alt="A BOAT"')
        .replace('value="Send"', 'value="SEND"')
        .replace("Two <!-- inner --> boats", "TWO <!-- inner --> BOATS")
        .replace("Bare text &copy; 2024.", "BARE TEXT © 2024.")
    )


def test_what_html_reserves_is_escaped_in_translations() -> None:
    page = b"<p title=\"a\">word</p><p title='b'>word</p>"
    document = read(page, DocumentKind.HTML, name="a.html", languages=EN_DA)
    written = document.written(['x"y<z', "1 < 2 & 3", "it's", "plain"]).text
    assert written == "<p title=\"x&quot;y&lt;z\">1 &lt; 2 &amp; 3</p><p title='it&#39;s'>plain</p>"


def test_markdown_keeps_its_markup_code_addresses_and_lines() -> None:
    kept = r"\]\([^)]*\)|<[^>]*>|\[ref\]:.*|^    indented code|```python\n.*\n```|---\n.*\n---\n|\{#\w+\}|`[^`\n]+`"
    written = translated("a.md", MARKDOWN)
    assert re.findall(kept, written, re.M) == re.findall(kept, MARKDOWN, re.M)
    assert [line[:2] for line in written.splitlines() if not line[:2].isalpha()] == [
        line[:2] for line in MARKDOWN.splitlines() if not line[:2].isalpha()
    ]
    assert (
        'THE SHIP **SAILS** AT [NOON](https://x.org/a_b "At noon"), AND\nRETURNS WITH `ls -l` AND `` a ` b ``.'
        in written
    )
    assert "| NAME | SIZE |\n|------|:----:|\n| BOAT | `two` |" in written
    assert "> A QUOTE\n> IN TWO LINES." in written
    # A label that stands alone is the name of an address too.
    assert "LINE WITH A BREAK  \nAND \\*ESCAPE\\* &copy; <https://auto.link>, SEE [ref] AND [TEXT][ref].[^1]" in written


def test_xliff_gets_targets_beside_their_sources_and_inline_elements_stay() -> None:
    written = translated("a.xlf", XLIFF)
    assert written == XLIFF.replace(
        "        <note>menu</note>",
        '        <target>OPEN <g id="1">THE FILE</g> <x id="2"/> NOW, {name}.</target>\n        <note>menu</note>',
    ).replace(
        '<target state="needs-translation">You have %1$d messages.',
        '<target state="needs-review-translation">YOU HAVE %1$d MESSAGES.',
    )
    second = translated("b.xliff", XLIFF_2)
    assert second == XLIFF_2.replace("initial", "translated").replace(
        "first.</source>\n",
        'first.</source>\n        <target>PRESS <pc id="1">SAVE</pc> <ph id="2"/> FIRST.</target>\n',
    )


def test_tmx_gets_variants_in_the_target_language_and_keeps_those_that_are_there() -> None:
    assert translated("a.tmx", TMX) == TMX.replace(
        "&amp; read.</seg></tuv>\n",
        "&amp; read.</seg></tuv>\n"
        '      <tuv xml:lang="da"><seg>OPEN <bpt i="1">&lt;b&gt;</bpt>FILE<ept i="1">&lt;/b&gt;</ept> &amp; READ.</seg>'
        "</tuv>\n",
    )


def test_files_for_other_languages_are_refused() -> None:
    with pytest.raises(LingoLiteError, match='target-language="da", and the model translates en to fr'):
        translated("a.xlf", XLIFF, languages=("en", "fr"))
    with pytest.raises(LingoLiteError, match='srcLang="en"'):
        translated("b.xliff", XLIFF_2, languages=("de", "da"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.xlf", XLIFF[:200], "not well-formed"),
        ("a.tmx", "<tmx", "not well-formed"),
        ("a.xlf", "<html/>", "neither TMX nor XLIFF"),
        ("a.html", HTML.replace('charset="utf-8"', 'charset="iso-8859-1"'), "says that it is written in iso-8859-1"),
        ("a.tmx", TMX.replace("UTF-8", "windows-1252"), "says that it is written in windows-1252"),
    ],
    ids=["cut", "no-tmx", "no-xliff", "latin-page", "latin-tmx"],
)
def test_what_cannot_be_read_is_refused_with_its_name(name: str, text: str, message: str) -> None:
    with pytest.raises(LingoLiteError, match=message) as error:
        translated(name, text)
    assert error.value.message.startswith(f"{name}: ")


def test_entities_of_xml_are_not_expanded(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    evil = TMX.replace(
        '<!DOCTYPE tmx SYSTEM "tmx14.dtd">', f'<!DOCTYPE tmx [<!ENTITY s SYSTEM "file://{tmp_path}/secret">]>'
    ).replace("Close it.", "&s;")
    document = read(evil.encode(), DocumentKind.TMX, name="a.tmx", languages=EN_DA)
    assert "secret" not in document.written(document.texts).text.replace("/secret", "")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_are_recognized_by_what_they_begin_with(name: str) -> None:
    assert kind_by_content(DOCUMENTS[name].encode()) is kind_by_name(Path(f"{name}.gz")) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The ship sails at noon.\n",
        "# 1 in the charts\nWe won.\n",
        "12\nThe train leaves at 00:00:01 --> be there.\n",
        "<b>Bold</b> words at the start.\n",
        "<3 is a heart.\n",
        "I like <html> and <tmx> tags.\n",
        "---\nA dash. And more.\n",
        "WEBVTTs are files.\n",
        "- one\n- two\n",
    ],
)
def test_plain_text_is_no_document(text: str) -> None:
    assert kind_by_content(text.encode()) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", "<p>Hello</p>" + "<a " * 3000),
        ("a.html", "<p>Hello</p>" + "{{" * 20000),
        ("a.html", "<p>Hello</p>" + "x.y+" * 20000),
        ("a.md", "Hello\n\n" + "`" * 5000 + "\n\n" + "<!--" * 2000),
        ("a.srt", "1\n00:00:01,000 --> 00:00:02,000\nHello\n" + "{\\" * 20000),
    ],
    ids=["tags", "templates", "addresses", "code", "codes"],
)
def test_odd_characters_take_no_more_time_than_their_number(name: str, text: str) -> None:
    """With times by the square, each of these takes from ten seconds to minutes."""
    assert translated(name, text).startswith(text[: text.index("Hello")] + "HELLO")


def test_lines_that_end_in_a_carriage_return_are_lines() -> None:
    assert translated("a.md", "# One\r\rTwo\r> three\rfour\r") == "# ONE\r\rTWO\r> THREE\rFOUR\r"


def test_a_declaration_that_is_none_is_refused() -> None:
    with pytest.raises(LingoLiteError, match=r"a\.html: not HTML"):
        translated("a.html", "<p>Hello</p><![CDAr <p>")
