"""The other end of `lingolite_cli.evaluation.isolation`: one backend, driven by messages on stdin until it ends."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from itertools import count
from typing import Any

import msgspec
import numpy as np

from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.evaluation.isolation import (
    Encode,
    Failed,
    Forget,
    Logits,
    NewState,
    Open,
    Opened,
    Request,
    Response,
    Select,
    Step,
    receive,
    send,
)


class Worker:
    """Holds the one backend of this process, and its states."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._states: dict[int, Any] = {}
        self._numbers = count()

    def answer(self, request: Open | Encode | Step | Select) -> Response:
        """Do what is asked."""
        if isinstance(request, Open):
            return self._open(request)
        if isinstance(request, Encode):
            ids = np.frombuffer(request.source_ids, np.int64).reshape(request.shape)
            mask = np.frombuffer(request.source_mask, np.bool_).reshape(request.shape)
            return self._keep(self._backend.encode(ids.copy(), mask.copy()))
        if isinstance(request, Select):
            rows = np.frombuffer(request.rows, np.int64).copy()
            return self._keep(self._backend.select(self._states.pop(request.state), rows))
        tokens = np.frombuffer(request.tokens, np.int64).copy()
        logits = np.ascontiguousarray(self._backend.step(self._states[request.state], tokens), np.float32)
        return Logits(shape=(logits.shape[0], logits.shape[1]), values=logits.tobytes())

    def forget(self, request: Forget) -> None:
        """Drop states; those that `Select` used up are gone already."""
        for number in request.states:
            self._states.pop(number, None)

    def _open(self, request: Open) -> Opened:
        from lingolite_cli.plugins.registry import load_registry

        loaded = load_registry(blocked=request.blocked).resolve("backend", request.backend)
        artifact = Artifact.open(request.artifact)
        self._backend = loaded.create(artifact, options=request.options, threads=request.threads)
        return Opened(warnings=list(getattr(self._backend, "warnings", ())))

    def _keep(self, state: Any) -> NewState:
        number = next(self._numbers)
        self._states[number] = state
        return NewState(state=number)


def main() -> None:
    """Serve until stdin ends. Whatever an engine prints goes to stderr, so that stdout holds answers alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the other process ends this one
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker()
    decoder = msgspec.msgpack.Decoder(Request)
    while (document := receive(sys.stdin.buffer)) is not None:
        request = decoder.decode(document)
        if isinstance(request, Forget):
            worker.forget(request)
            continue
        response: Response
        try:
            response = worker.answer(request)
        except LingoLiteError as error:
            response = Failed(message=error.message, hint=error.hint, exit_code=int(error.exit_code))
        except Exception as error:
            traceback.print_exc()
            response = Failed(message=f"{type(error).__name__}: {error}", hint=None, exit_code=int(ExitCode.BUG))
        send(answers, response)


if __name__ == "__main__":
    main()
