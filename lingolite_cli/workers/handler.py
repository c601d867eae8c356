"""Handlers by their names, and a process that has one and asks it until stdin ends."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from lingolite_cli.workers.channel import serve
from lingolite_cli.workers.handling import Handled, HandlerRequest, Made, Make

if TYPE_CHECKING:
    from lingolite_cli.plugins.executors import Handler


def make_handler(place: str, setup: bytes, artifacts: Mapping[str, Path]) -> Handler:
    """Make a handler.

    Args:
        place: "package.module:Class".
        setup: for the handler.
        artifacts: directories on this machine, by the handler's names.
    """
    module, _, name = place.partition(":")
    handler: Handler = getattr(import_module(module), name)(setup, artifacts)
    return handler


class HandlerWorker:
    """Holds the one handler of this process."""

    def __init__(self) -> None:
        self._handler: Handler | None = None

    def answer(self, request: HandlerRequest) -> Made | Handled:
        """Do what is asked."""
        if isinstance(request, Make):
            artifacts = {name: Path(path) for name, path in request.artifacts.items()}
            self._handler = make_handler(request.handler, request.setup, artifacts)
            return Made()
        assert self._handler is not None, "asked before it was made"
        return Handled(content=self._handler(request.request))


def serve_requests() -> None:
    """Serve until stdin ends."""
    serve(HandlerWorker().answer, HandlerRequest)


if __name__ == "__main__":
    serve_requests()
