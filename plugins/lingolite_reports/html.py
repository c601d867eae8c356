"""The reporter `html`: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.evaluation.comparison import LENGTHS
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.plugins.extras import PLOTS
from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views.page import render_page
from lingolite_reports.lengths import words
from lingolite_reports.sections import compose
from lingolite_reports.sentences import MOST_BYTES, Pairing, TranslatedText, pack_texts, pairings, run_texts

if TYPE_CHECKING:
    from lingolite_cli.views.drawing import Figure
    from lingolite_reports.content import Key

FILE_NAME = "report.html"
_IN_TABLES: Key = "budgets"
"""The section whose figures stand in the rows of its tables."""


class HtmlReporter:
    """Writes `report.html`. The same manifest gives the same bytes."""

    def __init__(self, *, options: NoOptions) -> None:
        """There is nothing to choose."""

    def report(self, manifest: RunManifest, directory: Path) -> list[Path]:
        """Write the page into `directory` and return its path."""
        path = directory / FILE_NAME
        write_atomic(path, render_html(manifest, run_texts(manifest, directory)).encode())
        return [path]


def render_html(manifest: RunManifest, texts: Sequence[TranslatedText] = (), *, most_bytes: int = MOST_BYTES) -> str:
    """The page. Every text of the manifest is escaped; only our own SVG, style sheet and script are not.

    Args:
        manifest: of the run.
        texts: its sentences with their translations, as `run_texts` gives them; without them there is no browser.
        most_bytes: of sentences; the rest of a larger text is left out.
    """
    found = pairings(manifest, texts)
    figures = _figures(manifest, found)
    packed = pack_texts(found, most_bytes=most_bytes)
    return render_page(
        "report.html.jinja",
        package="lingolite_reports",
        script="report.js",
        report=compose(manifest, found),
        figures={key: own for key, own in figures.items() if key != _IN_TABLES},
        gauges={figure.name: figure for figure in figures.get(_IN_TABLES, ())},
        figures_need=None if PLOTS.is_installed else PLOTS.install,
        data=packed,
        lengths=[("0-1000000", "any"), *((f"{low}-{high or 1000000}", words(low, high)) for low, high in LENGTHS)],
        data_text="" if packed is None else _inert(packed),
    )


def _figures(manifest: RunManifest, found: Sequence[Pairing]) -> Mapping[Key, Sequence[Figure]]:
    """The figures of each section; none where matplotlib is not installed: a report is worth more than its figures."""
    if not PLOTS.is_installed:
        return {}
    from lingolite_reports.figures import draw

    return draw(manifest, found)


def _inert(packed: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return msgspec.json.encode(packed).decode().replace("<", "\\u003c")
