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
from lingolite_cli.views.history_plot import plot_history
from tests.lingolite_cli.history.history_entries import SYSTEM, entry


class Texts(HTMLParser):
    """The text of each element, by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {}
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br", "link"):
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
    plot_history(entries, tmp_path / "history.html", root=tmp_path)
    page = (tmp_path / "history.html").read_text(encoding="utf-8")
    found = Texts(page).found
    assert found["h2"] == ["mobile"]
    assert found["strong"] == ["chrf", "bleu", "size, MB", "latency, p50 ms"]
    ids, times = ([text for text in found["span"] if text.startswith(start)] for start in ("20260101-", "2026-01-01 "))
    assert ids == [run.id for run in reversed(entries[:4])]
    assert times == ["2026-01-01 00:00"] * 4
    assert found["span"].count("pass") == 3
    assert "broken budget" in found["span"]
    assert "verify.bleu_drop_max: <fell> & fell" in found["span"]
    assert [text for text in found["title"] if text.startswith(entries[0].id)] == [
        f"{entries[0].id}: 60.25 [59.50, 61.00]",
        f"{entries[0].id}: 41.50",
        f"{entries[0].id}: 7.16, judged against 28.00",
        f"{entries[0].id}: 4.25",
    ]
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)[^\"]*\"|@import|https?:", page) == []
    assert page.count("<svg") == 4


@pytest.mark.parametrize("name", ["history.svg", "history.png", "history.pdf"])
def test_drawing_is_written_whole(entries: list[RunEntry], tmp_path: Path, name: str) -> None:
    plot_history(entries, tmp_path / name, root=tmp_path)
    data = (tmp_path / name).read_bytes()
    assert data.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[name[-3:]])
    if name.endswith("svg"):
        text = data.decode()
        assert all(f"mobile: {label}" in text for label in ("chrf", "bleu", "size, MB", "latency, p50 ms"))
        plot_history(entries, tmp_path / "again.svg", root=tmp_path)
        assert (tmp_path / "again.svg").read_bytes() == data


def crosses(page: str) -> dict[str, int]:
    """By the title of a figure, how many crosses it has."""
    figures = re.findall(r"<strong>([^<]*)</strong>(.*?)</figure>", page, flags=re.DOTALL)
    # A cross is filled with the colour of limits; nothing else in these figures is.
    return {title: len(re.findall(r"fill: var\(--series-2\)", body)) for title, body in figures}


@pytest.mark.parametrize(
    ("budget", "figure"),
    [
        ("bleu_drop_max", "bleu"),
        ("bleu_min", "bleu"),
        ("chrf_drop_max", "chrf"),
        ("size_ratio_max", "size, MB"),
        ("latency_p50_ms_max", "latency, p50 ms"),
        ("latency_p50_ratio_max", "latency, p50 ms"),
        ("new_loops_max", None),
        ("download_mb_max", None),
    ],
)
def test_only_the_figure_that_broke_has_a_cross(budget: str, figure: str | None, tmp_path: Path) -> None:
    why = f"verify.exported_kl_max: too large; verify.{budget}: too much"
    broken = msgspec.structs.replace(entry(2), status="broken budget", problem=why)
    plot_history([entry(1), broken, entry(3)], tmp_path / "history.html", root=tmp_path)
    found = crosses((tmp_path / "history.html").read_text(encoding="utf-8"))
    assert {title for title, count in found.items() if count} == ({figure} if figure else set())


def test_runs_that_failed_are_hollow_and_have_no_cross(tmp_path: Path) -> None:
    failed = msgspec.structs.replace(entry(2), status="failed", problem="at `verify`: bleu_min: it broke")
    plot_history([entry(1), failed], tmp_path / "history.html", root=tmp_path)
    page = (tmp_path / "history.html").read_text(encoding="utf-8")
    assert not any(crosses(page).values())
    assert "fill-opacity: 0" in page or "fill: none; stroke: var(--series-1)" in page


def test_latency_has_a_band_over_its_rounds(tmp_path: Path) -> None:
    timed = msgspec.structs.replace(SYSTEM, latency_p50_low_ms=4.0, latency_p50_high_ms=4.75)
    runs = [msgspec.structs.replace(entry(number), systems=(entry(number).systems[0], timed)) for number in (1, 2)]
    plot_history(runs, tmp_path / "history.html", root=tmp_path)
    page = (tmp_path / "history.html").read_text(encoding="utf-8")
    assert f"{runs[0].id}: 4.25 [4.00, 4.75]" in page
    assert "fill-opacity: 0.2" in page
    plot_history([entry(1), entry(2)], tmp_path / "without.html", root=tmp_path)
    assert "fill-opacity: 0.2" not in (tmp_path / "without.html").read_text(encoding="utf-8")


def test_runs_link_to_their_reports_from_wherever_the_page_is(tmp_path: Path) -> None:
    report = tmp_path / "runs" / "mobile" / "2" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("a report")
    (tmp_path / "a page").mkdir()
    runs = [msgspec.structs.replace(entry(number), directory=f"runs/mobile/{number}") for number in (1, 2)]
    plot_history(runs, tmp_path / "a page" / "history.html", root=tmp_path)
    page = (tmp_path / "a page" / "history.html").read_text(encoding="utf-8")
    assert re.findall(r'<a href="([^"]*)"', page) == ["../runs/mobile/2/report.html"]


@pytest.mark.parametrize("num_recipes", [1, 60])
def test_long_history_is_aggregated_and_says_so(tmp_path: Path, num_recipes: int) -> None:
    def run(number: int) -> RunEntry:
        name = "mobile" if num_recipes == 1 else f"recipe{number % num_recipes}"
        score = msgspec.structs.replace(SYSTEM.scores[0], value=60 + number % 7)
        made = entry(number % 60, recipe=name)
        systems = (made.systems[0], msgspec.structs.replace(SYSTEM, scores=(score,)))
        return msgspec.structs.replace(made, id=f"20260101-{number:06}-{number:06x}", systems=systems)

    plot_history([run(number) for number in range(5000)], tmp_path / "history.html", root=tmp_path)
    page = (tmp_path / "history.html").read_text(encoding="utf-8")
    assert len(page.encode()) <= 1_000_000
    assert "A dot is the median of consecutive runs" in page
    if num_recipes == 1:
        assert "chrf, medians of up to 32 runs" in page
        assert "the last 200 of 5,000" in page
        assert "--limit 5000" in page
    else:
        assert page.count("<svg") <= 16
        assert "Without figures" in page
        assert "40 more recipes, which ran longer ago, are left out" in page


def test_runs_that_cannot_be_compared_are_never_one_dot(tmp_path: Path) -> None:
    runs = []
    for number in range(1300):
        system = msgspec.structs.replace(SYSTEM, scores=SYSTEM.scores[:1], corpus=f"{number:064x}", latency_p50_ms=None)
        made = msgspec.structs.replace(entry(number % 60), id=f"20260101-{number:06}-{number:06x}")
        runs.append(msgspec.structs.replace(made, systems=(made.systems[0], system)))
    plot_history(runs, tmp_path / "history.html", root=tmp_path)
    page = (tmp_path / "history.html").read_text(encoding="utf-8")
    chrf, size = re.findall(r"<strong>([^<]*)</strong><br>([^<]*)", page)
    assert chrf[0] == "chrf"
    assert "1,180 earlier runs, which cannot be compared, are left out" in chrf[1]
    assert size[0] == "size, MB, medians of up to 6 runs"


def test_nothing_to_draw_is_an_error(entries: list[RunEntry], tmp_path: Path) -> None:
    with pytest.raises(LingoLiteError, match="nothing to draw"):
        plot_history(entries[4:], tmp_path / "history.svg", root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_targets_that_cannot_be_drawn_to_are_refused(tmp_path: Path) -> None:
    (tmp_path / "directory.svg").mkdir()
    for name, message in (
        ("history.txt", "a plot ends in .html, .svg, .png, .pdf"),
        ("directory.svg", "is a directory"),
        ("gone/history.svg", "no such directory"),
    ):
        with pytest.raises(LingoLiteError, match=message):
            check_plot_target(tmp_path / name)
