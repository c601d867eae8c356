"""A worker process, seen from the measuring process: how it is started, asked and ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from lingolite_cli.benchmark.protocol import Failed, Load, Request, Response
from lingolite_cli.errors import ExitCode, LingoLiteError


class System(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker shall load."""

    name: str
    load: Load


class WorkerProcess:
    """A worker that runs."""

    def __init__(self, system: System, process: subprocess.Popen[bytes], *, started: float) -> None:
        self.system = system
        self._process = process
        self._started = started

    @property
    def age_seconds(self) -> float:
        """Seconds since the process was made."""
        return time.perf_counter() - self._started

    def ask(self, request: Request) -> Response:
        """Send a request and wait for the answer.

        Raises:
            LingoLiteError: the worker could not do it, or died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(msgspec.json.encode(request) + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:  # it is gone already
            line = b""
        if not line:
            code = self._process.wait()
            raise LingoLiteError(f"benchmark of {self.system.name}: its process died with exit code {code}")
        response: Response = msgspec.json.decode(line, type=Response)
        if isinstance(response, Failed):
            raise LingoLiteError(
                f"benchmark of {self.system.name}: {response.message}",
                hint=response.hint,
                exit_code=ExitCode(response.exit_code),
            )
        return response


@contextmanager
def start_worker(system: System) -> Iterator[WorkerProcess]:
    """A fresh process for one system; it ends with the block, however that ends."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "lingolite_cli.benchmark.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(system.load.threads)},
    )
    try:
        yield WorkerProcess(system, process, started=started)
    finally:
        process.kill()
        process.communicate()
