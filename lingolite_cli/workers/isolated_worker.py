"""The other end of `lingolite_cli.workers.isolation`: one backend, driven by messages on stdin until it ends."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from lingolite_cli.arrays import Array
from lingolite_cli.artifact import Artifact
from lingolite_cli.errors import engine_failures
from lingolite_cli.workers.channel import serve
from lingolite_cli.workers.isolation import (
    EncodeRequest,
    Logits,
    NewState,
    OneTrace,
    Request,
    SelectRequest,
    ShowValues,
    StepRequest,
    Traced,
    TracedTopK,
    TracedValues,
)
from lingolite_cli.workers.protocol import Open, Opened

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import TopK, Trace


class SteppingWorker:
    """Holds the one backend of this process, and its states."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._states: dict[int, Any] = {}
        self._numbers = count()

    def answer(self, request: Request) -> Opened | NewState | Logits | Traced:
        """Do what is asked."""
        if isinstance(request, Open):
            return self._open(request)
        for number in request.forgotten:  # those that `SelectRequest` used up are gone already
            self._states.pop(number, None)
        with engine_failures("the engine failed while it was compared"):
            return self._compute(request)

    def _compute(self, request: EncodeRequest | StepRequest | SelectRequest | ShowValues) -> NewState | Logits | Traced:
        if isinstance(request, EncodeRequest):
            ids = np.frombuffer(request.source_ids, np.int64).reshape(request.shape)
            mask = np.frombuffer(request.source_mask, np.bool_).reshape(request.shape)
            return self._keep(self._backend.encode(ids.copy(), mask.copy()))
        if isinstance(request, SelectRequest):
            rows = np.frombuffer(request.rows, np.int64).copy()
            return self._keep(self._backend.select(self._states.pop(request.state), rows))
        return self._trace(request) if isinstance(request, ShowValues) else self._step(request)

    def _open(self, request: Open) -> Opened:
        from lingolite_cli.plugins.registry import load_registry

        loaded = load_registry(blocked=request.blocked).resolve("backend", request.backend)
        artifact = Artifact.open(request.artifact)
        self._backend = loaded.open(artifact, options=request.options, threads=request.threads)
        return Opened(warnings=list(getattr(self._backend, "warnings", ())))

    def _step(self, request: StepRequest) -> Logits:
        tokens = np.frombuffer(request.tokens, np.int64).copy()
        logits = np.ascontiguousarray(self._backend.step(self._states[request.state], tokens), np.float32)
        return Logits(shape=(logits.shape[0], logits.shape[1]), values=logits.tobytes())

    def _trace(self, request: ShowValues) -> Traced:
        from lingolite_cli.plugins.interfaces import ForcedTokens

        tokens = ForcedTokens(
            source_ids=np.frombuffer(request.source_ids, np.int64).reshape(request.source_shape).copy(),
            source_mask=np.frombuffer(request.source_mask, np.bool_).reshape(request.source_shape).copy(),
            target_ids=np.frombuffer(request.target_ids, np.int64).reshape(request.target_shape).copy(),
            operations=None if request.operations is None else frozenset(request.operations),
        )
        traces = self._backend.trace(tokens, bundle=Artifact.open(request.bundle))
        return Traced(traces=[_sent(trace) for trace in traces])

    def _keep(self, state: Any) -> NewState:
        number = next(self._numbers)
        self._states[number] = state
        return NewState(state=number)


def _sent(trace: Trace) -> OneTrace:
    return OneTrace(
        part=trace.part,
        values={name: _values(one) for name, one in trace.values.items()},
        unrounded=sorted(trace.unrounded),
        top_k=None if trace.top_k is None else _top_k(trace.top_k),
    )


def _top_k(found: TopK) -> TracedTopK:
    ids = np.ascontiguousarray(found.ids, np.int64)
    values = np.ascontiguousarray(found.log_probabilities, np.float32)
    return TracedTopK(shape=tuple(ids.shape), ids=ids.tobytes(), log_probabilities=values.tobytes())


def _values(array: Array) -> TracedValues:
    values = np.ascontiguousarray(array, np.float32)
    return TracedValues(shape=tuple(values.shape), values=values.tobytes())


def serve_steps() -> None:
    """Serve until stdin ends."""
    serve(SteppingWorker().answer, Request)


if __name__ == "__main__":
    serve_steps()
