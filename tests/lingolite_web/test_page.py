"""The page in real Chromium: goldens, a person's actions, work without a network, and what axe finds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.evaluation.goldens import GOLDEN_NAME, Golden, compare_goldens, read_goldens
from lingolite_cli.testing.routes import convert_with, registry
from tests.families import family_bundle
from tests.lingolite_web.pages import CHROMIUM, FLAGS, REPLAY, Opened, served

UPDATE = """
async () => {
  const registration = await navigator.serviceWorker.getRegistration();
  await registration.update();
  const worker = registration.installing ?? registration.waiting;
  if (worker.state === "installed") return;
  await new Promise((resolve) => worker.addEventListener("statechange", resolve, { once: true }));
}
"""
CONTROLLED = """
async () => {
  const workers = navigator.serviceWorker;
  if (!workers.controller) await new Promise((resolve) => workers.addEventListener("controllerchange", resolve));
}
"""
STORED = "caches.open('lingolite-files').then((store) => store.keys()).then((keys) => keys.length)"

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
pytestmark = [pytest.mark.web, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def address(starter_page: Artifact) -> Iterator[str]:
    with served(starter_page.path) as found:
        yield found


def replay(browser: Any, page: Path, *, threads: int) -> int:
    """Hold what the page's own worker makes of the goldens beside it to these; returns how many threads it had."""
    goldens = read_goldens(page / GOLDEN_NAME).sentences
    with served(page) as address, Opened(browser, address) as opened:
        found, used = opened.page.evaluate(REPLAY, [[golden.source for golden in goldens], threads])
    replayed = [
        Golden(source=one["source"], ids=tuple(one["ids"]), tokens=tuple(one["tokens"]), text=one["text"])
        for one in found
    ]
    assert compare_goldens(goldens, replayed) == []
    assert len(goldens) > 15
    return int(used)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_golden_is_equal_in_ids_tokens_and_text(browser: Any, starter_page: Artifact, threads: int) -> None:
    assert replay(browser, starter_page.path, threads=threads) == threads


@pytest.mark.parametrize("quantizer", ["", "fp16", "bf16", "dynamic-int8", "static-int8"])
def test_goldens_of_every_kind_of_weights_are_equal(
    browser: Any, exported: Any, runtime_files: Path, tmp_path: Path, quantizer: str
) -> None:
    page = convert_with(
        registry().resolve("exporter", "web"),
        exported(quantizer),
        tmp_path / "page",
        options={"runtime": str(runtime_files), "pairs": "en:da,da:en"},
    )
    replay(browser, page.path, threads=1)


@pytest.mark.parametrize("family", ["firefox", "opus-mt", "nllb", "t5", "a recurrence without positions"])
def test_goldens_of_other_families_are_equal(browser: Any, runtime_files: Path, tmp_path: Path, family: str) -> None:
    bundle = family_bundle(tmp_path / "bundle", family)
    int8 = convert_with(registry().resolve("quantizer", "dynamic-int8"), bundle, tmp_path / "int8")
    onnx = convert_with(registry().resolve("exporter", "onnx"), int8, tmp_path / "onnx")
    web = registry().resolve("exporter", "web")
    page = convert_with(web, onnx, tmp_path / "page", options={"runtime": str(runtime_files)})
    replay(browser, page.path, threads=1)


def test_a_text_is_translated_sentence_by_sentence_and_line_by_line(browser: Any, address: str) -> None:
    with Opened(browser, address) as opened:
        found = opened.translate("Open the file. Where is the station?\n\n  Open the file.  ")
        assert found == "Åbn filen. Hvor er stationen?\n\n  Åbn filen.  "
        assert "tokens/s" in opened.text("#status")
        assert opened.translate("") == ""
        assert opened.complaints == []
        assert {request.split("/")[2] for request in opened.requests} == {address.split("/")[2]}


def test_keys_translate_and_stop(browser: Any, address: str) -> None:
    with Opened(browser, address) as opened:
        assert opened.page.evaluate("document.activeElement.id") == "source"
        opened.page.fill("#source", "Open the file. " * 40)
        opened.page.keyboard.press("Control+Enter")
        opened.page.wait_for_selector("#target[aria-busy=true]")
        opened.page.keyboard.press("Escape")
        assert opened.text("#status") == "stopped"
        assert opened.translate("Open the file.") == "Åbn filen."


def test_check_on_the_device_compares_every_golden(browser: Any, address: str, starter_page: Artifact) -> None:
    count = len(read_goldens(starter_page.path / GOLDEN_NAME).sentences)
    with Opened(browser, address) as opened:
        opened.page.click("summary")
        opened.page.click("#check")
        opened.page.wait_for_selector('#check-result:has-text("equal")')
        assert opened.text("#check-result") == f"{count} of {count} sentences equal in ids, tokens and text"


def test_page_works_without_a_network_once_it_was_open(browser: Any, starter_page: Artifact) -> None:
    with served(starter_page.path) as address:
        opened = Opened(browser, address)
        opened.page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    # The server is gone now.
    with opened:
        opened.page.reload()
        opened.page.wait_for_selector("html[data-state=ready]")
        assert opened.translate("Open the file.") == "Åbn filen."
        assert opened.page.evaluate("crossOriginIsolated")


def test_a_new_version_takes_over_when_the_last_tab_is_closed(
    browser: Any, exported: Any, runtime_files: Path, tmp_path: Path
) -> None:
    web, directory = registry().resolve("exporter", "web"), tmp_path / "served"
    for name, quantizer in (("old", "fp16"), ("new", "")):
        options = {"runtime": str(runtime_files), "pairs": "en:da"}
        convert_with(web, exported(quantizer), tmp_path / name, options=options)
    shutil.copytree(tmp_path / "old", directory)
    with served(directory) as address, Opened(browser, address) as opened:
        opened.page.evaluate(CONTROLLED)  # a page that no worker controls holds back no new one
        assert "float16 weights" in opened.text("#facts")
        shutil.rmtree(directory)
        shutil.copytree(tmp_path / "new", directory)
        opened.page.evaluate(UPDATE)
        opened.page.reload()
        assert "float16 weights" in opened.text("#facts")
        stored = opened.page.evaluate(STORED)
        opened.page.close()
        opened.open(address)
        assert "float32 weights" in opened.text("#facts")
        assert opened.complaints == []
        # Both models were kept while both versions were needed: the runtime and the tokenizer they share.
        assert (stored, opened.page.evaluate(STORED)) == (8, 5)


def test_a_changed_model_file_is_not_run(browser: Any, starter_page: Artifact, tmp_path: Path) -> None:
    page = tmp_path / "page"
    shutil.copytree(starter_page.path, page)
    damaged = bytearray((page / "weights.bin").read_bytes())
    damaged[1000] ^= 1
    (page / "weights.bin").write_bytes(damaged)
    with served(page) as address, Opened(browser, address) as opened:
        assert "weights.bin is not the file that this page was made with" in opened.text("#error")
        assert opened.page.is_disabled("#translate")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_page_fits_every_width_and_axe_finds_nothing(browser: Any, address: str, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    with Opened(
        browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True
    ) as opened:
        opened.translate("Open the file.")
        opened.page.evaluate("document.querySelector('details').open = true")
        widths = opened.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert widths == [width, width]
        assert [found["id"] for found in Axe().run(opened.page).response["violations"]] == []
