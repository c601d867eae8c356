"""A real Prometheus, as Debian packages it, scrapes a server: on demand, and where it is installed."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.lingolite_serve.test_process import serving

pytestmark = [pytest.mark.serve, pytest.mark.slow]

CONFIGURATION = """\
global: {{ scrape_interval: 1s }}
scrape_configs:
  - job_name: lingolite
    static_configs: [{{ targets: ["127.0.0.1:{port}"] }}]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def ask(port: int, query: str) -> list[Any]:
    """What Prometheus says of a query; nothing while it starts."""
    url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found
    except OSError:
        return []


def test_prometheus_scrapes_the_metrics(project: Path, echo: Path, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    port = free_port()
    with serving(project, echo) as server:
        (tmp_path / "prometheus.yml").write_text(CONFIGURATION.format(port=server.port))
        server.post()
        flags = [
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        prometheus = subprocess.Popen([program, *flags], stderr=subprocess.DEVNULL)
        try:
            query = 'lingolite_requests_total{outcome="done"}'
            began = time.monotonic()
            while not (found := ask(port, query)):
                assert time.monotonic() - began < 120
                time.sleep(0.2)
            assert found[0]["value"][1] == "1"
            assert ask(port, "up")[0]["value"][1] == "1"
            quantile = ask(port, "histogram_quantile(0.95, lingolite_request_seconds_bucket)")
            assert 0 < float(quantile[0]["value"][1]) <= 30
        finally:
            prometheus.terminate()
            prometheus.wait(60)
