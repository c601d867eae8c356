"""Beam search against enumeration, and against a plain beam search in Python."""

from __future__ import annotations

import numpy as np
import pytest

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.testing.tiny import IDS


def plain_beam_search(truth, options: DecodingOptions) -> list[tuple[float, tuple[int, ...]]]:
    """One sentence, lists and tuples, no early stop but the one by number: the documented rules read literally."""
    beams: list[tuple[float, tuple[int, ...]]] = [(0.0, ())]
    pool: list[tuple[float, tuple[int, ...]]] = []

    def scored(log_probability: float, tokens: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        return log_probability / ((5 + len(tokens)) / 6) ** options.length_penalty, tokens

    for length in range(1, options.max_length + 1):
        candidates = [
            (total + gain, beam, id)
            for beam, (total, tokens) in enumerate(beams)
            for id, gain in enumerate(truth.gains(tokens).tolist())
            if id != IDS.end or length > options.min_length
        ]
        candidates.sort(key=lambda candidate: (-candidate[0], candidate[1], candidate[2]))
        candidates = candidates[: 2 * options.beam_size]
        for total, beam, id in candidates[: options.beam_size]:
            if id == IDS.end:
                pool.append(scored(total, (*beams[beam][1], id)))
        kept = [candidate for candidate in candidates if candidate[2] != IDS.end][: options.beam_size]
        beams = [(total, (*beams[beam][1], id)) for total, beam, id in kept]
        if length == options.max_length:
            pool += [scored(total, tokens) for total, tokens in beams]
        elif len(pool) >= options.beam_size:
            break
    return sorted(pool, key=lambda hypothesis: -hypothesis[0])[: options.n_best]


def per_sentence(sources, found):
    for ids, mask, hypotheses in zip(*sources, found, strict=True):
        yield tuple(ids[mask].tolist()), hypotheses


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha", [0.0, 1.0, 2.5])
@pytest.mark.parametrize("min_length", [0, 2])
def test_a_beam_wide_enough_finds_the_best_of_all(
    table, hashed, oracle, sources, seed: int, alpha: float, min_length: int
) -> None:
    logits_of = hashed(seed)
    options = DecodingOptions(beam_size=64, n_best=9, max_length=3, min_length=min_length, length_penalty=alpha)
    found = search(table(logits_of), *sources, ids=IDS, options=options)
    for source, hypotheses in per_sentence(sources, found):
        ranking = oracle(logits_of, source).ranking(max_length=3, alpha=alpha, min_length=min_length)[:9]
        assert [hypothesis.tokens for hypothesis in hypotheses] == [tokens for _, tokens in ranking]
        np.testing.assert_allclose(
            [hypothesis.score for hypothesis in hypotheses], [score for score, _ in ranking], atol=1e-5
        )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "options",
    [
        DecodingOptions(beam_size=2, max_length=9),
        DecodingOptions(beam_size=3, n_best=3, max_length=9, length_penalty=0.0),
        DecodingOptions(beam_size=4, n_best=2, max_length=7, min_length=3, length_penalty=1.7),
        DecodingOptions(beam_size=5, n_best=5, max_length=2),
    ],
    ids=["two", "no-penalty", "late", "short"],
)
def test_the_beams_are_those_of_a_plain_search(
    table, hashed, oracle, sources, seed: int, options: DecodingOptions
) -> None:
    logits_of = hashed(seed, end_bonus=1.0)
    found = search(table(logits_of), *sources, ids=IDS, options=options)
    for source, hypotheses in per_sentence(sources, found):
        truth = oracle(logits_of, source)
        expected = plain_beam_search(truth, options)
        assert [hypothesis.tokens for hypothesis in hypotheses] == [tokens for _, tokens in expected]
        for hypothesis, (score, tokens) in zip(hypotheses, expected, strict=True):
            assert hypothesis.score == pytest.approx(score, abs=1e-5)
            assert hypothesis.log_probability == pytest.approx(truth.log_probability(tokens), abs=1e-5)
            assert hypothesis.is_finished == (IDS.end in tokens)


def test_the_bound_on_scores_ends_a_search_that_cannot_improve(table, sources) -> None:
    """`</s>` is nearly certain after two tokens: nothing that goes on can catch up by `max_length`."""

    def logits_of(source: tuple[int, ...], prefix: tuple[int, ...]) -> np.ndarray:
        logits = np.array([0.0, 0, 0, 1, 2, 3, 4])
        logits[IDS.end] = 20.0 if len(prefix) == 3 else -20.0
        return logits

    backend = table(logits_of)
    found = search(backend, *sources, ids=IDS, options=DecodingOptions(beam_size=4, max_length=30))
    assert {len(hypotheses[0].tokens) for hypotheses in found} == {3}
    assert len(backend.batch_sizes) < 30


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 4.0])
def test_a_larger_penalty_prefers_longer_hypotheses(table, hashed, sources, alpha: float) -> None:
    lengths = []
    for penalty in (alpha, alpha + 2):
        options = DecodingOptions(beam_size=20, max_length=5, length_penalty=penalty)
        found = search(table(hashed(1)), *sources, ids=IDS, options=options)
        lengths.append(sum(len(hypotheses[0].tokens) for hypotheses in found))
    assert lengths[0] <= lengths[1]
    assert alpha != 0.0 or lengths[0] < lengths[1]


