"""The pages of `history --plot` and `bench --plot` in Chromium: wide and narrow, light and dark, and read by axe."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lingolite_cli.runs.measured_results import BenchmarkResult
from lingolite_cli.testing.sample_run import sample_run
from lingolite_cli.views.benchmark_plot import plot_benchmark
from lingolite_cli.views.history_plot import plot_history
from tests.lingolite_cli.history.history_entries import entry

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("pages")
    manifest = sample_run(directory)
    (result,) = (step.result for step in manifest.steps if isinstance(step.result, BenchmarkResult))
    report = directory / "runs" / "mobile" / "1" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<title>a report</title>")
    why = "verify.bleu_drop_max: bleu fell by 0.9 (loss 0.6 to 1.2 at 95% confidence), above the limit of 0.5"
    broken = msgspec.structs.replace(entry(2), status="broken budget", problem=why)
    plot_history([entry(1), broken, *map(entry, range(3, 40))], directory / "history.html", root=directory)
    plot_benchmark(result, directory / "bench.html")
    return {name: directory / f"{name}.html" for name in ("history", "bench")}


@pytest.mark.parametrize("name", ["history", "bench"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 400, 1280])
def test_pages_fit_and_have_no_barrier(
    browser: Any, pages: dict[str, Path], width: int, scheme: str, name: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra `browser`")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(pages[name].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = axe.Axe().run(page).response
    assert [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found["violations"]] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    assert complaints == []
    context.close()


def test_link_of_a_run_opens_its_report(browser: Any, pages: dict[str, Path]) -> None:
    page = browser.new_page()
    page.goto(pages["history"].as_uri())
    page.click("a:has-text('report')")
    assert page.title() == "a report"
    page.close()
