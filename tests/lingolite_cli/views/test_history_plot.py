"""Pictures of a history: what is on them, and that they need nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.history.entry import RunEntry
from lingolite_cli.views.charts import check_plot_target
from lingolite_cli.views.history_plot import FORMATS, plot_history
from tests.lingolite_cli.history.history_entries import SYSTEM, entry


class Texts(HTMLParser):
    """The text of each element, by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.found.setdefault(self._open[-1], []).append(data.strip())


@pytest.fixture
def entries() -> list[RunEntry]:
    """Four runs on two texts; one of them broke a budget, and one of another recipe failed."""
    later = msgspec.structs.replace(SYSTEM, corpus="ff" * 32)
    runs = [entry(number) for number in (1, 2)]
    runs += [msgspec.structs.replace(entry(number), systems=(entry(number).systems[0], later)) for number in (3, 4)]
    why = "verify.bleu_drop_max: <fell> & fell"
    runs[1] = msgspec.structs.replace(runs[1], status="broken budget", problem=why)
    failed = msgspec.structs.replace(entry(5, recipe="other"), status="failed", systems=(), shipped=None)
    return [*runs, failed]


def test_page_has_each_run_in_words_and_needs_nothing_else(entries: list[RunEntry], tmp_path: Path) -> None:
    plot_history(entries, tmp_path / "history.html")
    page = (tmp_path / "history.html").read_text(encoding="utf-8")
    found = Texts(page).found
    assert found["h2"] == ["mobile"]
    assert found["strong"] == ["chrf", "bleu", "size, MB", "latency, p50 ms"]
    rows = [text for text in found["th"] if text.startswith("2026")]
    assert rows == [run.id for run in reversed(entries[:4])]
    assert found["td"].count("pass") == 3
    assert "broken budget" in found["td"]
    assert "verify.bleu_drop_max: <fell> & fell" in found["div"]
    assert [text for text in found["title"] if text.startswith(entries[0].id)] == [
        f"{entries[0].id}: 60.25 [59.50, 61.00]",
        f"{entries[0].id}: 41.50",
        f"{entries[0].id}: 7.16, judged against 28.00",
        f"{entries[0].id}: 4.25",
    ]
    assert re.findall(r"(?:src|href)=\"(?!#)[^\"]*\"|@import|https?:", page) == []
    assert page.count("<svg") == 4


@pytest.mark.parametrize("name", ["history.svg", "history.png", "history.pdf"])
def test_drawing_is_written_whole(entries: list[RunEntry], tmp_path: Path, name: str) -> None:
    plot_history(entries, tmp_path / name)
    data = (tmp_path / name).read_bytes()
    assert data.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[name[-3:]])
    if name.endswith("svg"):
        text = data.decode()
        assert all(f"mobile: {label}" in text for label in ("chrf", "bleu", "size, MB", "latency, p50 ms"))
        plot_history(entries, tmp_path / "again.svg")
        assert (tmp_path / "again.svg").read_bytes() == data


def test_nothing_to_draw_is_an_error(entries: list[RunEntry], tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="nothing to draw"):
        plot_history(entries[4:], tmp_path / "history.svg")
    assert list(tmp_path.iterdir()) == []


def test_targets_that_cannot_be_drawn_to_are_refused(tmp_path: Path) -> None:
    (tmp_path / "directory.svg").mkdir()
    for name, message in (
        ("history.txt", "a plot ends in .html, .svg, .png, .pdf"),
        ("directory.svg", "is a directory"),
        ("gone/history.svg", "no such directory"),
    ):
        with pytest.raises(LingoLiteError, match=message):
            check_plot_target(tmp_path / name, formats=FORMATS)
