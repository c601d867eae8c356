"""The contract of backends fails for those that break a promise: each mistake is one that an author could make."""

from __future__ import annotations

import sys
import time
from typing import Any

import msgspec
import numpy as np
import pytest

from lingolite_cli.artifact import BUNDLE, Artifact
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import load_registry
from lingolite_cli.plugins.specs import BackendSpec
from lingolite_cli.testing import BackendContract
from lingolite_cli.testing.backend_under_test import BEAM, GREEDY, LATE
from lingolite_cli.testing.tiny import IDS
from tests.lingolite_cli.testing.plugin_here import Here, fails


class Right:
    """The backend `cached` with every capability, to be spoiled by subclasses."""

    def __init__(self, artifact: Artifact, *, options: Any, threads: int) -> None:
        self.backend = load_registry().resolve("backend", "cached").create(artifact, threads=threads)
        self.artifact = artifact

    def encode(self, source_ids, source_mask):
        return self.backend.encode(source_ids, source_mask)

    def step(self, state, tokens):
        return self.backend.step(state, tokens)

    def select(self, state, rows):
        return self.backend.select(state, rows)

    def step_top_k(self, state, tokens, k):
        logits = self.step(state, tokens).astype(np.float64)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        ids = np.argsort(-logits, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(log_probabilities, ids, axis=1).astype(np.float32)

    def translate(self, source_ids, source_mask, options):
        return search(self, source_ids, source_mask, ids=IDS, options=options)

    def close(self):
        self.backend.close()


class Float64(Right):
    def step(self, state, tokens):
        return super().step(state, tokens).astype(np.float64)


class ReadsPadding(Right):
    def encode(self, source_ids, source_mask):
        return super().encode(source_ids, np.ones_like(source_mask))


class DependsOnTheBatch(Right):
    def step(self, state, tokens):
        return super().step(state, tokens) * np.float32(1 + 0.01 * len(tokens))


class Drifts(Right):
    num_steps = 0

    def step(self, state, tokens):
        self.num_steps += 1
        return super().step(state, tokens) + np.float32(1e-5 * self.num_steps)


class SortsSelectedRows(Right):
    def select(self, state, rows):
        return super().select(state, np.sort(rows))


class DropsRepeats(Right):
    def select(self, state, rows):
        return super().select(state, np.repeat(rows[:1], len(rows)))


class HasOneState(Right):
    def encode(self, source_ids, source_mask):
        self.state = super().encode(source_ids, source_mask)
        return None

    def step(self, state, tokens):
        return super().step(self.state, tokens)


class SharesABuffer(Right):
    """What a runtime that writes into an array of its owner does."""

    buffer = np.zeros((64, 1024), np.float32)

    def step(self, state, tokens):
        logits = super().step(state, tokens)
        found = self.buffer[: len(logits), : logits.shape[1]]
        found[:] = logits
        time.sleep(0)  # no pause: it only gives the interpreter to the other thread
        return found


class WritesIntoTheArtifact(Right):
    def close(self):
        (self.artifact.path / "cache.bin").write_bytes(b"warm")


class SpoilsItsArguments(Right):
    def step(self, state, tokens):
        logits = super().step(state, tokens)
        tokens[:] = 0
        return logits


class HasAShortCache(Right):
    num_steps = 0

    def encode(self, source_ids, source_mask):
        self.num_steps = 0
        return super().encode(source_ids, source_mask)

    def step(self, state, tokens):
        self.num_steps += 1
        if self.num_steps > 40:
            raise RuntimeError("the cache is full")
        return super().step(state, tokens)


class TopKUnnormalized(Right):
    def step_top_k(self, state, tokens, k):
        logits = self.step(state, tokens)
        ids = np.argsort(-logits, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(logits, ids, axis=1)


class TopKWorstFirst(Right):
    def step_top_k(self, state, tokens, k):
        logits = self.step(state, tokens)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        ids = np.argsort(logits, axis=1, kind="stable")[:, :k]
        return ids, np.take_along_axis(log_probabilities, ids, axis=1)


class StopsEarly(Right):
    def translate(self, source_ids, source_mask, options):
        shorter = msgspec.structs.replace(options, max_length=5)
        return search(self, source_ids, source_mask, ids=IDS, options=shorter)


class Candidate(BackendContract):
    """The contract of one of the classes above."""

    plugin = "here"
    __test__ = False

    def __init__(self, made: type) -> None:
        spec = BackendSpec(
            name="here",
            summary="",
            factory="",
            accepts=frozenset({BUNDLE}),
            capabilities=frozenset({"top_k", "translate", "step"}),
        )
        self.loaded = lambda: Here("backend", spec, made)  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("made", "test", "arguments"),
    [
        (Float64, "test_logits_have_the_shape_and_type_of_the_interface", {}),
        (ReadsPadding, "test_padding_changes_nothing", {}),
        (ReadsPadding, "test_a_sentence_alone_and_in_a_batch_has_the_same_logits", {}),
        (DependsOnTheBatch, "test_a_sentence_alone_and_in_a_batch_has_the_same_logits", {}),
        (Drifts, "test_the_same_call_gives_the_same_bits", {}),
        (SortsSelectedRows, "test_selected_rows_go_on_as_if_they_had_been_alone", {"rows": (3, 1, 0, 2)}),
        (SortsSelectedRows, "test_rows_can_be_selected_before_the_first_step", {}),
        (DropsRepeats, "test_selected_rows_go_on_as_if_they_had_been_alone", {"rows": (0, 2)}),
        (DropsRepeats, "test_greedy_search_takes_the_largest_logits", {}),
        (ReadsPadding, "test_a_translation_does_not_depend_on_its_batch", {"decoding": BEAM}),
        (HasOneState, "test_two_states_of_a_backend_do_not_disturb_each_other", {}),
        (SpoilsItsArguments, "test_arguments_are_left_as_they_were", {}),
        (HasAShortCache, "test_texts_may_be_longer_than_the_positions", {}),
        (TopKUnnormalized, "test_top_k_gives_the_best_log_probabilities", {"k": 2}),
        (TopKWorstFirst, "test_top_k_gives_the_best_log_probabilities", {"k": 9}),
        (
            TopKWorstFirst,
            "test_a_capability_of_searching_changes_no_token",
            {"decoding": GREEDY, "capability": "top_k"},
        ),
        (
            TopKUnnormalized,
            "test_a_capability_of_searching_changes_no_token",
            {"decoding": BEAM, "capability": "top_k"},
        ),
        (StopsEarly, "test_a_capability_of_searching_changes_no_token", {"decoding": BEAM, "capability": "translate"}),
    ],
)
def test_a_backend_with_a_mistake_fails(artifact: Artifact, made: type, test: str, arguments: dict) -> None:
    contract = Candidate(made)
    fails(getattr(contract, test), backend=contract.open(artifact), artifact=artifact, **arguments)
    right = Candidate(Right)
    getattr(right, test)(backend=right.open(artifact), artifact=artifact, **arguments)


def test_a_backend_whose_threads_share_a_buffer_fails(artifact: Artifact) -> None:
    contract, right = Candidate(SharesABuffer), Candidate(Right)
    test = "test_two_threads_that_translate_with_one_backend_get_what_one_gets"
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        fails(getattr(contract, test), backend=contract.open(artifact), artifact=artifact, quick_switches=None)
        getattr(right, test)(backend=right.open(artifact), artifact=artifact, quick_switches=None)
    finally:
        sys.setswitchinterval(before)


class Engine:
    """An engine that only searches by itself: it has no `step`."""

    def __init__(self, artifact: Artifact, *, options: Any, threads: int) -> None:
        self.inner = Right(artifact, options=options, threads=threads)

    def translate(self, source_ids, source_mask, options):
        return self.inner.translate(source_ids, source_mask, options)

    def close(self):
        self.inner.close()


class IgnoresTheLengthPenalty(Engine):
    def translate(self, source_ids, source_mask, options):
        return super().translate(source_ids, source_mask, msgspec.structs.replace(options, length_penalty=0.0))


class ReturnsOneHypothesis(Engine):
    def translate(self, source_ids, source_mask, options):
        return [hypotheses[:1] for hypotheses in super().translate(source_ids, source_mask, options)]


class IgnoresTheMinimum(Engine):
    def translate(self, source_ids, source_mask, options):
        return super().translate(source_ids, source_mask, msgspec.structs.replace(options, min_length=0))


class RefusesAMinimum(Engine):
    def translate(self, source_ids, source_mask, options):
        if options.min_length:
            raise LingoLiteError("no min_length here")
        return super().translate(source_ids, source_mask, options)


class GoesOnFromAPrefix(Engine):
    def translate(self, source_ids, source_mask, options, *, prefix=()):
        ids = msgspec.structs.replace(IDS, prefix=prefix)
        return search(self.inner, source_ids, source_mask, ids=ids, options=options)


class IgnoresThePrefix(Engine):
    def translate(self, source_ids, source_mask, options, *, prefix=()):
        return super().translate(source_ids, source_mask, options)


class CountsThePrefix(GoesOnFromAPrefix):
    def translate(self, source_ids, source_mask, options, *, prefix=()):
        shorter = msgspec.structs.replace(options, max_length=options.max_length - len(prefix))
        return super().translate(source_ids, source_mask, shorter, prefix=prefix)


class EngineCandidate(Candidate):
    """The contract of an engine without logits."""

    reference = "cached"

    def __init__(self, made: type, *, capabilities: tuple[str, ...] = ("translate",)) -> None:
        spec = BackendSpec(
            name="here", summary="", factory="", accepts=frozenset({BUNDLE}), capabilities=frozenset(capabilities)
        )
        self.loaded = lambda: Here("backend", spec, made)  # type: ignore[method-assign]


OWN_SEARCH = "test_an_engines_own_search_finds_what_the_reference_finds"


@pytest.mark.parametrize(
    ("made", "test", "decoding"),
    [
        (IgnoresTheLengthPenalty, OWN_SEARCH, BEAM),
        (IgnoresTheLengthPenalty, "test_hypotheses_keep_to_the_options", BEAM),
        (ReturnsOneHypothesis, OWN_SEARCH, BEAM),
        (ReturnsOneHypothesis, "test_hypotheses_keep_to_the_options", BEAM),
        (IgnoresTheMinimum, OWN_SEARCH, LATE),
    ],
)
def test_an_engine_with_a_mistake_fails(
    artifact: Artifact, made: type, test: str, decoding: DecodingOptions, request: pytest.FixtureRequest
) -> None:
    monkeypatch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    monkeypatch.setattr(request, "getfixturevalue", {"reference_artifact": artifact}.__getitem__)
    arguments: dict[str, Any] = {"artifact": artifact, "decoding": decoding}
    if test == OWN_SEARCH:
        arguments["request"] = request
    contract = EngineCandidate(made)
    fails(getattr(contract, test), backend=contract.open(artifact), **arguments)
    right = EngineCandidate(Engine)
    getattr(right, test)(backend=right.open(artifact), **arguments)


@pytest.mark.parametrize("made", [IgnoresThePrefix, CountsThePrefix])
def test_an_engine_that_mistakes_a_forced_prefix_fails(
    artifact: Artifact, made: type, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request, "getfixturevalue", {"reference_artifact": artifact}.__getitem__)
    for one in (made, GoesOnFromAPrefix):
        contract = EngineCandidate(one, capabilities=("translate", "prefix"))
        test = contract.test_an_engines_own_search_goes_on_from_a_forced_prefix
        arguments = {"artifact": artifact, "decoding": GREEDY, "request": request}
        if one is made:
            fails(test, backend=contract.open(artifact), **arguments)
        else:
            test(backend=contract.open(artifact), **arguments)


def test_what_an_engine_cannot_do_is_skipped_with_the_reason(artifact: Artifact) -> None:
    contract = EngineCandidate(RefusesAMinimum)
    with pytest.raises(pytest.skip.Exception, match="`here` searches by itself and gives no logits"):
        contract.test_padding_changes_nothing(backend=None, artifact=artifact)
    with pytest.raises(pytest.skip.Exception, match="no min_length here"):
        contract.test_hypotheses_keep_to_the_options(backend=contract.open(artifact), artifact=artifact, decoding=LATE)


def test_a_backend_that_writes_into_its_artifact_fails(artifact: Artifact) -> None:
    fails(Candidate(WritesIntoTheArtifact).test_an_artifact_is_only_read, artifact=artifact)


def test_a_capability_that_is_not_declared_is_skipped(artifact: Artifact) -> None:
    class Cached(BackendContract):
        plugin = "cached"

    with pytest.raises(pytest.skip.Exception, match="does not declare the capability `top_k`"):
        Cached().test_top_k_gives_the_best_log_probabilities(backend=None, artifact=artifact, k=1)
