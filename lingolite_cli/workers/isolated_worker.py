"""The other end of `lingolite_cli.workers.isolation`: one backend, driven by messages on stdin until it ends."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.forced import forced_agreement
from lingolite_cli.errors import engine_failures
from lingolite_cli.workers.channel import serve
from lingolite_cli.workers.isolation import (
    CountAgreement,
    Counted,
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
)
from lingolite_cli.workers.protocol import Open, Opened
from lingolite_cli.workers.sent_array import SentArray

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import TopK, Trace

_Computation: TypeAlias = EncodeRequest | StepRequest | SelectRequest | CountAgreement | ShowValues
_Computed: TypeAlias = NewState | Logits | Counted | Traced


class SteppingWorker:
    """Holds the one backend of this process, and its states."""

    def __init__(self) -> None:
        self._backend: Any = None
        self._states: dict[int, Any] = {}
        self._numbers = count()

    def answer(self, request: Request) -> Opened | _Computed:
        """Do what is asked."""
        if isinstance(request, Open):
            return self._open(request)
        for number in request.forgotten:  # those that `SelectRequest` used up are gone already
            self._states.pop(number, None)
        with engine_failures("the engine failed while it was compared"):
            return self._compute(request)

    def _compute(self, request: _Computation) -> _Computed:
        if isinstance(request, EncodeRequest):
            return self._keep(self._backend.encode(request.source_ids.array.copy(), request.source_mask.array.copy()))
        if isinstance(request, SelectRequest):
            return self._keep(self._backend.select(self._states.pop(request.state), request.rows.array.copy()))
        if isinstance(request, CountAgreement):
            return self._count(request)
        return self._trace(request) if isinstance(request, ShowValues) else self._step(request)

    def _open(self, request: Open) -> Opened:
        from lingolite_cli.plugins.registry import load_registry

        loaded = load_registry(blocked=request.blocked).resolve("backend", request.backend)
        artifact = Artifact.open(request.artifact)
        self._backend = loaded.open(artifact, options=request.options, threads=request.threads)
        return Opened(warnings=list(getattr(self._backend, "warnings", ())))

    def _step(self, request: StepRequest) -> Logits:
        logits = self._backend.step(self._states[request.state], request.tokens.array.copy())
        return Logits(values=SentArray.of(logits, "float32"))

    def _count(self, request: CountAgreement) -> Counted:
        ids, mask = request.source_ids.array.copy(), request.source_mask.array.copy()
        return Counted(agreement=forced_agreement(self._backend, ids, mask, targets=request.targets, ids=request.ids))

    def _trace(self, request: ShowValues) -> Traced:
        from lingolite_cli.plugins.interfaces import ForcedTokens

        tokens = ForcedTokens(
            source_ids=request.source_ids.array.copy(),
            source_mask=request.source_mask.array.copy(),
            target_ids=request.target_ids.array.copy(),
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
        values={name: SentArray.of(one, "float32") for name, one in trace.values.items()},
        unrounded=sorted(trace.unrounded),
        top_k=None if trace.top_k is None else _top_k(trace.top_k),
    )


def _top_k(found: TopK) -> TracedTopK:
    return TracedTopK(
        ids=SentArray.of(found.ids, "int64"), log_probabilities=SentArray.of(found.log_probabilities, "float32")
    )


def serve_steps() -> None:
    """Serve until stdin ends."""
    serve(SteppingWorker().answer, Request)


if __name__ == "__main__":
    serve_steps()
