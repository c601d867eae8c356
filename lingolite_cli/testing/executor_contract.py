"""The contract of executors."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.executors import Answer, Executor, Work
from lingolite_cli.testing.contract import Contract

_HANDLER = "lingolite_cli.testing.executor_contract:ContractHandler"


class ContractHandler:
    """What workers do in the contract: a request is a word, and what follows it.

    Args:
        setup: what answers begin with; `refuse` cannot be made.
        artifacts: files that can be read.
    """

    def __init__(self, setup: bytes, artifacts: Mapping[str, Path]) -> None:
        if setup == b"refuse":
            raise LingoLiteError("no engine here", hint="install one", exit_code=ExitCode.PLUGIN)
        self._setup = setup
        self._artifacts = artifacts

    def __call__(self, request: bytes) -> bytes:
        """Do what the first word says."""
        word, _, rest = request.partition(b" ")
        if word == b"fail":
            raise LingoLiteError("bad text", hint="mend it", exit_code=ExitCode.BAD_INPUT)
        if word == b"die" or (word == b"die-once" and not _is_marked(rest)):
            os.kill(os.getpid(), signal.SIGKILL)
        if word == b"read":
            return (self._artifacts["text"] / rest.decode()).read_bytes()
        return self._setup + request


def _is_marked(path: bytes) -> bool:
    """Whether a file was there; it is now."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return True
    return False


class ExecutorContract(Contract):
    """Everything that the host relies on in an executor; it must work on this machine."""

    kind = "executor"

    @contextmanager
    def opened(self, tmp_path: Path, *, setup: bytes = b"> ", num_workers: int = 2) -> Iterator[Executor]:
        """The executor under test, at work."""
        (tmp_path / "artifact" / "deep").mkdir(parents=True)
        (tmp_path / "artifact" / "deep" / "file").write_bytes(b"what the file has")
        work = Work(handler=_HANDLER, setup=setup, artifacts={"text": tmp_path / "artifact"})
        executor = cast("Executor", self.loaded().create(work, options=self.options, num_workers=num_workers))
        try:
            yield executor
        finally:
            executor.close()

    def test_each_request_is_answered_once_and_artifacts_are_read(self, tmp_path: Path) -> None:
        requests = [f"echo {number}".encode() for number in range(20)]
        with self.opened(tmp_path) as executor:
            assert sorted(_contents(executor.answers(requests)).items()) == [
                (position, b"> " + request) for position, request in enumerate(requests)
            ]
            assert _contents(executor.answers([b"read deep/file"])) == {0: b"what the file has"}
            assert list(executor.answers([])) == []

    def test_requests_are_taken_as_workers_need_them(self, tmp_path: Path) -> None:
        taken: list[int] = []

        def requests() -> Iterator[bytes]:
            for number in range(30):
                taken.append(number)
                yield b"echo"

        with self.opened(tmp_path) as executor:
            for num_answered, _ in enumerate(executor.answers(requests())):
                assert len(taken) <= num_answered + 1 + 2 * 2 + 1  # two a worker, and one in the host's hand
        assert len(taken) == 30

    def test_an_error_keeps_its_message_hint_and_exit_code(self, tmp_path: Path) -> None:
        with self.opened(tmp_path) as executor, pytest.raises(LingoLiteError, match="bad text") as caught:
            list(executor.answers([b"fail"]))
        assert (caught.value.hint, caught.value.exit_code) == ("mend it", ExitCode.BAD_INPUT)

    def test_a_handler_that_cannot_be_made_is_told(self, tmp_path: Path) -> None:
        with (
            pytest.raises(LingoLiteError, match="no engine here") as caught,
            self.opened(tmp_path, setup=b"refuse") as executor,
        ):
            list(executor.answers([b"echo"]))
        assert (caught.value.hint, caught.value.exit_code) == ("install one", ExitCode.PLUGIN)

    def test_a_request_whose_worker_dies_is_asked_again(self, tmp_path: Path) -> None:
        once = f"die-once {tmp_path / 'mark'}".encode()
        requests = [b"echo a", once, *(b"echo b" for _ in range(6))]
        with self.opened(tmp_path) as executor:
            found = _contents(executor.answers(requests))
        assert found == {position: b"> " + request for position, request in enumerate(requests)}

    def test_a_request_that_ends_two_workers_is_told_and_the_others_go_on(self, tmp_path: Path) -> None:
        requests = [b"echo a", b"die", *(b"echo b" for _ in range(6))]
        with self.opened(tmp_path) as executor:
            answers = {answer.position: answer for answer in executor.answers(requests)}
            assert _contents(executor.answers([b"echo c"])) == {0: b"> echo c"}
        assert sorted(answers) == list(range(8))
        assert [position for position, answer in answers.items() if answer.content is None] == [1]
        assert answers[1].death


def _contents(answers: Iterator[Answer]) -> dict[int, bytes | None]:
    found: dict[int, bytes | None] = {}
    for answer in answers:
        assert answer.position not in found, "answered twice"
        found[answer.position] = answer.content
    return found
