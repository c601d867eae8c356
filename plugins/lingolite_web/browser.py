"""A page in headless Chromium, driven from any thread.

Owns the browser, its server and the thread in which Playwright must be used. What is computed there is the business of
`engine.js`.
"""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_web.chromium import chromium_on_path
from lingolite_web.serve import page_server

_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
_DOCUMENT = "licences.txt"
"""A file beside the page that opens no second copy of the model."""


class PageEngine:
    """The graphs of a page, open in a browser of its own.

    Args:
        directory: of the page.
        executable: Chromium's; None for the one on the path, or else Playwright's own.
        threads: of the runtime.

    Attributes:
        version: of the browser.

    Raises:
        LingoLiteError: there is no Chromium, or the page cannot be opened in it.
    """

    def __init__(self, directory: Path, *, executable: str | None, threads: int) -> None:
        self._executable = executable or chromium_on_path()
        self.version = ""
        self._work: queue.Queue[tuple[str, Any, Future[Any]] | None] = queue.Queue()
        opened: Future[None] = Future()
        arguments = (directory, threads, opened)
        self._thread = threading.Thread(target=self._serve, args=arguments, name="lingolite-chromium", daemon=True)
        self._thread.start()
        opened.result()

    def call(self, method: str, argument: Any) -> Any:
        """Call a method of `engine.js`.

        Raises:
            LingoLiteError: it fails, or the browser has ended.
        """
        done: Future[Any] = Future()
        self._work.put((method, argument, done))
        return done.result()

    def close(self) -> None:
        """End the browser."""
        self._work.put(None)
        self._thread.join()

    def _serve(self, directory: Path, threads: int, opened: Future[None]) -> None:
        server = page_server(directory)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=self._executable, args=list(_FLAGS))
                self.version = f"Chromium {browser.version}"
                page = browser.new_page()
                page.set_default_timeout(0)
                page.goto(f"http://localhost:{server.server_address[1]}/{_DOCUMENT}")
                script = files("lingolite_web").joinpath("engine.js").read_text(encoding="utf-8")
                page.evaluate(script, {"threads": threads})
                opened.set_result(None)
                self._answer(page)
                browser.close()
        except PlaywrightError as error:
            opened.set_exception(_failed(error))
        finally:
            server.shutdown()
            server.server_close()

    def _answer(self, page: Any) -> None:
        while (work := self._work.get()) is not None:
            method, argument, done = work
            try:
                done.set_result(page.evaluate(f"argument => lingolite.{method}(argument)", argument))
            except PlaywrightError as error:
                done.set_exception(_failed(error))


def _failed(error: PlaywrightError) -> LingoLiteError:
    return LingoLiteError(
        f"the page failed in Chromium: {error.message.splitlines()[0][:300]}",
        hint="is Chromium installed? `playwright install chromium` brings one; or name yours by the option executable",
        exit_code=ExitCode.PLUGIN,
    )
