"""A backend in a process of its own, seen from this one: nothing but the artifact's files reaches it.

Owns the messages about states and logits, and this end of the connection; the other end is `isolated_worker`. How
messages travel is the business of `channel`.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from lingolite_cli.workers.channel import Child, Failed
from lingolite_cli.workers.protocol import Open, Opened

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.plugins.interfaces import ForcedTokens, TopK, Trace

_MODULE = "lingolite_cli.workers.isolated_worker"


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`forgotten` are numbers of states that are no longer needed."""

    forgotten: list[int] = []


class EncodeRequest(_Request, tag="encode", frozen=True, kw_only=True):
    """`Backend.encode`. `source_ids` int64 and `source_mask` bool are bytes of `shape`."""

    shape: tuple[int, int]
    source_ids: bytes
    source_mask: bytes


class StepRequest(_Request, tag="step", frozen=True, kw_only=True):
    """`Backend.step` of the state of that number. `tokens` are bytes of int64."""

    state: int
    tokens: bytes


class SelectRequest(_Request, tag="select", frozen=True, kw_only=True):
    """`Backend.select`; the old state is gone then. `rows` are bytes of int64."""

    state: int
    rows: bytes


class ShowValues(_Request, tag="trace", frozen=True, kw_only=True):
    """`TracingBackend.trace`. Ids and mask are bytes of int64 and bool of the shapes; `bundle` is a path."""

    bundle: str
    source_shape: tuple[int, int]
    target_shape: tuple[int, int]
    source_ids: bytes
    source_mask: bytes
    target_ids: bytes
    operations: list[str] | None


Request = Open | EncodeRequest | StepRequest | SelectRequest | ShowValues


class NewState(msgspec.Struct, tag="state", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The number of a state that `EncodeRequest` or `SelectRequest` made."""

    state: int


class Logits(msgspec.Struct, tag="logits", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes of float32 of `shape`."""

    shape: tuple[int, int]
    values: bytes


class TracedValues(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes of float32 of `shape`, of one operation."""

    shape: tuple[int, ...]
    values: bytes


class TracedTopK(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`TopK`: bytes of int64 and of float32, both of `shape`."""

    shape: tuple[int, ...]
    ids: bytes
    log_probabilities: bytes


class OneTrace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Trace`, with its arrays as bytes."""

    part: str
    values: dict[str, TracedValues]
    unrounded: list[str]
    top_k: TracedTopK | None


class Traced(msgspec.Struct, tag="traced", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trace for each computation."""

    traces: list[OneTrace]


Response = Opened | NewState | Logits | Traced | Failed
_Expected = TypeVar("_Expected", Opened, NewState, Logits, Traced)


class IsolatedState:
    """A state in the other process."""

    def __init__(self, number: int) -> None:
        self.number = number


class IsolatedBackend:
    """Runs an artifact in a fresh process; see `lingolite_cli.plugins.interfaces.Backend`.

    Args:
        request: what is opened there.

    Attributes:
        warnings: those of the backend.

    Raises:
        LingoLiteError: the backend could not be opened there.
    """

    def __init__(self, request: Open) -> None:
        self._forgotten: list[int] = []
        self._taking = threading.Lock()
        what = f"backend `{request.backend}` in a fresh process"
        self._child = Child(_MODULE, response=Response, what=what, threads=request.threads)
        try:
            self.warnings = self._ask(request, Opened).warnings
        except BaseException:
            self.close()
            raise

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> IsolatedState:
        """A state before the first target token."""
        rows, columns = source_ids.shape
        ids, mask = source_ids.astype(np.int64).tobytes(), source_mask.astype(np.bool_).tobytes()
        request = EncodeRequest(
            shape=(rows, columns), source_ids=ids, source_mask=mask, forgotten=self._take_forgotten()
        )
        return self._state(request)

    def step(self, state: IsolatedState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the next token; advances `state`."""
        sent = tokens.astype(np.int64).tobytes()
        logits = self._ask(StepRequest(state=state.number, tokens=sent, forgotten=self._take_forgotten()), Logits)
        return np.frombuffer(logits.values, np.float32).reshape(logits.shape)

    def select(self, state: IsolatedState, rows: IntArray) -> IsolatedState:
        """A state of the given rows."""
        chosen = rows.astype(np.int64).tobytes()
        return self._state(SelectRequest(state=state.number, rows=chosen, forgotten=self._take_forgotten()))

    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        """Values of named operations, of a backend with the capability `trace`."""
        from lingolite_cli.plugins.interfaces import Trace

        operations = None if tokens.operations is None else sorted(tokens.operations)
        request = ShowValues(
            bundle=str(bundle.path.resolve()),
            source_shape=_shape(tokens.source_ids),
            target_shape=_shape(tokens.target_ids),
            source_ids=tokens.source_ids.astype(np.int64).tobytes(),
            source_mask=tokens.source_mask.astype(np.bool_).tobytes(),
            target_ids=tokens.target_ids.astype(np.int64).tobytes(),
            operations=operations,
            forgotten=self._take_forgotten(),
        )
        return [
            Trace(
                part=trace.part,
                values={
                    name: np.frombuffer(one.values, np.float32).reshape(one.shape) for name, one in trace.values.items()
                },
                unrounded=frozenset(trace.unrounded),
                top_k=None if trace.top_k is None else _top_k(trace.top_k),
            )
            for trace in self._ask(request, Traced).traces
        ]

    def close(self) -> None:
        """End the process."""
        self._child.close()

    def _take_forgotten(self) -> list[int]:
        """Each number once. A state may be finalized at any time: its number then goes with the next request."""
        with self._taking:
            taken = self._forgotten[:]
            del self._forgotten[: len(taken)]
            return taken

    def _state(self, request: EncodeRequest | SelectRequest) -> IsolatedState:
        state = IsolatedState(self._ask(request, NewState).state)
        weakref.finalize(state, self._forgotten.append, state.number)
        return state

    def _ask(self, request: Request, expected: type[_Expected]) -> _Expected:
        response = self._child.ask(request)
        assert isinstance(response, expected)
        return response


def _top_k(sent: TracedTopK) -> TopK:
    from lingolite_cli.plugins.interfaces import TopK

    return TopK(
        ids=np.frombuffer(sent.ids, np.int64).reshape(sent.shape),
        log_probabilities=np.frombuffer(sent.log_probabilities, np.float32).reshape(sent.shape),
    )


def _shape(array: IntArray) -> tuple[int, int]:
    rows, columns = array.shape
    return rows, columns
