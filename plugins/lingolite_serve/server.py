"""The server `http`: listening, and ending without losing a request.

Owns the process's signals and connections while it serves. What is answered is `application`'s.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.serving.sample import SampleLog
from lingolite_cli.serving.service import TranslationService
from lingolite_serve.access import read_api_keys
from lingolite_serve.application import HttpApplication
from lingolite_serve.options import HttpOptions

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 2048
_GRACE_SECONDS = 5
"""Added to the longest time of a request. After both, connections whose answers were not read are closed."""


class HttpServer:
    """Serves a translation service over HTTP.

    Args:
        options: of the server.
    """

    def __init__(self, *, options: HttpOptions) -> None:
        self._options = options
        self._sockets: list[socket.socket] = []

    def check(self) -> None:
        """Listen on the address, so that one in use is refused before a model is opened.

        Raises:
            LingoLiteError: the address cannot be listened on, or the file of API keys has none.
        """
        options = self._options
        if options.api_keys is not None:
            read_api_keys(Path(options.api_keys))
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = socket.socket(family, kind, protocol)
            self._sockets = [listening]
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            # With SO_REUSEADDR two processes may bind one address; only the second that listens is refused.
            listening.listen(_BACKLOG)
        except (OSError, UnicodeError) as error:
            raise LingoLiteError(
                f"cannot listen on {options.host}, port {options.port}: {getattr(error, 'strerror', None) or error}",
                hint="name another --port, or 0 for any that is free",
            ) from None

    def close(self) -> None:
        """Close the listening socket."""
        for listening in self._sockets:
            listening.close()

    def serve(self, service: TranslationService, log: SampleLog | None) -> None:
        """Serve until SIGTERM or Ctrl-C, and then until all requests that were accepted are answered."""
        host, port = self._sockets[0].getsockname()[:2]
        if self._options.host not in _LOOPBACK and self._options.api_keys is None:
            _say(f"warning: {host} can be reached from other machines, and anybody may translate: see api_keys")
        application = HttpApplication(service, self._options, log)
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        config = uvicorn.Config(
            application.asgi,
            loop="asyncio",
            http=_protocol(self._options.receive_seconds),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            limit_concurrency=self._options.max_connections,
            timeout_graceful_shutdown=int(service.limits.max_seconds) + _GRACE_SECONDS,
        )
        server = _Server(config, application, drain_seconds=self._options.drain_seconds)
        shown = f"[{host}]" if ":" in host else host
        server.announcement = f"serving on http://{shown}:{port}"
        asyncio.run(server.serve(sockets=self._sockets))


class _Server(uvicorn.Server):  # type: ignore[misc]
    """Ends in three steps: no new connections; answers that close theirs; then the connections that are left.

    A client may send a request on a connection that it keeps open at the moment in which the process is asked to end.
    Closing that connection at once would lose the request.
    """

    def __init__(self, config: uvicorn.Config, application: HttpApplication, *, drain_seconds: float) -> None:
        super().__init__(config)
        self._application = application
        self._drain_seconds = drain_seconds
        self._is_asked = False
        self.announcement = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and print the address."""
        await super().startup(sockets)
        _say(self.announcement)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, then answer all requests that were accepted."""
        self._application.is_closing = True
        await asyncio.sleep(0)  # accept the connections that wait in the backlog
        for listening in self.servers:
            listening.close()
        await asyncio.sleep(0 if self.force_exit else self._drain_seconds)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the block runs: the first ends the server after its answers, a second one at once.

        uvicorn would raise the signal again afterwards; here the process ends with exit code 0.
        """
        before = {name: signal.signal(name, self._hear) for name in _SIGNALS}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _hear(self, number: int, frame: Any) -> None:
        if not self._is_asked:
            _say("ending after the answers to all requests that were accepted; once more to end at once")
        self.should_exit, self.force_exit, self._is_asked = True, self._is_asked, True


def _protocol(receive_seconds: float) -> type[asyncio.Protocol]:
    """A protocol that closes connections whose request does not begin, or whose headers do not end, in time."""

    class TimedProtocol(H11Protocol):  # type: ignore[misc]
        _headers_due: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self._await_headers()

        def data_received(self, data: bytes) -> None:
            self._await_headers()
            super().data_received(data)
            if self._is_answering():
                self._forget_headers()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget_headers()
            super().connection_lost(exc)

        def _is_answering(self) -> bool:
            return self.cycle is not None and not self.cycle.response_complete

        def _await_headers(self) -> None:
            if self._headers_due is None and not self._is_answering():
                self._headers_due = self.loop.call_later(receive_seconds, self._close_without_headers)

        def _forget_headers(self) -> None:
            if self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None

        def _close_without_headers(self) -> None:
            self._headers_due = None
            if not self._is_answering() and not self.transport.is_closing():
                self.transport.close()

    return TimedProtocol


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
