"""Serving a page on this machine, to try it.

Owns the headers that a page needs from its server: those that isolate it, so that it may use threads, and the
content security policy. A server in production sends the same.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
TYPES = {
    ".mjs": "text/javascript",
    ".js": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".json": "application/json",
    ".onnx": "application/octet-stream",
}
"""Which the standard library knows only where the system does."""


class PageHandler(SimpleHTTPRequestHandler):
    """Files of a directory, with `HEADERS`."""

    def guess_type(self, path: str | PathLike[str]) -> str:
        """The content type of a file."""
        return TYPES.get(Path(path).suffix) or super().guess_type(path)

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Send a file whole, whatever the browser has: two exports within a second have equal `Last-Modified` times."""
        del self.headers["If-Modified-Since"]
        return super().send_head()

    def end_headers(self) -> None:
        """Send the headers that every answer has."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log no single requests."""


class PageServer(ThreadingHTTPServer):
    """A server on this machine only."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report errors, except those of a browser that closed the connection before a file was sent."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def page_server(directory: Path, *, port: int = 0) -> PageServer:
    """A server of a directory on this machine only; port 0 takes a free one."""
    return PageServer(("127.0.0.1", port), partial(PageHandler, directory=str(directory)))


def main(arguments: Sequence[str] | None = None) -> None:
    """`python -m lingolite_web.serve DIR`."""
    parser = argparse.ArgumentParser(prog="python -m lingolite_web.serve", description="Serve a page, to try it.")
    parser.add_argument("directory", type=Path, help="what `lingolite export --format web` wrote")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s")
    given = parser.parse_args(arguments)
    if not (given.directory / "index.html").is_file():
        parser.error(f"{given.directory} has no index.html")
    try:
        server = page_server(given.directory, port=given.port)
    except OSError as error:
        parser.error(f"port {given.port}: {error.strerror}")
    print(f"http://localhost:{server.server_address[1]}/  (Ctrl+C ends)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
