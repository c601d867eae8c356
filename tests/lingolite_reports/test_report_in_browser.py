"""The page as people meet it: opened from disk in Chromium, searched, switched, printed, and read by axe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from lingolite_reports.html import HtmlReporter
from lingolite_reports.sentences import pairings, run_texts

from lingolite_cli.plugins.specs import NoOptions
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.translations import read_translations, write_translations
from lingolite_cli.text.visible import shown
from tests.lingolite_reports.conftest import SENTENCES

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
COPIES = 3

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def report(manifest: RunManifest, run_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose sentences come several times, so that they do not all show at once."""
    directory = tmp_path_factory.mktemp("report")
    (directory / "translations").mkdir()
    for path in (run_directory / "translations").iterdir():
        records = read_translations(path)
        repeated = [
            msgspec.structs.replace(record, index=copy * len(records) + record.index)
            for copy in range(COPIES)
            for record in records
        ]
        write_translations(directory / "translations" / path.name, repeated)
    (written,) = HtmlReporter(options=NoOptions()).report(manifest, directory)
    return written


class Opened:
    """A page, with what it said and asked for while it was open."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(dialog.message))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = path.as_uri()
        self.page.goto(self.address)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *failure: object) -> None:
        self.context.close()

    def choose(self, name: str, value: str) -> None:
        self.page.select_option(f"select[name={name}]", value)

    def search(self, text: str) -> None:
        before = self.page.locator("#count").text_content()
        self.page.fill("input[name=search]", text)
        self.page.wait_for_function("before => document.getElementById('count').textContent !== before", arg=before)

    @property
    def count(self) -> str:
        return str(self.page.locator("#count").text_content())

    @property
    def numbers(self) -> list[int]:
        found = self.page.eval_on_selector_all("#results > li", "items => items.map(item => item.dataset.number)")
        return [int(number) for number in found]

    def show_all(self) -> None:
        while self.page.locator("#more").is_visible():
            self.page.click("#more")


def deltas(manifest: RunManifest, report: Path) -> dict[int, float]:
    """By number, as the page rounds them."""
    (pairing,) = pairings(manifest, run_texts(manifest, report.parent))
    before, after = pairing.text.systems["baseline"].scores, pairing.text.systems["shipped"].scores
    return {n + 1: round(100 * b) - round(100 * a) for n, (a, b) in enumerate(zip(before, after, strict=True))}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 800, 1280])
def test_page_opens_without_complaint_and_never_scrolls_sideways(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    with Opened(browser, report, viewport={"width": width, "height": 800}, color_scheme=scheme) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        opened.show_all()
        widths = opened.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths == [width, width]
        assert opened.complaints == []
        assert opened.requests == [opened.address, "data:,"] or opened.requests == [opened.address]


def test_sentences_are_those_of_the_run_worst_first(browser: Any, manifest: RunManifest, report: Path) -> None:
    known = deltas(manifest, report)
    with Opened(browser, report) as opened:
        assert opened.count == "21 of 21 sentences match, 15 shown"
        opened.show_all()
        assert opened.count == "21 of 21 sentences match, 21 shown"
        assert opened.numbers == sorted(known, key=lambda number: (known[number], number))
        opened.choose("order", "text")
        opened.show_all()
        assert opened.numbers == list(range(1, 22))


@pytest.mark.parametrize(
    ("show", "passes"),
    [("losses", lambda delta: delta < 0), ("wins", lambda delta: delta > 0), ("ties", lambda delta: delta == 0)],
)
def test_filter_shows_wins_losses_and_ties(
    browser: Any, manifest: RunManifest, report: Path, show: str, passes: Any
) -> None:
    with Opened(browser, report) as opened:
        opened.choose("show", show)
        opened.show_all()
        assert sorted(opened.numbers) == [number for number, delta in deltas(manifest, report).items() if passes(delta)]
        assert opened.numbers


def test_filters_by_faults_and_length(browser: Any, report: Path) -> None:
    with Opened(browser, report) as opened:
        opened.choose("show", "new-faults")
        opened.choose("order", "text")
        assert 7 in opened.numbers
        assert "new fault: numbers" in str(opened.page.locator("li[data-number='7'] h3").text_content())
        opened.page.click("button[type=reset]")
        opened.choose("length", "6-10")
        opened.show_all()
        assert sorted(opened.numbers) == sorted(
            7 * copy + index + 1
            for copy in range(COPIES)
            for index, row in enumerate(SENTENCES)
            if 6 <= len(row[0].split()) <= 10
        )


def test_search_finds_words_in_every_text_and_tells_how_many(browser: Any, report: Path) -> None:
    with Opened(browser, report) as opened:
        opened.search("LUK vindue")
        assert opened.count == "3 of 21 sentences match, 3 shown"
        assert sorted(opened.numbers) == [3, 10, 17]
        opened.search("#12")
        assert opened.numbers == [12]
        opened.search("no such words")
        assert opened.count == "None of 21 sentences match"
        assert opened.numbers == []
        opened.page.click("button[type=reset]")
        opened.page.wait_for_function("() => document.querySelectorAll('#results > li').length > 0")
        assert opened.count.startswith("21 of 21")
        assert opened.page.get_attribute("#count", "aria-live") == "polite"


def test_words_that_differ_are_marked_between_systems_or_from_the_reference(browser: Any, report: Path) -> None:
    marked = "li => [...li.querySelectorAll('del, ins')].map(word => [word.tagName, word.textContent])"
    with Opened(browser, report) as opened:
        second = opened.page.locator("li[data-number='2']")
        assert second.evaluate(marked) == [["DEL", "Åbn"], ["DEL", "store"], ["INS", "Luk"], ["INS", "lille"]]
        opened.choose("against", "reference")
        assert opened.page.locator("li[data-number='2']").evaluate(marked) == [["INS", "Luk"], ["INS", "lille"]]
        assert opened.page.locator("[data-against=reference]").is_visible()
        assert not opened.page.locator("[data-against=systems]").is_visible()


def test_hostile_sentences_are_shown_as_they_are(browser: Any, report: Path) -> None:
    with Opened(browser, report) as opened:
        opened.show_all()
        for number in (4, 5, 6):
            item = opened.page.locator(f"li[data-number='{number}']")
            texts = item.evaluate("li => [...li.querySelectorAll('dd')].map(text => text.textContent)")
            expected = [" ".join(shown(text).split()) for text in SENTENCES[number - 1]]
            assert [" ".join(text.split()) for text in texts] == expected
            assert item.evaluate("li => [...li.querySelectorAll('dd')].every(text => text.dir === 'auto')")
        assert opened.page.locator("#results script, #results img, #results b").count() == 0
        assert opened.complaints == []


def test_switch_changes_the_colours_and_is_remembered(browser: Any, report: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    with Opened(browser, report, color_scheme="light") as opened:
        light = opened.page.evaluate(ground)
        assert opened.page.locator("#theme").text_content() == "☾ Dark"
        opened.page.click("#theme")
        dark = opened.page.evaluate(ground)
        assert dark != light
        # What is kept reaches the browser after the click: a page that is loaded again within milliseconds may ask for
        # it before, and miss that it has come. It is there when the page is loaded once more.
        for _ in range(3):
            opened.page.reload()
            if opened.page.evaluate(ground) == dark:
                break
        assert opened.page.evaluate(ground) == dark
        opened.page.click("#theme")
        assert opened.page.evaluate(ground) == light
    with Opened(browser, report, color_scheme="dark") as opened:
        assert opened.page.evaluate(ground) == dark


def test_switch_in_one_tab_changes_the_others(browser: Any, report: Path) -> None:
    with Opened(browser, report, color_scheme="light") as opened:
        other = opened.context.new_page()
        other.goto(opened.address)
        opened.page.click("#theme")
        other.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        assert other.locator("#theme").text_content() == "☀ Light"


def test_paper_has_the_worst_sentences_whole_tables_and_no_controls(browser: Any, report: Path) -> None:
    with Opened(
        browser, report, color_scheme="dark", viewport={"width": 660, "height": 1000}
    ) as opened:  # A4 less its margins
        opened.page.emulate_media(media="print")
        for hidden in ("#browser", "#results", "nav", "#theme", ".skip"):
            assert not opened.page.locator(hidden).first.is_visible(), hidden
        assert opened.page.locator(".without-browser").is_visible()
        assert opened.page.get_by_text("Resolved recipe").locator("xpath=../pre").is_visible()
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 660
        assert opened.page.evaluate("getComputedStyle(document.querySelector('td')).display") == "table-cell"
        assert opened.page.pdf(format="A4").startswith(b"%PDF")


def test_page_is_used_by_keyboard(browser: Any, report: Path) -> None:
    focused = "document.activeElement"
    with Opened(browser, report) as opened:
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate(f"{focused}.className") == "skip"
        assert opened.page.evaluate(f"{focused}.getBoundingClientRect().left") >= 0
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate(f"{focused}.id") == "theme"
        assert opened.page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
        opened.page.locator("input[name=search]").focus()
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate(f"{focused}.name") == "show"
        opened.page.locator("#more").focus()
        opened.page.keyboard.press("Enter")
        assert opened.page.evaluate(f"[...document.getElementById('results').children].indexOf({focused})") == 15


def test_tables_are_stops_only_where_they_scroll(browser: Any, report: Path) -> None:
    stops = "document.querySelectorAll(':not(details) > .table[tabindex]').length"
    with Opened(browser, report, viewport={"width": 1280, "height": 800}) as opened:
        opened.page.wait_for_function(f"() => {stops} === 0")
        opened.page.evaluate("document.querySelector('table').style.minWidth = '2000px'")
        opened.page.set_viewport_size({"width": 1000, "height": 800})
        opened.page.wait_for_function(f"() => {stops} === 1")


def test_printing_unfolds_and_folds_again(browser: Any, report: Path) -> None:
    folded = "document.querySelectorAll('details:not([open])').length"
    with Opened(browser, report) as opened:
        before = opened.page.evaluate(folded)
        assert before > 2
        opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert opened.page.evaluate(folded) == 0
        opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert opened.page.evaluate(folded) == before


def test_without_scripts_the_worst_sentences_are_there(browser: Any, report: Path) -> None:
    with Opened(browser, report, java_script_enabled=False) as opened:
        assert opened.page.locator(".without-browser").is_visible()
        assert not opened.page.locator("#browser").is_visible()
        assert not opened.page.locator("#theme").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_barrier(browser: Any, report: Path, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra `browser`")
    with Opened(browser, report, viewport={"width": width, "height": 900}, color_scheme=scheme) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        found = axe.Axe().run(opened.page).response
        assert len(found["passes"]) > 20
        assert [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]] == []
