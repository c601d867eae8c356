"""`lingolite serve` as a process: real clients, clients that misbehave, and its end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError

import pytest
from command_line import Outcome, command, environment, run_command

pytestmark = pytest.mark.serve
TEXT = "She reads. We ate bread and cheese."


class Server(NamedTuple):
    """A server as a process."""

    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, q: str = TEXT, **headers: str) -> Any:
        body = json.dumps({"q": q, "source": "en", "target": "da"}).encode()
        asked = urllib.request.Request(
            f"{self.url}/translate", data=body, headers={"Content-Type": "application/json", **headers}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return json.load(answer)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def serving(project: Path, echo: Path, *flags: str) -> Iterator[Server]:
    process = subprocess.Popen(
        command("serve", "--port", "0", *flags),
        cwd=project,
        env=environment([echo]),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"serving on http://127\.0\.0\.1:(\d+)", line):
                yield Server(process, int(found[1]))
                break
        else:
            raise AssertionError(f"ended with {process.wait()}")
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def server(project: Path, echo: Path) -> Iterator[Server]:
    with serving(project, echo, "--server-option", "receive_seconds=0.5", "--sample-log", "served.jsonl") as made:
        yield made


def received(connection: socket.socket) -> bytes:
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def test_a_client_of_libretranslate_works(server: Server) -> None:
    from libretranslatepy import LibreTranslateAPI

    client = LibreTranslateAPI(server.url)
    assert client.translate(TEXT, "en", "da") == TEXT
    assert client.languages() == [{"code": "en", "name": "English", "targets": ["da"]}]


def test_many_clients_at_once_each_have_their_own_answer(server: Server) -> None:
    texts = [f"She reads {number}." for number in range(64)]
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(server.post, texts))
    assert [answer["translatedText"] for answer in answers] == texts
    assert server.end() == 0


@pytest.mark.parametrize(
    "sent",
    [b"", b"POST /trans", b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"],
    ids=["nothing", "half of the headers", "half of the body"],
)
def test_half_a_request_is_given_up_and_holds_nobody(server: Server, sent: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(sent)
        assert server.post() == {"translatedText": TEXT}
        answer = received(connection)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
    assert server.end() == 0


def test_a_client_that_sends_a_byte_at_a_time_is_given_up(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"POST /translate HTTP/1.1\r\nHost: a\r\n")
        wait_until(lambda: is_closed(connection))
    assert server.post() == {"translatedText": TEXT}


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side is no more there to be sent a byte."""
    try:
        connection.sendall(b"a")
        return connection.recv(1, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def test_a_large_body_is_refused_in_words(server: Server) -> None:
    with pytest.raises(HTTPError) as refused:
        server.post("a" * 10_000_000)
    with refused.value as answer:
        assert answer.code == 413
        assert json.load(answer)["error"] == "the body is larger than 1 MB"
    assert server.post() == {"translatedText": TEXT}


def test_a_client_that_asks_before_it_sends_a_large_body_need_not_send_it(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(
            b"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert received(connection).startswith(b"HTTP/1.1 413")


def test_noise_is_no_request(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(os.urandom(1000).replace(b"\n", b"") + b"\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 400")
    assert server.post() == {"translatedText": TEXT}


def test_a_worker_that_is_killed_is_replaced(server: Server) -> None:
    server.post()
    (worker,) = children_of(server.process.pid)
    os.kill(worker, signal.SIGKILL)
    assert server.post() == {"translatedText": TEXT}
    assert children_of(server.process.pid) != [worker]
    assert server.end() == 0
    assert not Path(f"/proc/{worker}").exists()


def test_a_sentence_over_which_workers_die_is_an_error_of_its_request(project: Path, echo: Path) -> None:
    with serving(project, echo, "--backend", "echo", "--option", "fatal=true") as server:
        with pytest.raises(HTTPError) as failed:
            server.post()
        failed.value.close()
        assert (failed.value.code, server.metrics()['lingolite_requests_total{outcome="failed"}']) == (500, 1.0)
        assert server.end() == 0


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def gated(project: Path, echo: Path) -> Iterator[tuple[Server, Path]]:
    """A server whose second engine waits at a gate: until the gate is opened, no request is translated."""
    gate = project / "gate"
    gate.write_bytes(b"")
    with serving(project, echo, "--backend", "echo", "--option", f"gate={gate}") as server:
        gate.unlink()
        os.mkfifo(gate)
        for worker in children_of(server.process.pid):
            os.kill(worker, signal.SIGKILL)
        yield server, gate


def wait_until(is_so: Callable[[], bool]) -> None:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < 60
        time.sleep(0.01)


def test_sigterm_loses_no_request_that_was_accepted(gated: tuple[Server, Path]) -> None:
    server, gate = gated
    with ThreadPoolExecutor(4) as threads, server.connect() as kept:
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        head = b""
        while not head.endswith(b'{"status":"ok"}'):
            head += kept.recv(1 << 16)
        answers = [threads.submit(server.post) for _ in range(4)]
        wait_until(lambda: server.metrics()["lingolite_batches_in_progress"] + waiting(server) >= 1)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not can_connect(server))
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
        late = received(kept)
        gate.write_bytes(b"")
        assert [answer.result()["translatedText"] for answer in answers] == [TEXT] * 4
    assert late.startswith(b"HTTP/1.1 503")
    assert b"connection: close" in late.lower()
    assert server.process.wait(60) == 0


def waiting(server: Server) -> float:
    return server.metrics()["lingolite_waiting_sentences"]


def can_connect(server: Server) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", server.port)) == 0


def test_a_client_that_goes_away_leaves_the_queue(gated: tuple[Server, Path]) -> None:
    server, gate = gated
    with server.connect() as connection:
        body = json.dumps({"q": "She reads. " * 50, "source": "en", "target": "da"}).encode()
        head = (
            f"POST /translate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        )
        connection.sendall(head.encode() + b"\r\n" + body)
        wait_until(lambda: waiting(server) > 0)
    wait_until(lambda: server.metrics().get('lingolite_requests_total{outcome="abandoned"}') == 1.0)
    gate.write_bytes(b"")
    assert server.post() == {"translatedText": TEXT}


Command = Callable[..., Outcome]


def test_an_address_that_is_taken_is_refused_before_a_model_is_opened(project: Path, echo: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        outcome = run_command("serve", "--port", port, cwd=project, plugins=[echo])
    assert outcome.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in outcome.err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--batch-size", "0"), "batch_size"),
        (("--max-delay-ms", "-1"), "max_delay_ms"),
        (("--max-waiting", "0"), "max_waiting"),
        (("--max-seconds", "0"), "max_seconds"),
        (("--sample-share", "0.5"), "add --sample-log FILE"),
        (("--sample-log", "log", "--sample-share", "2"), "share"),
        (("--sample-log", "model/lingolite.json"), "would be written over"),
        (("--sample-log", "missing/log"), "missing"),
        (("--languages", "en-xx"), "xx"),
        (("--languages", "en"), "expected two languages"),
        (("--server-option", "nothing=1"), "nothing"),
        (("--server-option", "api_keys=missing"), "no such file: missing"),
        (("--server-option", "api_keys=empty"), "has no API key"),
        (("--host", "no such host"), "cannot listen on no such host"),
        (("--server", "gopher"), "there is no server called `gopher`"),
        (("--workers", "0"), "workers"),
        (("nowhere",), "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_is_refused_with_its_name(
    lingolite: Command, project: Path, flags: tuple[str, ...], words: str
) -> None:
    (project / "empty").write_text("# nobody\n")
    before = sorted(project.rglob("*"))
    outcome = lingolite("serve", "--backend", "cached", "--port", "0", *flags)
    assert outcome.code == 2
    assert words in outcome.err
    assert sorted(project.rglob("*")) == before
