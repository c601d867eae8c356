"""The server for trying a page: the headers that a page needs, and what it refuses."""

from __future__ import annotations

import socket
import struct
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


def test_a_tab_that_is_closed_while_a_file_is_sent_leaves_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(50_000_000))
    server = page_server(tmp_path)
    server.daemon_threads = False  # so that closing the server waits for its answers
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with socket.create_connection(server.server_address) as tab:
        tab.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by a reset
        tab.sendall(b"GET /weights.bin HTTP/1.0\r\n\r\n")
        assert tab.recv(100).startswith(b"HTTP/1.0 200")
    server.shutdown()
    server.server_close()
    assert capsys.readouterr().err == ""


def test_a_directory_without_a_page_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lingolite_web.serve", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "has no index.html" in done.stderr
