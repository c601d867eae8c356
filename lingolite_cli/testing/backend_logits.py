"""The part of the contract of backends that drives them token by token: encode, step, select, and what they add.

B batch, S source, T target, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.continuations import top_k
from lingolite_cli.testing.backend_under_test import BackendUnderTest, by_logits
from lingolite_cli.testing.forward import all_logits, arbitrary_targets, framed_sources, step_all
from lingolite_cli.testing.tiny import IDS

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import Backend, ScoringBackend, TopKBackend

_SELECTIONS = pytest.mark.parametrize(
    "rows",
    [(0, 2), (3, 1, 0, 2), (1, 1, 1, 3), (2,), (0, 0, 1, 1, 2, 2, 3, 3)],
    ids=["drop", "reorder", "repeat", "keep-one", "double"],
)


class LogitsContract(BackendUnderTest):
    """Logits, and the rows that go on."""

    @by_logits
    def test_logits_have_the_shape_and_type_of_the_interface(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        logits = all_logits(backend, sources, arbitrary_targets(artifact, rows=len(sources), length=3))
        assert isinstance(logits, np.ndarray)
        assert logits.dtype == np.float32
        assert logits.shape == (len(sources), 3, artifact.manifest.model.vocab_size)
        assert np.isfinite(logits).all()

    @by_logits
    def test_arguments_are_left_as_they_were(self, backend: Backend, artifact: Artifact) -> None:
        source_ids, source_mask = pad(framed_sources(artifact), IDS.pad)
        ids, mask = source_ids.copy(), source_mask.copy()
        tokens = arbitrary_targets(artifact, rows=len(ids), length=2)[:, 1].copy()
        fed = tokens.copy()
        backend.step(backend.encode(source_ids, source_mask), tokens)
        np.testing.assert_array_equal(source_ids, ids)
        np.testing.assert_array_equal(source_mask, mask)
        np.testing.assert_array_equal(tokens, fed)

    @by_logits
    def test_the_same_call_gives_the_same_bits(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=4)
        first = all_logits(backend, sources, targets)
        np.testing.assert_array_equal(all_logits(backend, sources, targets), first)

    @by_logits
    def test_a_sentence_alone_and_in_a_batch_has_the_same_logits(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=5)
        together = all_logits(backend, sources, targets)
        alone = [all_logits(backend, [source], targets[[row]])[0] for row, source in enumerate(sources)]
        self._assert_same(np.stack(alone), together)

    @by_logits
    def test_padding_changes_nothing(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=5)
        ids, mask = pad(sources, IDS.pad)
        wider = [(0, 0), (0, 7)]
        padded = backend.encode(np.pad(ids, wider, constant_values=IDS.pad), np.pad(mask, wider))
        self._assert_same(step_all(backend, padded, targets), all_logits(backend, sources, targets))

    @by_logits
    def test_a_source_of_one_token_can_be_read(self, backend: Backend, artifact: Artifact) -> None:
        logits = all_logits(backend, [[7]], arbitrary_targets(artifact, rows=1, length=3))
        assert np.isfinite(logits).all()

    @by_logits
    def test_all_positions_of_the_model_can_be_used(self, backend: Backend, artifact: Artifact) -> None:
        positions = artifact.manifest.model.max_seq_len
        source = np.resize(framed_sources(artifact)[0], positions).tolist()
        logits = all_logits(backend, [source], arbitrary_targets(artifact, rows=1, length=positions))
        assert np.isfinite(logits).all()

    @_SELECTIONS
    @by_logits
    def test_selected_rows_go_on_as_if_they_had_been_alone(
        self, backend: Backend, artifact: Artifact, rows: tuple[int, ...]
    ) -> None:
        """After `select`, each row is fed tokens of its own: repeated rows must not share memory."""
        sources = framed_sources(artifact)[:4]
        before = arbitrary_targets(artifact, rows=4, length=3)
        after = arbitrary_targets(artifact, rows=len(rows), length=4, seed=6)
        state = backend.encode(*pad(sources, IDS.pad))
        step_all(backend, state, before)
        state = backend.select(state, np.array(rows, np.int64))
        went_on = step_all(backend, state, after)
        fresh = all_logits(backend, [sources[row] for row in rows], np.concatenate([before[list(rows)], after], axis=1))
        self._assert_same(went_on, fresh[:, 3:])

    @by_logits
    def test_rows_can_be_selected_before_the_first_step(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)[:3]
        targets = arbitrary_targets(artifact, rows=4, length=2)
        state = backend.select(backend.encode(*pad(sources, IDS.pad)), np.array([2, 0, 0, 1]))
        fresh = all_logits(backend, [sources[row] for row in (2, 0, 0, 1)], targets)
        self._assert_same(step_all(backend, state, targets), fresh)

    @pytest.mark.parametrize("k", [1, 2, 9, 10_000])
    @by_logits
    def test_top_k_gives_the_best_log_probabilities(self, backend: Backend, artifact: Artifact, k: int) -> None:
        self._skip_without("top_k")
        tokens = arbitrary_targets(artifact, rows=3, length=1)[:, 0]
        batch = pad(framed_sources(artifact)[:3], IDS.pad)
        logits = backend.step(backend.encode(*batch), tokens).copy()
        expected_ids, expected = top_k(logits, k)
        ids, found = cast("TopKBackend", backend).step_top_k(backend.encode(*batch), tokens, k)
        assert ids.dtype == np.int64
        assert found.dtype == np.float32
        assert ids.shape == found.shape == expected_ids.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=self.tolerance)
        _, everything = top_k(logits, logits.shape[1])
        order = np.argsort(-logits, axis=1, kind="stable")
        by_id = np.take_along_axis(everything, np.argsort(order, axis=1), axis=1)
        np.testing.assert_allclose(np.take_along_axis(by_id, ids, axis=1), found, rtol=0, atol=self.tolerance)
        assert all(len(set(row)) == len(row) for row in ids.tolist())

    @by_logits
    def test_scores_are_the_log_probabilities_of_the_targets(self, backend: Backend, artifact: Artifact) -> None:
        self._skip_without("score")
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=6)
        logits = all_logits(backend, sources, targets)[:, :-1].astype(np.float64)
        everything = logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))
        expected = np.take_along_axis(everything, targets[:, 1:, None], axis=2)[..., 0]
        found = cast("ScoringBackend", backend).score(*pad(sources, IDS.pad), targets[:, 1:])
        assert found.dtype == np.float32
        assert found.shape == expected.shape
        self._assert_same(found, expected.astype(np.float32))

    @by_logits
    def test_logits_are_those_of_the_reference(
        self, backend: Backend, artifact: Artifact, request: pytest.FixtureRequest
    ) -> None:
        reference = self._open_reference(request)
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=6)
        expected = all_logits(reference, sources, targets)
        reference.close()
        found = all_logits(backend, sources, targets)
        self._assert_same(found, expected, tolerance=self.reference_tolerance)
