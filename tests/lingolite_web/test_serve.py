"""The server for trying a page: the headers that a page needs, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from lingolite_web.serve import HEADERS, page_server


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("index.html", "text/html"),
        ("a.mjs", "text/javascript"),
        ("a.wasm", "application/wasm"),
        ("a.webmanifest", "application/manifest+json"),
    ],
)
def test_every_answer_has_the_headers_and_the_type_that_a_page_needs(tmp_path: Path, name: str, type_: str) -> None:
    (tmp_path / name).write_bytes(b"content")
    server = page_server(tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_address[1]}/{name}") as answer:
            assert answer.read() == b"content"
            assert answer.headers.get_content_type() == type_
            assert {key: answer.headers[key] for key in HEADERS} == HEADERS
    finally:
        server.shutdown()
        server.server_close()


def test_a_directory_without_a_page_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lingolite_web.serve", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no index.html" in done.stderr
