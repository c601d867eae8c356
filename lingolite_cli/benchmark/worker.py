"""One system in a process of its own: reads requests on stdin, answers on stdout, until stdin ends."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.benchmark.protocol import Failed, Load, Loaded, Request, Response, Timed, Translate
from lingolite_cli.errors import ExitCode, LingoLiteError


class Worker:
    """Holds the one backend of this process."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._artifact: Artifact | None = None
        self._tokenizer: Any = None
        self._capabilities: frozenset[str] = frozenset()

    def answer(self, request: Request) -> Response:
        """Do what is asked."""
        return self._load(request) if isinstance(request, Load) else self._translate(request)

    def _load(self, request: Load) -> Loaded:
        from lingolite_cli.plugins.registry import load_registry

        loaded = load_registry(blocked=request.blocked).resolve("backend", request.backend)
        started = time.perf_counter()
        from lingolite_cli.tokenizer import Tokenizer

        self._artifact = Artifact.open(request.artifact, verify=False)
        self._tokenizer = Tokenizer(self._artifact.tokenizer_path)
        self._backend = loaded.create(self._artifact, options=request.options, threads=request.threads)
        self._capabilities = loaded.spec.capabilities
        return Loaded(seconds=time.perf_counter() - started)

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
            latencies_ms=latencies_ms if request.batch_size == 1 else [],
            peak_memory_mb=peak_memory_mb(),
        )


def peak_memory_mb() -> float | None:
    """Peak resident memory of this process in MB; None where the system does not tell."""
    try:
        # Not getrusage on Linux: its figure survives exec and would include the parent's memory.
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return _peak_by_getrusage()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith("VmHWM"))


def _peak_by_getrusage() -> float | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main() -> None:
    """Serve until stdin ends. Whatever an engine prints goes to stderr, so that stdout holds answers alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the measuring process ends this one
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker()
    decoder = msgspec.json.Decoder(Request)
    for line in sys.stdin.buffer:
        try:
            response = worker.answer(decoder.decode(line))
        except LingoLiteError as error:
            response = Failed(message=error.message, hint=error.hint, exit_code=int(error.exit_code))
        except Exception as error:
            traceback.print_exc()
            response = Failed(message=f"{type(error).__name__}: {error}", hint=None, exit_code=int(ExitCode.BUG))
        answers.write(msgspec.json.encode(response) + b"\n")
        answers.flush()


if __name__ == "__main__":
    main()
