"""The contract of servers.

Owns the process in which a server runs here, and the engine behind it, which repeats its sources. How a client asks is
the author's: only the author knows the protocol.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.hypothesis import Hypothesis
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.serving.batcher import Batcher, BatchPolicy
from lingolite_cli.serving.sample import SampledRequest, SampleLog, SampleLogOptions, read_sample_logs
from lingolite_cli.serving.service import Languages, RequestError, ServingLimits, TranslationService
from lingolite_cli.testing.contract import Contract
from lingolite_cli.testing.routes import registry
from lingolite_cli.testing.tiny import LANGUAGES, SENTENCES, tiny_bundle
from lingolite_cli.tokenization.opening import open_tokenizer

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray
    from lingolite_cli.plugins.servers import Server
    from lingolite_cli.tokenization.description import DecodingIds, TokenizerDescription

_LOG = "served.jsonl"
_LIMITS = ServingLimits(max_characters=200)
_HOLD, _HELD = "hold", "held"
"""Files: while the first is there, the engine waits, and says so by the second."""
_SECONDS = 60.0


class _RepeatingEngine:
    """A `lingolite_cli.plugins.interfaces.PoolBackend` that repeats its sources.

    Args:
        description: of the tokenizer: what frames a source.
        directory: in which it looks for `_HOLD`.
    """

    num_workers = 2

    def __init__(self, description: TokenizerDescription, directory: Path) -> None:
        self._frame = len(description.frame.source_prefix), len(description.frame.source_suffix)
        self._directory = directory
        self._threads = ThreadPoolExecutor(2 * self.num_workers)

    def submit(
        self, source_ids: IntArray, source_mask: BoolArray, options: DecodingOptions, ids: DecodingIds
    ) -> Future[list[list[Hypothesis]]]:
        """Repeat a batch."""
        rows = [row[mask].tolist() for row, mask in zip(source_ids, source_mask, strict=True)]
        return self._threads.submit(self._search, rows, ids)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _search(self, rows: list[list[int]], ids: DecodingIds) -> list[list[Hypothesis]]:
        if (self._directory / _HOLD).exists():
            (self._directory / _HELD).touch()
            _wait_until(lambda: not (self._directory / _HOLD).exists())
        return [[self._repeated(row, ids)] for row in rows]

    def _repeated(self, row: list[int], ids: DecodingIds) -> Hypothesis:
        prefix, suffix = self._frame
        return Hypothesis(
            tokens=(*row[prefix : len(row) - suffix], ids.end), log_probability=-1.0, score=-1.0, is_finished=True
        )


class ServerUnderTest:
    """A server in a process of its own.

    Args:
        process: that process.
        directory: where its log is, and the files by which texts are held.
    """

    def __init__(self, process: BaseProcess, directory: Path) -> None:
        self.process = process
        self._directory = directory

    @property
    def log(self) -> list[SampledRequest]:
        """What it recorded."""
        return list(read_sample_logs([self._directory / _LOG]))

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep the engine from translating until the block ends."""
        (self._directory / _HOLD).touch()
        yield
        (self._directory / _HOLD).unlink()

    def wait_for_held(self) -> None:
        """Wait until a text has reached the engine, which holds it."""
        _wait_until((self._directory / _HELD).exists)

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGTERM)

    def end(self) -> int | None:
        """How the process ended, after it was asked to."""
        self.process.join(_SECONDS)
        return self.process.exitcode


