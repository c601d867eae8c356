"""The Markdown report, read by an independent Markdown parser and held to a snapshot.

When the wording changes on purpose, copy the text that the failing snapshot test leaves in its directory.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from lingolite_reports.markdown import MOST_CHARACTERS, MarkdownReporter, code, escape, fence, render_markdown
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ZERO_WIDTH_SPACE = "\u200b"
TEXTS = [
    "plain tekst med æøå",
    "Press <b>OK</b> & wait | then `quit`.",
    "a *star*, an __underline__, a ~~strike~~ and a [link](page)",
    "1. not a list",
    "- nor this",
    "+ nor that",
    "# no heading",
    "> no quotation",
    "---",
    "=== nor an underline",
    "2)",
    "-5 degrees, 1.5 m",
    "back\\slash \\| pipe",
    "ask @maria about #42",
    "&lt; stays spelled out, and so does &#64;",
    "![image](x) {{ braces }} ``ticks``",
]


def inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens for child in token.children or []]


def cells(source: str) -> list[list[Token]]:
    """The inline tokens of each body cell of the tables in a text."""
    tokens = PARSER.parse(source)
    return [tokens[i + 1].children or [] for i, token in enumerate(tokens) if token.type == "td_open"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("frame", ["{}", "- {}", "| a |\n| --- |\n| {} |"])
def test_escaped_text_reads_as_itself(text: str, frame: str) -> None:
    children = inline(PARSER.parse(frame.format(escape(text))))
    children = children[1:] if frame.startswith("|") else children
    assert {child.type for child in children} <= {"text", "text_special"}
    assert "".join(child.content for child in children).replace(ZERO_WIDTH_SPACE, "") == text


def test_line_breaks_never_end_a_cell() -> None:
    assert escape("one\ntwo\u2028three") == "one two three"


def test_characters_that_act_unseen_are_shown() -> None:
    assert escape("a\x00b\x1b[31m \u202etxt.exe\u202c") == r"a\\x00b\\x1b\[31m \\u202etxt.exe\\u202c"
    assert escape("\u05e9\u05dc\u05d5\u05dd Åbn 漢字") == "\u05e9\u05dc\u05d5\u05dd Åbn 漢字"


def test_mentions_and_issue_numbers_are_broken_up() -> None:
    assert escape("@maria #42 a@b") == "@&#8203;maria #&#8203;42 a@&#8203;b"


@pytest.mark.parametrize("text", ["plain", "a|b", "tick ` and `` two", "`"])
def test_code_reads_as_itself_in_a_cell(text: str) -> None:
    ((child,),) = cells(f"| a |\n| --- |\n| {code(text)} |")
    assert (child.type, child.content) == ("code_inline", text)


def test_fence_is_longer_than_any_inside() -> None:
    assert (fence("none"), fence("has ```` four")) == ("```", "`````")


def test_report_is_that_of_the_snapshot(manifest: RunManifest, tmp_path: Path) -> None:
    (path,) = MarkdownReporter(options=NoOptions()).report(manifest, tmp_path)
    expected = Path(__file__).with_name("report.expected.md").read_text(encoding="utf-8")
    assert path.read_text(encoding="utf-8") == expected


def test_long_report_leaves_out_details_and_says_so(manifest: RunManifest) -> None:
    verified = next(step for step in manifest.steps if isinstance(step.result, VerifyResult))
    more = [msgspec.structs.replace(verified, id=f"verify-{number}") for number in range(32)]
    text = render_markdown(msgspec.structs.replace(manifest, steps=[*manifest.steps, *more]))
    assert len(text) < MOST_CHARACTERS
    assert "The run's `report.html` has them." in text
    assert "latency\\_p95\\_ms\\_max: 25.21 ms is outside the limit" in text
    assert text.count("| `bleu_drop_max` |") == 33
    assert "Press" not in text
    assert "are omitted because" not in render_markdown(manifest)


def test_every_table_has_rows_as_wide_as_its_heading(manifest: RunManifest) -> None:
    tokens = PARSER.parse(render_markdown(manifest))
    widths: list[int] = []
    headings = 0
    for token in tokens:
        if token.type == "thead_open":
            headings = 0
        elif token.type == "th_open":
            headings += 1
        elif token.type == "tr_open":
            widths.append(0)
        elif token.type == "td_open":
            widths[-1] += 1
        elif token.type == "tr_close" and widths[-1]:
            assert widths[-1] == headings
    assert len(widths) > 40


def test_sentences_bring_no_markup_of_their_own(manifest: RunManifest) -> None:
    tokens = PARSER.parse(render_markdown(manifest))
    html = [token.content for token in tokens if token.type == "html_block"]
    html += [child.content for child in inline(tokens) if child.type == "html_inline"]
    assert html
    assert all("script" not in block for block in html)


def test_sections_without_content_vanish(small_manifest: RunManifest) -> None:
    text = render_markdown(small_manifest)
    assert "The run is done; its recipe sets no budget" in text
    for heading in ("Budgets", "Speed", "Sentences with the largest losses"):
        assert heading not in text
