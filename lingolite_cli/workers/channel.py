"""A child process that answers requests, seen from both of its ends.

Owns how it is started, asked and ended, and how messages travel: msgpack on stdin and stdout, followed by what is
attached to it. What the messages contain is the business of the protocols.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, TypeVar

import msgspec

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.process.streams import secure_standard_streams
from lingolite_cli.workers.home_process import HomeProcess

Message = TypeVar("Message")

_NUMBER_BYTES = 8
_KILLED = -9
_OF_THE_GROUP = tuple(name for name in ("SIGINT", "SIGHUP") if hasattr(signal, name))  # Windows has no SIGHUP
_START = (
    "import sys; path = {path!r}; sys.path[:] = path + [entry for entry in sys.path if entry and entry not in path]; "
    "import runpy; runpy.run_module({module!r}, run_name='__main__')"
)
"""A child imports what its parent does. `python -m` would search the working directory first, where a project may have
any module."""


class Attachment:
    """Bytes that travel behind a message that has this as a field. Neither end copies them.

    A message holds its arrays this way: logits of a vocabulary are megabytes a step, and msgpack would copy them once
    at each end.

    Attributes:
        content: one-dimensional, of single bytes.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self.content = content


class Failed(msgspec.Struct, tag="failed", frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer of a child that could not do what was asked."""

    message: str
    hint: str | None
    exit_code: int


class ChildDied(LingoLiteError):
    """A child ended before it answered."""


class Child:
    """A process of this program that answers one request at a time, in the order of their sending.

    Several threads may ask it at once: then the next request waits in the pipe while it works on the one before.

    Args:
        module: what it runs: a module that calls `serve` when it is run.
        response: the type of its answers, `Failed` among them.
        what: what it is, for messages.
        threads: for engines that go by OpenMP's environment.
    """

    def __init__(self, module: str, *, response: Any, what: str, threads: int) -> None:
        self._what = what
        self._home = HomeProcess(what)
        self._decoder = _Decoder(response)
        self._started = time.perf_counter()
        self._sending, self._receiving = threading.Lock(), threading.Lock()
        with _without_interruptions():
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path, module=module)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            )

    @property
    def age_seconds(self) -> float:
        """Seconds since the process was made."""
        return time.perf_counter() - self._started

    def ask(self, request: msgspec.Struct) -> Any:
        """Send a request and wait for the answer.

        Raises:
            ChildDied: it is no more.
            LingoLiteError: the child could not do it; or this is a fork of the process that made it.
        """
        self._home.require()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._sending:
            with suppress(BrokenPipeError):  # it is gone already, and so is its end of the other pipe
                _send(self._process.stdin, request)
            self._receiving.acquire()  # before another thread sends, so that each answer reaches the thread that asked
        try:
            answer = _receive(self._process.stdout)
            response = None if answer is None else self._decoder.decode(answer)
        finally:
            self._receiving.release()
        if response is None:
            code = self._process.wait()
            hint = "the system may have ended it for want of memory: pass fewer --workers" if code == _KILLED else None
            raise ChildDied(f"{self._what}: its process died with exit code {code}", hint=hint)
        if isinstance(response, Failed):
            raise LingoLiteError(
                f"{self._what}: {response.message}", hint=response.hint, exit_code=ExitCode(response.exit_code)
            )
        return response

    def kill(self) -> None:
        """End the process, whatever it is doing; a thread that waits for its answer gets an error."""
        if not self._home.is_here:
            return
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and free its pipes. Nobody waits for an answer any more. A fork only frees its own ends."""
        if not self._home.is_here:
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
            return
        self._process.kill()
        self._process.communicate()


def serve(answer: Callable[[Any], msgspec.Struct], request: Any) -> None:
    """The child's end: answer requests of type `request` until stdin ends.

    What `answer` raises is sent as `Failed`. Whatever an engine prints goes to stderr, so that stdout holds answers
    alone.
    """
    secure_standard_streams()
    # Ctrl-C and the end of a terminal reach the whole group; the parent ends this process.
    for name in _OF_THE_GROUP:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    decoder = _Decoder(request)

    def respond(message: list[bytes]) -> msgspec.Struct:
        try:
            return answer(decoder.decode(message))
        except BaseException as error:  # a library that calls `sys.exit` does not end the worker
            return failure_of(error)

    while (message := _receive(sys.stdin.buffer)) is not None:
        # No name is given to a response: what is attached to it may be an engine's memory, and some engines do not go
        # on while an array refers to it.
        _send(answers, respond(message))


def failure_of(error: BaseException) -> Failed:
    """The answer for what was raised; what is no error of a user's is shown on stderr with its traceback."""
    if isinstance(error, LingoLiteError):
        return Failed(message=error.message, hint=error.hint, exit_code=int(error.exit_code))
    traceback.print_exception(error)
    return Failed(message=f"{type(error).__name__}: {error}", hint=None, exit_code=int(ExitCode.BUG))


@contextmanager
def _without_interruptions() -> Iterator[None]:
    """A process that is made inside never hears SIGINT or SIGHUP, not even before its first line runs.

    It inherits the mask.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in _OF_THE_GROUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(stream: IO[bytes], message: msgspec.Struct) -> None:
    """Write the number of parts, and each part after its length: the message, then its attachments."""
    attached: list[bytes | memoryview] = []

    def leave_out(field: object) -> int:
        assert isinstance(field, Attachment), f"{type(field)} in a message"
        attached.append(field.content)
        return len(attached)

    parts = [msgspec.msgpack.encode(message, enc_hook=leave_out), *attached]
    stream.write(len(parts).to_bytes(_NUMBER_BYTES, "big"))
    for part in parts:  # one by one, because a sum would be a copy
        stream.write(len(part).to_bytes(_NUMBER_BYTES, "big"))
        stream.write(part)
    stream.flush()


def _receive(stream: IO[bytes]) -> list[bytes] | None:
    """The parts of the next message; None where the stream ends, in the midst of a message too."""
    count = _receive_number(stream)
    if count is None:
        return None
    parts: list[bytes] = []
    for _ in range(count):
        length = _receive_number(stream)
        if length is None:
            return None
        parts.append(stream.read(length))
        if len(parts[-1]) < length:
            return None
    return parts


def _receive_number(stream: IO[bytes]) -> int | None:
    digits = stream.read(_NUMBER_BYTES)
    return int.from_bytes(digits, "big") if len(digits) == _NUMBER_BYTES else None


class _Decoder:
    """Makes messages of one type from their parts, one at a time."""

    def __init__(self, expected: Any) -> None:
        self._decoder = msgspec.msgpack.Decoder(expected, dec_hook=self._attachment)
        self._parts: list[bytes] = []

    def decode(self, parts: list[bytes]) -> Any:
        self._parts = parts
        try:
            return self._decoder.decode(parts[0])
        finally:
            self._parts = []  # what is attached lives as long as its message, and no longer

    def _attachment(self, kind: type, place: int) -> Attachment:
        assert kind is Attachment, f"{kind} in a message"
        return Attachment(self._parts[place])
