"""The part of the contract of backends about what they share: states, backends, files.

Owns the tests in which two users of one backend, or two backends, are at work at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.testing.backend_under_test import GREEDY, BackendUnderTest, by_logits, tokens_of
from lingolite_cli.testing.forward import all_logits, arbitrary_targets, framed_sources
from lingolite_cli.testing.routes import contents
from lingolite_cli.testing.tiny import IDS

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import Backend


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
        alone = tokens_of(self._search(first, sources, GREEDY))
        second = self.open(artifact)
        assert tokens_of(self._search(second, sources, GREEDY)) == alone
        second.close()
        assert tokens_of(self._search(first, sources, GREEDY)) == alone
        first.close()

    def test_an_artifact_is_only_read(self, artifact: Artifact) -> None:
        before = contents(artifact)
        backend = self.open(artifact)
        self._search(backend, framed_sources(artifact)[:1], GREEDY)
        backend.close()
        assert contents(artifact) == before
