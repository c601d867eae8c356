"""A backend in a process of its own, seen from this one: nothing but the artifact's files reaches it.

Owns the messages between the two processes and this end of them; the other end is `isolated_worker`. A message is a
msgpack document behind its length, 8 bytes, little endian.
"""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec
import numpy as np

from lingolite_cli.errors import ExitCode, LingoLiteError

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import BoolArray, FloatArray, IntArray

_LENGTH_BYTES = 8


class _Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Open(_Message, tag="open", frozen=True, kw_only=True):
    """Open an artifact with a backend; the first message."""

    artifact: str
    backend: str
    options: dict[str, Any]
    threads: int
    blocked: list[str]


class Encode(_Message, tag="encode", frozen=True, kw_only=True):
    """`Backend.encode`. `source_ids` int64 and `source_mask` bool are bytes of `shape`."""

    shape: tuple[int, int]
    source_ids: bytes
    source_mask: bytes


class Step(_Message, tag="step", frozen=True, kw_only=True):
    """`Backend.step` of the state of that number. `tokens` are bytes of int64."""

    state: int
    tokens: bytes


class Select(_Message, tag="select", frozen=True, kw_only=True):
    """`Backend.select`; the old state is gone then. `rows` are bytes of int64."""

    state: int
    rows: bytes


class Forget(_Message, tag="forget", frozen=True, kw_only=True):
    """States that nobody needs any more. There is no answer."""

    states: list[int]


Request = Open | Encode | Step | Select | Forget


class Opened(_Message, tag="opened", frozen=True, kw_only=True):
    """The backend is ready; what users must know of it."""

    warnings: list[str]


class NewState(_Message, tag="state", frozen=True, kw_only=True):
    """The number of a state that `Encode` or `Select` made."""

    state: int


class Logits(_Message, tag="logits", frozen=True, kw_only=True):
    """Bytes of float32 of `shape`."""

    shape: tuple[int, int]
    values: bytes


class Failed(_Message, tag="failed", frozen=True, kw_only=True):
    """What the other process could not do."""

    message: str
    hint: str | None
    exit_code: int


Response = Opened | NewState | Logits | Failed
_Expected = TypeVar("_Expected", Opened, NewState, Logits)


def send(stream: IO[bytes], message: Request | Response) -> None:
    """Write one message."""
    document = msgspec.msgpack.encode(message)
    stream.write(len(document).to_bytes(_LENGTH_BYTES, "little"))
    stream.write(document)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """The document of the next message; None at the end."""
    length = stream.read(_LENGTH_BYTES)
    return stream.read(int.from_bytes(length, "little")) if len(length) == _LENGTH_BYTES else None


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
        self._backend = request.backend
        self._forgotten: list[int] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lingolite_cli.evaluation.isolated_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": str(request.threads)},
        )
        try:
            self.warnings = self._ask(request, Opened).warnings
        except BaseException:
            self.close()
            raise

    def encode(self, source_ids: IntArray, source_mask: BoolArray) -> IsolatedState:
        """A state before the first target token."""
        rows, columns = source_ids.shape
        ids, mask = source_ids.astype(np.int64).tobytes(), source_mask.astype(np.bool_).tobytes()
        return self._state(Encode(shape=(rows, columns), source_ids=ids, source_mask=mask))

    def step(self, state: IsolatedState, tokens: IntArray) -> FloatArray:
        """[B, V] float32 logits of the next token; advances `state`."""
        logits = self._ask(Step(state=state.number, tokens=tokens.astype(np.int64).tobytes()), Logits)
        return np.frombuffer(logits.values, np.float32).reshape(logits.shape)

    def select(self, state: IsolatedState, rows: IntArray) -> IsolatedState:
        """A state of the given rows."""
        return self._state(Select(state=state.number, rows=rows.astype(np.int64).tobytes()))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _state(self, request: Encode | Select) -> IsolatedState:
        state = IsolatedState(self._ask(request, NewState).state)
        weakref.finalize(state, self._forgotten.append, state.number)
        return state

    def _ask(self, request: Request, expected: type[_Expected]) -> _Expected:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._forgotten:
                send(self._process.stdin, Forget(states=self._forgotten[:]))
                self._forgotten.clear()
            send(self._process.stdin, request)
            document = receive(self._process.stdout)
        except BrokenPipeError:  # it is gone already
            document = None
        if document is None:
            code = self._process.wait()
            raise LingoLiteError(f"the fresh process of backend `{self._backend}` died with exit code {code}")
        response: Response = msgspec.msgpack.decode(document, type=Response)
        if isinstance(response, Failed):
            raise LingoLiteError(response.message, hint=response.hint, exit_code=ExitCode(response.exit_code))
        assert isinstance(response, expected)
        return response
