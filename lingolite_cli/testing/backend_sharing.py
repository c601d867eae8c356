"""The part of the contract of backends about what they share: states, backends, threads, processes, files.

Owns the tests in which two users of one backend, or two backends, are at work at once. B batch, T target, V vocabulary.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.backend_under_test import BackendUnderTest, Tokens, by_logits, tokens_of
from lingolite_cli.testing.forward import all_logits, arbitrary_targets, framed_sources
from lingolite_cli.testing.routes import contents
from lingolite_cli.testing.tiny import IDS

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray
    from lingolite_cli.plugins.interfaces import Backend
_T = TypeVar("_T")
_GREEDY = DecodingOptions(max_length=8)
_BEAM = DecodingOptions(beam_size=3, n_best=2, max_length=8)
"""What is shared shows in many short translations as often as in long ones, and in half of the time."""
_ROUNDS = 6
"""How often each of two threads repeats its work: a buffer of logits that both write to showed in 12 of 12 runs of two
rounds."""
_SAME, _DIFFERENT, _REFUSED = 0, 1, 2
_HANGS_AFTER_SECONDS = 30


class SharingContract(BackendUnderTest):
    """Nobody notices who else is at work."""

    @by_logits
    def test_two_states_of_a_backend_do_not_disturb_each_other(self, backend: Backend, artifact: Artifact) -> None:
        one, other = framed_sources(artifact)[:3], framed_sources(artifact)[3:5]
        targets = arbitrary_targets(artifact, rows=3, length=3)
        states = backend.encode(*pad(one, IDS.pad)), backend.encode(*pad(other, IDS.pad))
        mixed = []
        for tokens in targets.T.copy():
            mixed.append(backend.step(states[0], tokens).copy())
            backend.step(states[1], tokens[:2])
        self._assert_same(np.stack(mixed, axis=1), all_logits(backend, one, targets))

    @by_logits
    def test_two_backends_in_one_process_do_not_disturb_each_other(self, artifact: Artifact) -> None:
        sources = framed_sources(artifact)[:2]
        targets = arbitrary_targets(artifact, rows=2, length=3)
        first = self.open(artifact)
        alone = all_logits(first, sources, targets)
        second = self.open(artifact)
        np.testing.assert_array_equal(all_logits(second, sources, targets), alone)
        second.close()
        np.testing.assert_array_equal(all_logits(first, sources, targets), alone)
        first.close()

    def test_two_backends_in_one_process_translate_as_one_alone(self, artifact: Artifact) -> None:
        sources = framed_sources(artifact)[:2]
        first = self.open(artifact)
        alone = tokens_of(self._search(first, sources, _GREEDY))
        second = self.open(artifact)
        assert tokens_of(self._search(second, sources, _GREEDY)) == alone
        second.close()
        assert tokens_of(self._search(first, sources, _GREEDY)) == alone
        first.close()

    def test_an_artifact_is_only_read(self, artifact: Artifact) -> None:
        before = contents(artifact)
        backend = self.open(artifact)
        self._search(backend, framed_sources(artifact)[:1], _GREEDY)
        backend.close()
        assert contents(artifact) == before

    @by_logits
    def test_logits_stay_until_the_next_step_of_their_state(self, backend: Backend, artifact: Artifact) -> None:
        """Another user of the backend may be at work before they are read: in a thread, or between two `await`s."""
        one, other = framed_sources(artifact)[:2], framed_sources(artifact)[2:4]
        tokens = arbitrary_targets(artifact, rows=2, length=1)[:, 0]
        states = backend.encode(*pad(one, IDS.pad)), backend.encode(*pad(other, IDS.pad))
        logits = backend.step(states[0], tokens)
        before = logits.copy()
        backend.step(states[1], tokens)
        np.testing.assert_array_equal(logits, before)

    @by_logits
    def test_two_threads_that_step_one_backend_get_what_one_gets(
        self, backend: Backend, artifact: Artifact, quick_switches: None
    ) -> None:
        sources = framed_sources(artifact)
        parts = [(sources[:3], 1), (sources[3:5], 2), (sources[1:2], 3)]
        work = [partial(self._logits_of, backend, artifact, sources, seed) for sources, seed in parts]
        alone = [task() for task in work]
        for together in _in_two_threads(work):
            for found, expected in zip(together, alone, strict=True):
                np.testing.assert_array_equal(found, expected)

    def test_two_threads_that_translate_with_one_backend_get_what_one_gets(
        self, backend: Any, artifact: Artifact, quick_switches: None
    ) -> None:
        sources = framed_sources(artifact)
        parts = [(sources, _GREEDY), (sources[:1], _GREEDY), (sources[2:], _BEAM)]
        work = [partial(self._tokens_of, backend, sources, decoding) for sources, decoding in parts]
        alone = [task() for task in work]
        for together in _in_two_threads(work):
            assert together == alone

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_a_forked_process_gets_the_same_tokens_or_an_error(self, artifact: Artifact) -> None:
        """The threads of an engine do not survive a fork: what waits for them would wait for ever."""
        backend = self.loaded().create(artifact, options=self.options, threads=2)
        sources = framed_sources(artifact)
        before = tokens_of(self._search(backend, sources, _GREEDY))

        def outcome() -> int:
            try:
                after = tokens_of(self._search_or_refuse(backend, sources, _GREEDY))
                backend.close()
            except LingoLiteError:
                return _REFUSED
            return _SAME if after == before else _DIFFERENT

        code = _in_a_fork(outcome)
        backend.close()
        self.open(artifact).close()  # PyTorch has one number of threads for all: back to that of the other tests
        assert code in (_SAME, _REFUSED), f"the exit code of the fork is {code}; -14 stands for one that hung"

    def _logits_of(self, backend: Backend, artifact: Artifact, sources: list[list[int]], seed: int) -> FloatArray:
        return all_logits(backend, sources, arbitrary_targets(artifact, rows=len(sources), length=4, seed=seed))

    def _tokens_of(self, backend: Any, sources: list[list[int]], decoding: DecodingOptions) -> list[Tokens]:
        return tokens_of(self._search(backend, sources, decoding))

    @pytest.fixture
    def quick_switches(self) -> Iterator[None]:
        """The interpreter changes threads as often as it can, so that a fault shows in few rounds."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        yield
        sys.setswitchinterval(before)


def _in_two_threads(work: Sequence[Callable[[], _T]]) -> list[list[_T]]:
    """The results of all `work`, from two threads that do it over and over at the same time, a list for each round."""
    start = threading.Barrier(2)

    def rounds(work: Sequence[Callable[[], _T]]) -> list[list[_T]]:
        start.wait()
        return [[task() for task in work] for _ in range(_ROUNDS)]

    with ThreadPoolExecutor(2) as threads:
        forwards, backwards = threads.submit(rounds, work), threads.submit(rounds, work[::-1])
        return [*forwards.result(), *(results[::-1] for results in backwards.result())]


def _in_a_fork(outcome: Callable[[], int]) -> int:
    """What `outcome` returns in a forked process; the negative number of a signal if that ended it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12 and newer, for the reason that is tested
        child = os.fork()
    if not child:
        signal.alarm(_HANGS_AFTER_SECONDS)
        code = 99
        try:
            code = outcome()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