def test_ties_go_to_the_smaller_beam_and_id(table, sources) -> None:
    backend = table(lambda source, prefix: np.array([0.0, 0, -9, 0, 0, -5, -5]))
    options = DecodingOptions(beam_size=3, n_best=3, max_length=2)
    found = search(backend, *sources, ids=IDS, options=options)
    assert [hypothesis.tokens for hypothesis in found[0]] == [(0, 0), (0, 1), (0, 3)]


def test_of_equal_scores_the_one_that_ended_first_is_better(table, sources) -> None:
    """With α 0 and certain tokens, every hypothesis has the same score."""

    def logits_of(source: tuple[int, ...], prefix: tuple[int, ...]) -> np.ndarray:
        logits = np.full(7, -np.inf)
        logits[[IDS.end, 5] if len(prefix) == 1 else [IDS.end]] = 0.0
        return logits

    options = DecodingOptions(beam_size=2, n_best=2, max_length=4, length_penalty=0.0)
    found = search(table(logits_of), *sources, ids=IDS, options=options)
    assert [hypothesis.tokens for hypothesis in found[0]] == [(IDS.end,), (5, IDS.end)]
    assert found[0][0].score == found[0][1].score == pytest.approx(np.log(0.5))


def test_fewer_hypotheses_are_returned_when_fewer_are_possible(table, sources) -> None:
    def logits_of(source: tuple[int, ...], prefix: tuple[int, ...]) -> np.ndarray:
        logits = np.full(7, -np.inf)
        logits[IDS.end if len(prefix) == 3 else 4] = 0.0
        return logits

    backend = table(logits_of)
    found = search(backend, *sources, ids=IDS, options=DecodingOptions(beam_size=5, n_best=5, max_length=6))
    assert [[hypothesis.tokens for hypothesis in row] for row in found] == [[(4, 4, IDS.end)]] * 5
    assert len(backend.batch_sizes) == 3


@pytest.mark.parametrize("seed", range(4))
def test_a_sentence_does_not_depend_on_the_others(table, hashed, sources, tokens_of, seed: int) -> None:
    options = DecodingOptions(beam_size=3, n_best=2, max_length=8)
    together = search(table(hashed(seed, end_bonus=1.0)), *sources, ids=IDS, options=options)
    for row in range(5):
        alone = [array[row : row + 1] for array in sources]
        found = search(table(hashed(seed, end_bonus=1.0)), *alone, ids=IDS, options=options)
        assert tokens_of(found) == tokens_of(together)[row : row + 1]


def test_stopped_sentences_leave_the_batch(table, sources) -> None:
    def logits_of(source: tuple[int, ...], prefix: tuple[int, ...]) -> np.ndarray:
        logits = np.array([0.0, 0, -20, 1, 2, 3, 4])
        logits[IDS.end] = 20.0 if len(prefix) > source[0] else -20.0
        return logits

    backend = table(logits_of)
    search(backend, *sources, ids=IDS, options=DecodingOptions(beam_size=2, max_length=12, length_penalty=0.0))
    assert backend.batch_sizes[0] == 5
    assert backend.batch_sizes[1:4] == [10, 10, 10]
    assert backend.batch_sizes[-1] < 10
    assert len(backend.batch_sizes) == 7


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("min_length", [0, 3])
def test_the_engines_choice_gives_the_same_tokens(
    table, top_k_table, hashed, sources, tokens_of, seed: int, min_length: int
) -> None:
    options = DecodingOptions(beam_size=3, n_best=3, max_length=8, min_length=min_length)
    logits_of = hashed(seed, end_bonus=1.0)
    own = search(top_k_table(logits_of), *sources, ids=IDS, options=options, capabilities=frozenset({"top_k"}))
    assert tokens_of(own) == tokens_of(search(table(logits_of), *sources, ids=IDS, options=options))


def test_an_engines_own_search_is_used_when_it_is_declared(table, hashed, sources) -> None:
    options = DecodingOptions(max_length=3)
    expected = search(table(hashed(0)), *sources, ids=IDS, options=options)
    seen = []

    class Searching(table):
        def translate(self, source_ids, source_mask, options):
            seen.append((source_ids, source_mask, options))
            return expected

    backend = Searching(hashed(0))
    assert search(backend, *sources, ids=IDS, options=options, capabilities=frozenset({"translate"})) is expected
    assert seen == [(*sources, options)]
    assert backend.batch_sizes == []
