"""The process of one system: it loads the artifact and translates on request, and reports times."""

from __future__ import annotations

import time
from typing import Any

from lingolite_cli.artifact import Artifact
from lingolite_cli.benchmark.protocol import BackendLoaded, Load, Request, Timed, Translate
from lingolite_cli.workers.channel import serve
from lingolite_cli.workers.memory import peak_memory_mb


class BenchmarkWorker:
    """Holds the one backend of this process."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._artifact: Artifact | None = None
        self._tokenizer: Any = None
        self._capabilities: frozenset[str] = frozenset()
        self._num_workers = 1

    def answer(self, request: Request) -> BackendLoaded | Timed:
        """Do what is asked."""
        return self._load(request) if isinstance(request, Load) else self._translate(request)

    def _load(self, request: Load) -> BackendLoaded:
        from lingolite_cli.plugins.registry import load_registry

        loaded = load_registry(blocked=request.blocked).resolve("backend", request.backend)
        started = time.perf_counter()
        from lingolite_cli.tokenization.opening import open_tokenizer
        from lingolite_cli.workers.pool import open_backend

        self._artifact = Artifact.open(request.artifact, verify=False)
        self._tokenizer = open_tokenizer(self._artifact)
        self._backend, self._capabilities = open_backend(
            loaded,
            self._artifact,
            options=request.options,
            threads=request.threads,
            workers=request.workers,
            blocked=tuple(request.blocked),
        )
        self._num_workers = request.workers
        return BackendLoaded(seconds=time.perf_counter() - started)

    def _translate(self, request: Translate) -> Timed:
        from lingolite_cli.decoding.translator import Translator

        assert self._artifact is not None, "translate before load"
        translator = Translator(
            self._backend,
            self._tokenizer,
            self._artifact.manifest.model,
            request.languages,
            options=request.decoding,
            batch_size=request.batch_size,
            capabilities=self._capabilities,
        )
        num_tokens = 0
        latencies_ms = []
        before = started = time.perf_counter()
        for translation in translator.translate(request.sources):
            now = time.perf_counter()
            latencies_ms.append((now - before) * 1e3)
            num_tokens += len(translation.tokens)
            before = now
        return Timed(
            seconds=time.perf_counter() - started,
            num_tokens=num_tokens,
            latencies_ms=latencies_ms if request.batch_size == self._num_workers == 1 else [],
            peak_memory_mb=peak_memory_mb() if self._num_workers == 1 else self._backend.peak_memory_mb,
        )


if __name__ == "__main__":
    serve(BenchmarkWorker().answer, Request)
