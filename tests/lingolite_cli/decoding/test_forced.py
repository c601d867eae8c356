"""Teacher forcing against the logits themselves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from lingolite_cli.decoding.forced import forced_steps, target_log_probabilities
from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.decoding.search import search
from lingolite_cli.testing.tiny import IDS

TARGETS = [(4, 5, 2), (6,), (3, 3, 3, 3, 2), (2,), (5, 0, 6, 4)]


class Forced(NamedTuple):
    """One target as a backend sees it, an entry a token."""

    best_ids: tuple[int, ...]
    margins: tuple[float, ...]


def force_decode(backend, source_ids, source_mask, *, targets) -> list[Forced]:
    seen: list[Forced] = [Forced((), ())] * len(targets)
    for position, rows, tokens, logits in map(
        fields, forced_steps(backend, source_ids, source_mask, targets=targets, ids=IDS)
    ):
        for row, token, row_logits in zip(rows.tolist(), tokens.tolist(), logits, strict=True):
            assert (len(seen[row].best_ids), token) == (position, targets[row][position])
            best = int(row_logits.argmax())
            margin = float(row_logits[best] - row_logits[token])
            seen[row] = Forced((*seen[row].best_ids, best), (*seen[row].margins, margin))
    return seen


def fields(step) -> tuple:
    return step.position, step.rows, step.tokens, step.logits


@pytest.mark.parametrize("seed", range(3))
def test_each_position_is_compared_with_the_logits_there(table, hashed, sources, seed: int) -> None:
    logits_of = hashed(seed)
    forced = force_decode(table(logits_of), *sources, targets=TARGETS)
    for ids, mask, target, seen in zip(*sources, TARGETS, forced, strict=True):
        rows = [logits_of(tuple(ids[mask].tolist()), (IDS.start, *target[:index])) for index in range(len(target))]
        assert seen.best_ids == tuple(int(row.argmax()) for row in rows)
        margins = [row.max() - row[token] for row, token in zip(rows, target, strict=True)]
        np.testing.assert_allclose(seen.margins, margins, rtol=0, atol=1e-6)


def test_a_backends_own_hypotheses_have_no_margin(table, hashed, sources) -> None:
    backend = table(hashed(4, end_bonus=1.0))
    targets = [found[0].tokens for found in search(backend, *sources, ids=IDS, options=DecodingOptions(max_length=8))]
    forced = force_decode(backend, *sources, targets=targets)
    assert [seen.best_ids for seen in forced] == targets
    assert {margin for seen in forced for margin in seen.margins} == {0.0}


def test_rows_leave_the_batch_where_their_target_ends(table, hashed, sources) -> None:
    backend = table(hashed(0))
    force_decode(backend, *sources, targets=TARGETS)
    assert backend.batch_sizes == [5, 3, 3, 2, 1]


def test_a_tie_is_no_margin_and_the_smaller_id_is_best(table, sources) -> None:
    backend = table(lambda source, prefix: np.array([0.0, 0, 0, 2, 0, 2, 0]))
    forced = force_decode(backend, *sources, targets=[(5,)] * 5)
    assert {(seen.best_ids, seen.margins) for seen in forced} == {((3,), (0.0,))}


def test_an_empty_target_is_refused_before_the_model_runs(table, hashed, sources) -> None:
    backend = table(hashed(0))
    with pytest.raises(ValueError, match="at least one token"):
        force_decode(backend, *sources, targets=[(4,), (), (4,), (4,), (4,)])
    assert backend.batch_sizes == []


def test_log_probabilities_are_those_of_each_token_after_the_ones_before(table, hashed, sources) -> None:
    logits_of = hashed(2)
    found = target_log_probabilities(table(logits_of), *sources, targets=TARGETS, ids=IDS, capabilities=frozenset())
    for ids, mask, target, seen in zip(*sources, TARGETS, found, strict=True):
        assert len(seen) == len(target)
        for index, token in enumerate(target):
            logits = logits_of(tuple(ids[mask].tolist()), (IDS.start, *target[:index])).astype(np.float64)
            expected = logits[token] - np.log(np.exp(logits).sum())
            np.testing.assert_allclose(seen[index], expected, rtol=0, atol=1e-6)