class ServerContract(Contract):
    """Everything that the host relies on in a server. Its author overrides `ask`; `options_at`, if it has no port."""

    kind = "server"

    def options_at(self, directory: Path) -> Mapping[str, Any]:
        """Options with an address that nobody has; `directory` is the test's own."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            return {**self.options, "port": free.getsockname()[1]}

    def ask(self, options: Mapping[str, Any], text: str, languages: Languages) -> str:
        """Ask for a translation, as a client does.

        Args:
            options: of the server, as `options_at` gave them.
            text: to translate.
            languages: source and target.

        Raises:
            OSError: nobody listens at the address.
            RequestError: the answer is that this is not translated.
        """
        raise NotImplementedError("override `ask`: only the server's author knows how clients ask")

    @contextmanager
    def served(self, directory: Path, options: Mapping[str, Any]) -> Iterator[ServerUnderTest]:
        """A server that can be asked."""
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(self.plugin, dict(options), directory), daemon=True
        )
        process.start()
        try:
            _wait_until(lambda: not process.is_alive() or self._is_reached(options))
            assert process.is_alive(), f"the server ended with {process.exitcode} before it could be asked"
            yield ServerUnderTest(process, directory)
        finally:
            process.kill()
            process.join()
            process.close()

    def _is_reached(self, options: Mapping[str, Any]) -> bool:
        try:
            return self.ask(options, SENTENCES[0], LANGUAGES) == SENTENCES[0]
        except OSError:
            return False

    def test_each_client_has_its_own_answer_and_requests_are_recorded(self, tmp_path: Path) -> None:
        options = self.options_at(tmp_path)
        texts = [*SENTENCES, "", "She reads.\n\n  We ate bread.", "  ", "Hun læser 🦆 1."] * 2
        with self.served(tmp_path, options) as server, ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda text: self.ask(options, text, LANGUAGES), texts))
            assert answers == texts
            done = [sampled for sampled in server.log if sampled.outcome == "done"]
            assert len(done) == len(texts) + 1  # and the first, by which it was found
            assert {sampled.languages for sampled in done} == {LANGUAGES}
            server.ask_to_end()
            assert server.end() == 0

    def test_what_cannot_be_translated_is_refused_and_the_server_goes_on(self, tmp_path: Path) -> None:
        options = self.options_at(tmp_path)
        with self.served(tmp_path, options) as server:
            for text, languages in (("She reads.", ("en", "xx")), ("a" * 201, LANGUAGES)):
                with pytest.raises(RequestError):
                    self.ask(options, text, languages)
            assert self.ask(options, SENTENCES[4], LANGUAGES) == SENTENCES[4]
            assert [sampled.outcome for sampled in server.log] == ["done", "invalid", "invalid", "done"]

    def test_an_address_that_is_taken_is_refused_before_a_model_is_opened(self, tmp_path: Path) -> None:
        options = self.options_at(tmp_path)
        with closing(self._made(options)) as first:
            first.check()
            with closing(self._made(options)) as second, pytest.raises(LingoLiteError):
                second.check()
        with closing(self._made(options)) as third:
            third.check()  # what was closed has given its address back

    def test_an_end_loses_no_request_that_was_accepted(self, tmp_path: Path) -> None:
        options = self.options_at(tmp_path)
        with self.served(tmp_path, options) as server, ThreadPoolExecutor(1) as client:
            with server.holding():
                answer = client.submit(self.ask, options, SENTENCES[1], LANGUAGES)
                server.wait_for_held()
                server.ask_to_end()
            assert answer.result(_SECONDS) == SENTENCES[1]
            assert server.end() == 0
            assert [sampled.outcome for sampled in server.log] == ["done", "done"]
        assert not self._is_reached(options), "nobody listens any more"

    def _made(self, options: Mapping[str, Any]) -> Server:
        return cast("Server", self.loaded().create(options=options))


def _serve(plugin: str, options: Mapping[str, Any], directory: Path) -> None:
    """What the process of a server does, in the order in which `lingolite serve` does it."""
    server = cast("Server", registry().resolve("server", plugin).create(options=options))
    with closing(server):
        server.check()
        artifact = tiny_bundle(directory / "bundle")
        log = SampleLog(SampleLogOptions(path=str(directory / _LOG)))
        with closing(log), _service(artifact, directory) as service:
            server.serve(service, log)


@contextmanager
def _service(artifact: Artifact, directory: Path) -> Iterator[TranslationService]:
    tokenizer, options = open_tokenizer(artifact), DecodingOptions(max_length=40)
    model = artifact.manifest.model
    engine = _RepeatingEngine(tokenizer.description, directory)
    with closing(engine):
        yield TranslationService(
            lambda pair: Translator(engine, tokenizer, model, pair, options=options),
            [LANGUAGES],
            Batcher(engine, BatchPolicy(batch_size=4)),
            limits=_LIMITS,
            is_splitting=False,
            model=artifact.digest[-16:],
            unknown_id=tokenizer.description.ids.unknown,
        )


def _wait_until(is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not is_there():
        assert time.monotonic() < deadline, "it did not happen in a minute"
        time.sleep(0.02)
