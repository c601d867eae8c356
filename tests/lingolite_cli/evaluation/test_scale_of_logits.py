"""The factor between two systems' logits is that of the tokens that both may choose."""

from __future__ import annotations

import numpy as np

from lingolite_cli.evaluation.probes import _scale


def test_tokens_that_are_excluded_do_not_hide_the_factor() -> None:
    """A shortlist's are -1e30, whose square no float32 holds; those that are never generated have a bias of -3e4."""
    expected = np.random.default_rng(1).normal(size=(4, 9)).astype(np.float32)
    seen = expected * np.float32(1.5)
    for excluded in (-1e30, -3e4):
        expected[:, 2] = seen[:, 2] = excluded
        seen[1, 5] = excluded
        np.testing.assert_allclose(_scale(expected, seen), 1.5, rtol=1e-6)


def test_logits_without_a_token_that_both_may_choose_have_no_factor() -> None:
    excluded = np.full((2, 3), -1e30, np.float32)
    assert _scale(excluded, excluded) == 0.0
