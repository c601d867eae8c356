"""The contract of backends. B batch, S source, T target, V vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeAlias, cast

import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.continuations import top_k
from lingolite_cli.decoding.hypothesis import length_penalty
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.decoding.translator import Translator
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.contract import ArtifactContract, artifacts_root, shared
from lingolite_cli.testing.forward import all_logits, arbitrary_targets, framed_sources, plain_greedy, step_all
from lingolite_cli.testing.routes import Route, contents, converter, follow, registry
from lingolite_cli.testing.tiny import IDS, LANGUAGES, SENTENCES
from lingolite_cli.tokenization.opening import open_tokenizer

if TYPE_CHECKING:
    from lingolite_cli.arrays import FloatArray
    from lingolite_cli.decoding.hypothesis import Hypothesis
    from lingolite_cli.plugins.interfaces import Backend, ScoringBackend, TopKBackend

_Tokens: TypeAlias = list[tuple[int, ...]]
_Arguments = ParamSpec("_Arguments")

CLOSE_SHARE = 0.25
"""Of the sentences. A scale of activations that depends on the batch moves all of them; an unlucky last bit, a few."""
_ENOUGH = 4

GREEDY = DecodingOptions(max_length=24)
BEAM = DecodingOptions(beam_size=3, n_best=2, max_length=24)
LATE = DecodingOptions(beam_size=2, length_penalty=0.6, min_length=4, max_length=11)
_SEARCHES = pytest.mark.parametrize("decoding", [GREEDY, BEAM, LATE], ids=["greedy", "beam", "late"])
_SELECTIONS = pytest.mark.parametrize(
    "rows",
    [(0, 2), (3, 1, 0, 2), (1, 1, 1, 3), (2,), (0, 0, 1, 1, 2, 2, 3, 3)],
    ids=["drop", "reorder", "repeat", "keep-one", "double"],
)


def _by_logits(test: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
    """A test that drives a backend token by token; it is skipped for engines that only search by themselves."""

    @wraps(test)
    def run(*arguments: _Arguments.args, **keywords: _Arguments.kwargs) -> None:
        contract = cast("BackendContract", arguments[0])
        if not contract.loaded().spec.gives_logits:
            pytest.skip(f"backend `{contract.plugin}` searches by itself and gives no logits")
        test(*arguments, **keywords)

    return run


class BackendContract(ArtifactContract):
    """Everything that the host relies on in a backend.

    Attributes:
        tolerance: largest absolute difference between logits that should be the same number.
        rounding: for a backend that rounds activations to integers, where a difference in the last bit can move a
            value by a whole step: how far the logits of such a sentence may be apart. `CLOSE_SHARE` of the sentences
            must keep to `tolerance`, and of the translations to each token. 0 for other backends.
        reference: a backend whose logits this one must give with the same weights, or None; an engine that gives no
            logits is held to its translations.
        reference_tolerance: largest absolute difference to its logits, or to its scores.
    """

    kind = "backend"
    tolerance: ClassVar[float] = 1e-4
    rounding: ClassVar[float] = 0.0
    reference: ClassVar[str | None] = None
    reference_tolerance: ClassVar[float] = 1e-3

    def open(self, artifact: Artifact) -> Any:
        """A new backend over `artifact`, on one thread: a `Backend` or, without logits, a `TranslateBackend`."""
        return self.loaded().create(artifact, options=self.options, threads=1)

    @pytest.fixture
    def backend(self, artifact: Artifact, request: pytest.FixtureRequest) -> Any:
        """The backend under test: one for all tests, as the host keeps one for all batches."""
        return shared(request, artifact, lambda: self.open(artifact), close=lambda backend: backend.close())

    @pytest.fixture
    def reference_artifact(self, route: Route, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
        """What the reference reads: the bundle that the route's exporter started from."""
        while route and converter(route[-1]).kind == "exporter":
            route = route[:-1]
        return follow(route, artifacts_root(tmp_path_factory))

    @_by_logits
    def test_logits_have_the_shape_and_type_of_the_interface(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        logits = all_logits(backend, sources, arbitrary_targets(artifact, rows=len(sources), length=3))
        assert isinstance(logits, np.ndarray)
        assert logits.dtype == np.float32
        assert logits.shape == (len(sources), 3, artifact.manifest.model.vocab_size)
        assert np.isfinite(logits).all()

    @_by_logits
    def test_arguments_are_left_as_they_were(self, backend: Backend, artifact: Artifact) -> None:
        source_ids, source_mask = pad(framed_sources(artifact), IDS.pad)
        ids, mask = source_ids.copy(), source_mask.copy()
        tokens = arbitrary_targets(artifact, rows=len(ids), length=2)[:, 1].copy()
        fed = tokens.copy()
        backend.step(backend.encode(source_ids, source_mask), tokens)
        np.testing.assert_array_equal(source_ids, ids)
        np.testing.assert_array_equal(source_mask, mask)
        np.testing.assert_array_equal(tokens, fed)

    @_by_logits
    def test_the_same_call_gives_the_same_bits(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=4)
        first = all_logits(backend, sources, targets)
        np.testing.assert_array_equal(all_logits(backend, sources, targets), first)

    @_by_logits
    def test_a_sentence_alone_and_in_a_batch_has_the_same_logits(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=5)
        together = all_logits(backend, sources, targets)
        alone = [all_logits(backend, [source], targets[[row]])[0] for row, source in enumerate(sources)]
        self._assert_same(np.stack(alone), together)

    @_by_logits
    def test_padding_changes_nothing(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)
        targets = arbitrary_targets(artifact, rows=len(sources), length=5)
        ids, mask = pad(sources, IDS.pad)
        wider = [(0, 0), (0, 7)]
        padded = backend.encode(np.pad(ids, wider, constant_values=IDS.pad), np.pad(mask, wider))
        self._assert_same(step_all(backend, padded, targets), all_logits(backend, sources, targets))

    @_by_logits
    def test_a_source_of_one_token_can_be_read(self, backend: Backend, artifact: Artifact) -> None:
        logits = all_logits(backend, [[7]], arbitrary_targets(artifact, rows=1, length=3))
        assert np.isfinite(logits).all()

    @_by_logits
    def test_all_positions_of_the_model_can_be_used(self, backend: Backend, artifact: Artifact) -> None:
        positions = artifact.manifest.model.max_seq_len
        source = np.resize(framed_sources(artifact)[0], positions).tolist()
        logits = all_logits(backend, [source], arbitrary_targets(artifact, rows=1, length=positions))
        assert np.isfinite(logits).all()

    def test_texts_may_be_longer_than_the_positions(self, backend: Any, artifact: Artifact) -> None:
        """A long source is cut, and a `max_length` without bounds ends with the positions, all of which are used."""
        positions = artifact.manifest.model.max_seq_len
        decoding = DecodingOptions(min_length=positions, max_length=1_000_000)
        texts = ["", " ".join(SENTENCES * positions), SENTENCES[0]]
        try:
            empty, long, short = self._translator(backend, artifact, decoding).translate(texts)
        except LingoLiteError as refusal:
            if self.loaded().spec.gives_logits:
                raise
            pytest.skip(refusal.message)
        assert (empty.text, empty.tokens) == ("", ())
        assert long.is_truncated
        assert not short.is_truncated
        for found in (long, short):
            assert len(found.tokens) == positions
            assert not found.is_finished

    def test_a_batch_without_sentences_has_no_translations(self, backend: Any, artifact: Artifact) -> None:
        capabilities = frozenset() if self.loaded().spec.gives_logits else frozenset({"translate"})
        none, mask = np.empty((0, 5), np.int64), np.empty((0, 5), np.bool_)
        assert search(backend, none, mask, ids=IDS, options=GREEDY, capabilities=capabilities) == []
        assert list(self._translator(backend, artifact, GREEDY).translate([])) == []

    @_SELECTIONS
    @_by_logits
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

    @_by_logits
    def test_rows_can_be_selected_before_the_first_step(self, backend: Backend, artifact: Artifact) -> None:
        sources = framed_sources(artifact)[:3]
        targets = arbitrary_targets(artifact, rows=4, length=2)
        state = backend.select(backend.encode(*pad(sources, IDS.pad)), np.array([2, 0, 0, 1]))
        fresh = all_logits(backend, [sources[row] for row in (2, 0, 0, 1)], targets)
        self._assert_same(step_all(backend, state, targets), fresh)

    @_by_logits
    def test_two_states_of_a_backend_do_not_disturb_each_other(self, backend: Backend, artifact: Artifact) -> None:
        one, other = framed_sources(artifact)[:3], framed_sources(artifact)[3:5]
        targets = arbitrary_targets(artifact, rows=3, length=3)
        states = backend.encode(*pad(one, IDS.pad)), backend.encode(*pad(other, IDS.pad))
        mixed = []
        for tokens in targets.T.copy():
            mixed.append(backend.step(states[0], tokens).copy())
            backend.step(states[1], tokens[:2])
        self._assert_same(np.stack(mixed, axis=1), all_logits(backend, one, targets))

    @_by_logits
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

    def test_an_artifact_is_only_read(self, artifact: Artifact) -> None:
        before = contents(artifact)
        backend = self.open(artifact)
        self._search(backend, framed_sources(artifact)[:1], GREEDY)
        backend.close()
        assert contents(artifact) == before

    @_by_logits
    def test_greedy_search_takes_the_largest_logits(self, backend: Backend, artifact: Artifact) -> None:
        batch = pad(framed_sources(artifact), IDS.pad)
        found = search(backend, *batch, ids=IDS, options=GREEDY)
        expected = plain_greedy(backend, *batch, max_length=GREEDY.max_length)
        self._assert_same_tokens(_tokens(found), [[tokens] for tokens in expected])

    @_SEARCHES
    def test_a_translation_does_not_depend_on_its_batch(
        self, backend: Backend, artifact: Artifact, decoding: DecodingOptions
    ) -> None:
        sources = framed_sources(artifact)
        together = self._search(backend, sources, decoding)
        alone = [self._search(backend, [source], decoding)[0] for source in sources]
        self._assert_same_tokens(_tokens(together), _tokens(alone))

    @_SEARCHES
    def test_hypotheses_keep_to_the_options(self, backend: Any, artifact: Artifact, decoding: DecodingOptions) -> None:
        for hypotheses in self._search(backend, framed_sources(artifact), decoding):
            assert len(hypotheses) == len({hypothesis.tokens for hypothesis in hypotheses}) == decoding.n_best
            assert _scores(hypotheses) == sorted(_scores(hypotheses), reverse=True)
            for hypothesis in hypotheses:
                tokens = hypothesis.tokens
                assert hypothesis.is_finished == (tokens[-1] == IDS.end)
                assert hypothesis.is_finished or len(tokens) == decoding.max_length
                assert decoding.min_length < len(tokens) <= decoding.max_length
                assert IDS.end not in tokens[:-1]
                penalty = length_penalty(len(tokens), decoding.length_penalty)
                assert hypothesis.score == pytest.approx(hypothesis.log_probability / penalty)

    def test_two_backends_in_one_process_translate_as_one_alone(self, artifact: Artifact) -> None:
        sources = framed_sources(artifact)[:2]
        first = self.open(artifact)
        alone = _tokens(self._search(first, sources, GREEDY))
        second = self.open(artifact)
        assert _tokens(self._search(second, sources, GREEDY)) == alone
        second.close()
        assert _tokens(self._search(first, sources, GREEDY)) == alone
        first.close()

    @_SEARCHES
    def test_an_engines_own_search_finds_what_the_reference_finds(
        self, backend: Any, artifact: Artifact, decoding: DecodingOptions, request: pytest.FixtureRequest
    ) -> None:
        self._skip_without("translate")
        reference = self._open_reference(request)
        sources = framed_sources(artifact)
        found = self._search(backend, sources, decoding, capabilities=frozenset({"translate"}))
        expected = search(reference, *pad(sources, IDS.pad), ids=IDS, options=decoding)
        reference.close()
        self._assert_same_tokens(_tokens(found), _tokens(expected))
        for one, other in zip(found, expected, strict=True):
            if _tokens([one]) == _tokens([other]):
                tolerance = max(self.reference_tolerance, self.rounding)
                np.testing.assert_allclose(_scores(one), _scores(other), rtol=0, atol=tolerance)

    @_SEARCHES
    @pytest.mark.parametrize("capability", ["top_k", "translate"])
    @_by_logits
    def test_a_capability_of_searching_changes_no_token(
        self, backend: Backend, artifact: Artifact, decoding: DecodingOptions, capability: str
    ) -> None:
        self._skip_without(capability)
        batch = pad(framed_sources(artifact), IDS.pad)
        own = search(backend, *batch, ids=IDS, options=decoding, capabilities=frozenset({capability}))
        self._assert_same_tokens(_tokens(own), _tokens(search(backend, *batch, ids=IDS, options=decoding)))

    @pytest.mark.parametrize("k", [1, 2, 9, 10_000])
    @_by_logits
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

    @_by_logits
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

    @_by_logits
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

    def _search(
        self,
        backend: Any,
        sources: list[list[int]],
        decoding: DecodingOptions,
        *,
        capabilities: frozenset[str] = frozenset(),
    ) -> list[list[Hypothesis]]:
        """The host's search, or that of an engine that has only its own; what it refuses is skipped, with its words."""
        if not self.loaded().spec.gives_logits:
            capabilities = frozenset({"translate"})
        try:
            return search(backend, *pad(sources, IDS.pad), ids=IDS, options=decoding, capabilities=capabilities)
        except LingoLiteError as refusal:
            if "translate" not in capabilities:
                raise
            pytest.skip(refusal.message)

    def _translator(self, backend: Any, artifact: Artifact, decoding: DecodingOptions) -> Translator:
        return Translator(
            backend,
            open_tokenizer(artifact),
            artifact.manifest.model,
            LANGUAGES,
            options=decoding,
            batch_size=2,
            capabilities=self.loaded().spec.capabilities,
        )

    def _open_reference(self, request: pytest.FixtureRequest) -> Backend:
        if self.reference is None:
            pytest.skip("the contract names no `reference` backend")
        origin = request.getfixturevalue("reference_artifact")
        return cast("Backend", registry().resolve("backend", self.reference).create(origin, threads=1))

    def _assert_same(self, found: FloatArray, expected: FloatArray, *, tolerance: float | None = None) -> None:
        """Compare logits, sentence by sentence along the first axis."""
        tolerance = tolerance or self.tolerance
        errors = np.abs(found - expected).max(axis=tuple(range(1, found.ndim)))
        assert errors.max() <= max(tolerance, self.rounding), f"logits differ, by sentence: {errors}"
        if self.rounding and len(errors) >= _ENOUGH:
            assert np.mean(errors <= tolerance) >= CLOSE_SHARE, f"most logits differ, by sentence: {errors}"

    def _assert_same_tokens(self, found: list[_Tokens], expected: list[_Tokens]) -> None:
        if not self.rounding:
            assert found == expected
        same = [one == other for one, other in zip(found, expected, strict=True)]
        assert np.mean(same) >= CLOSE_SHARE, f"most translations differ: {found} {expected}"

    def _skip_without(self, capability: str) -> None:
        if capability not in self.loaded().spec.capabilities:
            pytest.skip(f"backend `{self.plugin}` does not declare the capability `{capability}`")


def _tokens(found: list[list[Hypothesis]]) -> list[_Tokens]:
    return [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]


def _scores(hypotheses: list[Hypothesis]) -> list[float]:
    return [hypothesis.score for hypothesis in hypotheses]
