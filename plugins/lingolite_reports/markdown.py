"""The reporter `markdown`: the content of the page, for a pull request."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from lingolite_cli.evaluation.word_diff import Span
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.text.visible import shown, shown_value
from lingolite_reports.sections import compose

FILE_NAME = "report.md"
MOST_CHARACTERS = 60_000
"""GitHub's comments hold 65,536."""


class MarkdownReporter:
    """Writes `report.md`. The same manifest gives the same bytes."""

    def __init__(self, *, options: NoOptions) -> None:
        """There is nothing to choose."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write the text into `directory` and return its path."""
        path = directory / FILE_NAME
        write_atomic(path, render_markdown(manifest).encode())
        return [path]


def render_markdown(manifest: RunManifest) -> str:
    """The text. What a sentence says is never taken for Markdown, HTML, a mention or an issue number.

    Where it would be too long for a comment, tables of details and sentences are left out, and it says so.
    """
    template = _templates().get_template("report.md.jinja")
    report = compose(manifest)
    text = template.render(report=report, is_brief=False)
    return text if len(text) <= MOST_CHARACTERS else template.render(report=report, is_brief=True)


@cache
def _templates() -> Environment:
    """They are compiled when they are first used, which takes longer than a report."""
    templates = Environment(
        loader=PackageLoader("lingolite_reports"),
        autoescape=False,
        finalize=shown_value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters.update(text=escape, code=code, spans=spans, fence=fence)
    return templates


def escape(text: str) -> str:
    """`text` as Markdown that reads as itself, on one line and inside a table cell."""
    line = shown(" ".join(text.split()))
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*_{}\[\]|~])", r"\\\1", line)
    line = re.sub(r"^(\d*)([-+=#]|[.)](?= |$))", r"\1\\\2", line)  # the marker of a list, heading or rule
    # A zero-width space keeps code hosts from mentioning people and linking issues.
    return re.sub(r"([@#])(?=\w)", r"\1&#8203;", line)


def code(text: str) -> str:
    """`text` as a code span inside a table cell."""
    line = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def fence(text: str) -> str:
    """A fence of backticks longer than any in `text`."""
    return "`" * max(3, max((len(run) for run in re.findall("`+", text)), default=0) + 1)


def spans(parts: list[Span]) -> str:
    """A hypothesis with its changed words in bold."""
    return " ".join(f"**{escape(span.text)}**" if span.is_changed else escape(span.text) for span in parts)
