"""The part of the contract of backends that translates: the host's searches and an engine's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.decoding.hypothesis import length_penalty
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.backend_under_test import (
    BEAM,
    GREEDY,
    LATE,
    BackendUnderTest,
    by_logits,
    scores_of,
    tokens_of,
)
from lingolite_cli.testing.forward import framed_sources, plain_greedy
from lingolite_cli.testing.tiny import IDS, SENTENCES

if TYPE_CHECKING:
    from lingolite_cli.plugins.interfaces import Backend
    from lingolite_cli.tokenization.description import DecodingIds

_SEARCHES = pytest.mark.parametrize("decoding", [GREEDY, BEAM, LATE], ids=["greedy", "beam", "late"])


class SearchContract(BackendUnderTest):
    """Whole translations, by every search."""

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

    @by_logits
    def test_greedy_search_takes_the_largest_logits(self, backend: Backend, artifact: Artifact) -> None:
        batch = pad(framed_sources(artifact), IDS.pad)
        found = search(backend, *batch, ids=IDS, options=GREEDY)
        expected = plain_greedy(backend, *batch, max_length=GREEDY.max_length)
        self._assert_same_tokens(tokens_of(found), [[tokens] for tokens in expected])

    @_SEARCHES
    def test_a_translation_does_not_depend_on_its_batch(
        self, backend: Backend, artifact: Artifact, decoding: DecodingOptions
    ) -> None:
        sources = framed_sources(artifact)
        together = self._search(backend, sources, decoding)
        alone = [self._search(backend, [source], decoding)[0] for source in sources]
        self._assert_same_tokens(tokens_of(together), tokens_of(alone))

    @_SEARCHES
    def test_hypotheses_keep_to_the_options(self, backend: Any, artifact: Artifact, decoding: DecodingOptions) -> None:
        for hypotheses in self._search(backend, framed_sources(artifact), decoding):
            assert len(hypotheses) == len({hypothesis.tokens for hypothesis in hypotheses}) == decoding.n_best
            assert scores_of(hypotheses) == sorted(scores_of(hypotheses), reverse=True)
            for hypothesis in hypotheses:
                tokens = hypothesis.tokens
                assert hypothesis.is_finished == (tokens[-1] == IDS.end)
                assert hypothesis.is_finished or len(tokens) == decoding.max_length
                assert decoding.min_length < len(tokens) <= decoding.max_length
                assert IDS.end not in tokens[:-1]
                penalty = length_penalty(len(tokens), decoding.length_penalty)
                assert hypothesis.score == pytest.approx(hypothesis.log_probability / penalty)

    @_SEARCHES
    def test_an_engines_own_search_finds_what_the_reference_finds(
        self, backend: Any, artifact: Artifact, decoding: DecodingOptions, request: pytest.FixtureRequest
    ) -> None:
        self._skip_without("translate")
        self._assert_own_search_is_right(backend, artifact, decoding, request, ids=IDS)

    @_SEARCHES
    def test_an_engines_own_search_goes_on_from_a_forced_prefix(
        self, backend: Any, artifact: Artifact, decoding: DecodingOptions, request: pytest.FixtureRequest
    ) -> None:
        self._skip_without("prefix")
        ids = msgspec.structs.replace(IDS, prefix=(9, 11))
        self._assert_own_search_is_right(backend, artifact, decoding, request, ids=ids)

    def _assert_own_search_is_right(
        self,
        backend: Any,
        artifact: Artifact,
        decoding: DecodingOptions,
        request: pytest.FixtureRequest,
        *,
        ids: DecodingIds,
    ) -> None:
        """The tokens and the scores of the engine's search are those of the host's over the reference."""
        reference = self._open_reference(request)
        sources = framed_sources(artifact)
        capabilities = frozenset({"translate", "prefix"}) if ids.prefix else frozenset({"translate"})
        found = self._search(backend, sources, decoding, capabilities=capabilities, ids=ids)
        expected = search(reference, *pad(sources, IDS.pad), ids=ids, options=decoding)
        reference.close()
        self._assert_same_tokens(tokens_of(found), tokens_of(expected))
        for one, other in zip(found, expected, strict=True):
            if tokens_of([one]) == tokens_of([other]):
                tolerance = max(self.reference_tolerance, self.rounding)
                np.testing.assert_allclose(scores_of(one), scores_of(other), rtol=0, atol=tolerance)

    @_SEARCHES
    @pytest.mark.parametrize("capability", ["top_k", "translate"])
    @by_logits
    def test_a_capability_of_searching_changes_no_token(
        self, backend: Backend, artifact: Artifact, decoding: DecodingOptions, capability: str
    ) -> None:
        self._skip_without(capability)
        batch = pad(framed_sources(artifact), IDS.pad)
        own = search(backend, *batch, ids=IDS, options=decoding, capabilities=frozenset({capability}))
        self._assert_same_tokens(tokens_of(own), tokens_of(search(backend, *batch, ids=IDS, options=decoding)))
