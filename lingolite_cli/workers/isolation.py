"""A backend in a process of its own, seen from this one: nothing but the artifact's files reaches it.

Owns the messages about states and logits, and this end of the connection; the other end is `isolated_worker`. How
messages travel is the business of `channel`.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from lingolite_cli.decoding.forced import Agreement
from lingolite_cli.tokenization.description import DecodingIds
from lingolite_cli.workers.channel import Child, Failed
from lingolite_cli.workers.protocol import Open, Opened
from lingolite_cli.workers.sent_array import SentArray

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.artifact import Artifact
    from lingolite_cli.plugins.interfaces import ForcedTokens, TopK, Trace

_MODULE = "lingolite_cli.workers.isolated_worker"


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`forgotten` are numbers of states that are no longer needed."""

    forgotten: list[int] = []


class EncodeRequest(_Request, tag="encode", frozen=True, kw_only=True):
    """`Backend.encode`."""

    source_ids: SentArray
    source_mask: SentArray


class StepRequest(_Request, tag="step", frozen=True, kw_only=True):
    """`Backend.step` of the state of that number."""

    state: int
    tokens: SentArray


class SelectRequest(_Request, tag="select", frozen=True, kw_only=True):
    """`Backend.select`; the old state is gone then."""

    state: int
    rows: SentArray


class CountAgreement(_Request, tag="agreement", frozen=True, kw_only=True):
    """`lingolite_cli.decoding.forced.forced_agreement`."""

    source_ids: SentArray
    source_mask: SentArray
    targets: list[list[int]]
    ids: DecodingIds


class ShowValues(_Request, tag="trace", frozen=True, kw_only=True):
    """`TracingBackend.trace`. `bundle` is a path."""

    bundle: str
    source_ids: SentArray
    source_mask: SentArray
    target_ids: SentArray
    operations: list[str] | None


Request = Open | EncodeRequest | StepRequest | SelectRequest | CountAgreement | ShowValues


class NewState(msgspec.Struct, tag="state", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The number of a state that `EncodeRequest` or `SelectRequest` made."""

    state: int


class Logits(msgspec.Struct, tag="logits", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[B, V] float32."""

    values: SentArray


class Counted(msgspec.Struct, tag="counted", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The outcome of `CountAgreement`."""

    agreement: Agreement


class TracedTopK(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`TopK`: int64 and float32."""

    ids: SentArray
    log_probabilities: SentArray


class OneTrace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Trace`; its values are float32."""

    part: str
    values: dict[str, SentArray]
    unrounded: list[str]
    top_k: TracedTopK | None


class Traced(msgspec.Struct, tag="traced", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trace for each computation."""

    traces: list[OneTrace]


Response = Opened | NewState | Logits | Counted | Traced | Failed
_Expected = TypeVar("_Expected", Opened, NewState, Logits, Counted, Traced)


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
        request = EncodeRequest(
            source_ids=SentArray.of(source_ids, "int64"),
            source_mask=SentArray.of(source_mask, "bool"),
            forgotten=self._take_forgotten(),
        )
        return self._state(request)

    def step(self, state: IsolatedState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the next token; advances `state`."""
        sent = SentArray.of(tokens, "int64")
        request = StepRequest(state=state.number, tokens=sent, forgotten=self._take_forgotten())
        return self._ask(request, Logits).values.array

    def select(self, state: IsolatedState, rows: IntArray) -> IsolatedState:
        """A state of the given rows."""
        chosen = SentArray.of(rows, "int64")
        return self._state(SelectRequest(state=state.number, rows=chosen, forgotten=self._take_forgotten()))

    def agreement(
        self,
        source_ids: IntArray,
        source_mask: BoolArray,
        *,
        targets: Sequence[Sequence[int]],
        ids: DecodingIds,
    ) -> Agreement:
        """As `lingolite_cli.decoding.forced.forced_agreement` of this backend; its logits stay in the other process."""
        request = CountAgreement(
            source_ids=SentArray.of(source_ids, "int64"),
            source_mask=SentArray.of(source_mask, "bool"),
            targets=[list(target) for target in targets],
            ids=ids,
            forgotten=self._take_forgotten(),
        )
        return self._ask(request, Counted).agreement

    def trace(self, tokens: ForcedTokens, *, bundle: Artifact) -> list[Trace]:
        """Values of named operations, of a backend with the capability `trace`."""
        from lingolite_cli.plugins.interfaces import Trace

        operations = None if tokens.operations is None else sorted(tokens.operations)
        request = ShowValues(
            bundle=str(bundle.path.resolve()),
            source_ids=SentArray.of(tokens.source_ids, "int64"),
            source_mask=SentArray.of(tokens.source_mask, "bool"),
            target_ids=SentArray.of(tokens.target_ids, "int64"),
            operations=operations,
            forgotten=self._take_forgotten(),
        )
        return [
            Trace(
                part=trace.part,
                values={name: one.array for name, one in trace.values.items()},
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

    return TopK(ids=sent.ids.array, log_probabilities=sent.log_probabilities.array)
