"""What a search finds, and how hypotheses of different lengths are compared.

Owns the hypothesis and the length penalty; which hypotheses are looked at is the business of `greedy` and `beam`.
"""

from __future__ import annotations

import msgspec


class Hypothesis(msgspec.Struct, frozen=True, kw_only=True):
    """One target sentence that a search found.

    Attributes:
        tokens: generated ids, without the start token, with the end token where it was reached.
        log_probability: natural logarithm of the model's probability of `tokens`.
        score: `log_probability` over the length penalty; larger is better.
        is_finished: whether the end token was reached within `max_length`.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    is_finished: bool


class Alternative(msgspec.Struct, frozen=True):
    """One of the n best translations of a text. `score` is that of its hypothesis."""

    text: str
    score: float


def length_penalty(num_tokens: int, alpha: float) -> float:
    """GNMT's ((5+n)/6)^α (Wu et al. 2016, arXiv:1609.08144, eq. 14); n counts the end token."""
    return float(((5 + num_tokens) / 6) ** alpha)


def scored(tokens: tuple[int, ...], log_probability: float, *, alpha: float, is_finished: bool) -> Hypothesis:
    """The hypothesis of `tokens`, with its score under the length penalty α."""
    score = log_probability / length_penalty(len(tokens), alpha)
    return Hypothesis(tokens=tokens, log_probability=log_probability, score=score, is_finished=is_finished)
