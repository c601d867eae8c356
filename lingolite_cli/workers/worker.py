"""One of several workers: a backend in a process of its own, which is handed batches."""

from __future__ import annotations

from typing import Any

from lingolite_cli.artifact import Artifact
from lingolite_cli.workers.channel import serve
from lingolite_cli.workers.memory import peak_memory_mb
from lingolite_cli.workers.protocol import Found, Open, Opened, Request, Search


class SearchWorker:
    """Holds the one backend of this process."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._capabilities: frozenset[str] = frozenset()

    def answer(self, request: Request) -> Opened | Found:
        """Do what is asked."""
        return self._open(request) if isinstance(request, Open) else self._search(request)

    def _open(self, request: Open) -> Opened:
        from lingolite_cli.plugins.registry import load_registry

        loaded = load_registry(blocked=request.blocked).resolve("backend", request.backend)
        artifact = Artifact.open(request.artifact, verify=False)
        self._backend = loaded.open(artifact, options=request.options, threads=request.threads)
        self._capabilities = loaded.spec.capabilities
        return Opened(warnings=list(getattr(self._backend, "warnings", ())))

    def _search(self, request: Search) -> Found:
        from lingolite_cli.decoding.batching import pad
        from lingolite_cli.decoding.search import search

        found = search(
            self._backend,
            *pad(request.sources, request.ids.pad),
            ids=request.ids,
            options=request.options,
            capabilities=self._capabilities,
        )
        return Found(hypotheses=found, peak_memory_mb=peak_memory_mb())


def serve_searches() -> None:
    """Serve until stdin ends."""
    serve(SearchWorker().answer, Request)


if __name__ == "__main__":
    serve_searches()
