"""Pages as people meet them: served on this machine, opened in Chromium."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lingolite_web.serve import page_server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
MOST_MS = 120_000
"""How long a page may take: a hundred times what it takes here, so that a busy machine fails no test."""

REPLAY = """
async ([sources, threads]) => {
  const worker = new Worker("./worker.js", { type: "module" });
  const answer = (type) => new Promise((resolve, reject) => {
    worker.addEventListener("message", ({ data }) => {
      if (data.type === type) resolve(data);
      if (data.type === "error") reject(new Error(data.message));
    });
    worker.addEventListener("error", (event) => reject(new Error(event.message)));
  });
  const ready = answer("ready");
  worker.postMessage({ type: "open", threads });
  const { threads: used } = await ready;
  const replayed = answer("replayed");
  worker.postMessage({ type: "replay", id: 1, sources, pair: 0 });
  const { found } = await replayed;
  worker.terminate();
  return [found, used];
}
"""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """The address of a directory, while it is served."""
    server = page_server(directory)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


class Opened:
    """A page, with what it complained of and asked for while it was open."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.context.set_default_timeout(MOST_MS)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.open(address)

    def open(self, address: str) -> None:
        """Open a new tab."""
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)
        self.page.wait_for_selector("html[data-state=ready], #error:not([hidden])")

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *failure: object) -> None:
        self.context.close()

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).text_content())

    def translate(self, text: str) -> str:
        """What the page makes of a text."""
        self.page.fill("#source", text)
        self.page.click("#translate")
        self.page.wait_for_selector("#target[aria-busy=false]")
        return self.text("#target")
