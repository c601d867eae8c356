"""A real, tiny backend for the search: a table of logits that depends on the source and on every token before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from lingolite_cli.testing import tiny_tokenizer
from lingolite_cli.testing.tiny import IDS
from lingolite_cli.tokenization.opening import read_tokenizer
from lingolite_cli.tokenization.tokenizer import Tokenizer

VOCAB_SIZE = 7

Prefix = tuple[int, ...]
LogitsOf = Callable[[Prefix, Prefix], np.ndarray]


class TableBackend:
    """Looks logits up by (source, target prefix); a prefix starts with `<s>`.

    Attributes:
        source_shapes: (rows, length) of each `encode`, in order.
        batch_sizes: rows of each `step`, in order.
        selections: rows of each `select`, in order.
    """

    def __init__(self, logits_of: LogitsOf) -> None:
        self.logits_of = logits_of
        self.source_shapes: list[tuple[int, ...]] = []
        self.batch_sizes: list[int] = []
        self.selections: list[list[int]] = []

    def encode(self, source_ids: np.ndarray, source_mask: np.ndarray) -> list[list[Prefix]]:
        assert source_mask.dtype == np.bool_
        self.source_shapes.append(source_ids.shape)
        return [[tuple(ids[mask].tolist()), ()] for ids, mask in zip(source_ids, source_mask, strict=True)]

    def step(self, state: list[list[Prefix]], tokens: np.ndarray) -> np.ndarray:
        assert tokens.dtype == np.int64
        assert tokens.shape == (len(state),)
        self.batch_sizes.append(len(state))
        for row, token in zip(state, tokens.tolist(), strict=True):
            row[1] = (*row[1], token)
        return np.stack([self.logits_of(*row) for row in state]).astype(np.float32)

    def select(self, state: list[list[Prefix]], rows: np.ndarray) -> list[list[Prefix]]:
        assert rows.dtype == np.int64
        self.selections.append(rows.tolist())
        return [list(state[row]) for row in rows.tolist()]

    def close(self) -> None:
        """Nothing to free."""


class TopKTableBackend(TableBackend):
    """The same with the capability `top_k`, computed another way: in float64, by a full sort."""

    def step_top_k(self, state: list[list[Prefix]], tokens: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        logits = self.step(state, tokens).astype(np.float64)
        log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        ids = np.lexsort((np.broadcast_to(np.arange(logits.shape[1]), logits.shape), -logits), axis=1)[:, :k]
        return ids, np.take_along_axis(log_probabilities, ids, axis=1).astype(np.float32)


class Oracle:
    """Probabilities of whole hypotheses, and the best of all that are possible, by enumeration."""

    def __init__(self, logits_of: LogitsOf, source: Prefix) -> None:
        self._logits_of = logits_of
        self._source = source

    def gains(self, tokens: Prefix) -> np.ndarray:
        """[V] float64 log-probabilities of the token after `tokens`."""
        logits = self._logits_of(self._source, (IDS.start, *tokens)).astype(np.float64)
        return logits - np.log(np.exp(logits).sum())

    def log_probability(self, tokens: Prefix) -> float:
        """Of all of `tokens`, `</s>` included if it is there."""
        return sum(float(self.gains(tokens[:index])[token]) for index, token in enumerate(tokens))

    def ranking(self, *, max_length: int, alpha: float, min_length: int = 0) -> list[tuple[float, Prefix]]:
        """(score, tokens) of every hypothesis that a search could return, best first."""
        scored = []
        for tokens in self._possible(max_length, min_length):
            penalty = ((5 + len(tokens)) / 6) ** alpha
            scored.append((self.log_probability(tokens) / penalty, tokens))
        return sorted(scored, key=lambda pair: -pair[0])

    def _possible(self, max_length: int, min_length: int) -> Iterator[Prefix]:
        others = [id for id in range(VOCAB_SIZE) if id != IDS.end]
        for length in range(max_length):
            if length >= min_length:
                yield from ((*tokens, IDS.end) for tokens in product(others, repeat=length))
        yield from product(others, repeat=max_length)


def hashed_logits(seed: int, *, end_bonus: float = 0.0) -> LogitsOf:
    """Logits drawn anew for each (source, prefix); `end_bonus` is added to that of `</s>`."""

    def logits_of(source: Prefix, prefix: Prefix) -> np.ndarray:
        logits = np.random.default_rng([seed, *source, 1000, *prefix]).normal(0, 1.5, VOCAB_SIZE)
        logits[IDS.end] += end_bonus
        return logits.astype(np.float32)

    return logits_of


@pytest.fixture
def table() -> type[TableBackend]:
    """The backend's class."""
    return TableBackend


@pytest.fixture
def top_k_table() -> type[TopKTableBackend]:
    """The class of the same backend with `top_k`."""
    return TopKTableBackend


@pytest.fixture
def oracle() -> type[Oracle]:
    """The class of the enumeration."""
    return Oracle


@pytest.fixture
def hashed() -> Callable[..., LogitsOf]:
    """Makes logits from a seed."""
    return hashed_logits


@pytest.fixture
def sources() -> tuple[np.ndarray, np.ndarray]:
    """Five sources of different lengths."""
    ids = np.array([[4, 5, 0, 0], [6, 0, 0, 0], [4, 4, 6, 0], [5, 6, 4, 3], [3, 0, 0, 0]], dtype=np.int64)
    return ids, ids != 0


@pytest.fixture
def tokens_of() -> Callable[[list[list[Any]]], list[list[Prefix]]]:
    """The tokens of what `search` found."""
    return lambda found: [[hypothesis.tokens for hypothesis in hypotheses] for hypotheses in found]


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    """The tokenizer of the contracts' tiny bundle."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    path.write_bytes(tiny_tokenizer())
    return read_tokenizer(path)
