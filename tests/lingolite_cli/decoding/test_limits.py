"""Hypotheses are limited relative to their sources, and no sentence's limit depends on the others of its batch."""

from __future__ import annotations

import msgspec
import pytest

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search, search_in_steps
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.testing.tiny import IDS


def test_the_limit_follows_the_source_within_the_other_limits() -> None:
    options = DecodingOptions(max_length=20, min_length=2, max_length_factor=1.5)
    assert [options.limit(length) for length in (1, 3, 10, 99)] == [2, 4, 15, 20]
    assert DecodingOptions(max_length_factor=0.1).limit(3) == 1
    assert DecodingOptions(max_length=20).limit(1) == 20


def test_options_without_a_factor_are_encoded_as_before() -> None:
    assert "max_length_factor" not in msgspec.to_builtins(DecodingOptions())
    assert msgspec.to_builtins(DecodingOptions(max_length_factor=2.5))["max_length_factor"] == 2.5


@pytest.mark.parametrize("beam_size", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_each_row_is_searched_as_alone_with_its_own_limit(table, hashed, sources, seed: int, beam_size: int) -> None:
    logits_of, (ids, mask) = hashed(seed, end_bonus=0.5), sources
    options = DecodingOptions(beam_size=beam_size, n_best=beam_size, max_length=9, max_length_factor=1.4)
    found = search(table(logits_of), ids, mask, ids=IDS, options=options)
    limits = [options.limit(int(row.sum())) for row in mask]
    assert len(set(limits)) > 1
    for row, limit in enumerate(limits):
        plain = DecodingOptions(beam_size=beam_size, n_best=beam_size, max_length=limit)
        (alone,) = search(table(logits_of), ids[[row]], mask[[row]], ids=IDS, options=plain)
        assert [hypothesis.tokens for hypothesis in found[row]] == [hypothesis.tokens for hypothesis in alone]
        assert [hypothesis.score for hypothesis in found[row]] == pytest.approx([one.score for one in alone])
    assert any(len(hypotheses[0].tokens) == limit for hypotheses, limit in zip(found, limits, strict=True))


def test_a_translation_in_steps_has_the_same_limit(table, hashed, sources) -> None:
    ids, mask = sources[0][[0]], sources[1][[0]]
    options = DecodingOptions(max_length=30, max_length_factor=1.2)
    backend = table(hashed(1, end_bonus=-9.0))
    *_, last = search_in_steps(backend, ids, mask, ids=IDS, options=options)
    assert len(last.tokens) == options.limit(int(mask.sum()))


def test_an_engine_that_searches_by_itself_is_given_a_prefix_only_if_it_takes_one(table, hashed, sources) -> None:
    ids = msgspec.structs.replace(IDS, prefix=(9,))
    with pytest.raises(LingoLiteError, match="searches by itself, and takes no forced prefix"):
        search(table(hashed(0)), *sources, ids=ids, options=DecodingOptions(), capabilities=frozenset({"translate"}))


def test_an_engine_that_searches_by_itself_is_not_asked_for_it(table, hashed, sources) -> None:
    options = DecodingOptions(max_length_factor=2.5)
    with pytest.raises(LingoLiteError, match=r"no max_length_factor \(2.5\)"):
        search(table(hashed(0)), *sources, ids=IDS, options=options, capabilities=frozenset({"translate"}))
