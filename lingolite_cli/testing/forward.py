"""Small ways of driving a backend, apart from the search that the host drives it with.

B batch, S source, T target, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.artifact import Artifact
from lingolite_cli.decoding.batching import pad
from lingolite_cli.testing.tiny import IDS, LANGUAGES, SENTENCES
from lingolite_cli.tokenization.opening import open_tokenizer

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.plugins.interfaces import Backend, State


def framed_sources(artifact: Artifact) -> list[list[int]]:
    """`SENTENCES` as ids, framed for a model of the tiny bundle's languages."""
    tokenizer, model = open_tokenizer(artifact), artifact.manifest.model
    return [tokenizer.encode_source(text, LANGUAGES, max_length=model.max_seq_len).ids for text in SENTENCES]


def arbitrary_targets(artifact: Artifact, *, rows: int, length: int, seed: int = 5) -> IntArray:
    """[B, T] ids that start with the start token; the others are drawn from all above the unknown token."""
    special = artifact.manifest.tokenizer_description.ids
    drawn = np.random.default_rng(seed).integers(
        special.unknown + 1, artifact.manifest.model.vocab_size, (rows, length), dtype=np.int64
    )
    drawn[:, 0] = special.start
    return drawn


def step_all(backend: Backend, state: State, targets: IntArray) -> FloatArray:
    """[B, T, V] logits after each of `targets` [B, T]."""
    return np.stack([backend.step(state, tokens).copy() for tokens in targets.T.copy()], axis=1)


def all_logits(backend: Backend, sources: list[list[int]], targets: IntArray) -> FloatArray:
    """[B, T, V] logits of `sources` in one batch, after each of `targets` [B, T]."""
    return step_all(backend, backend.encode(*pad(sources, IDS.pad)), targets)


def plain_greedy(
    backend: Backend, source_ids: IntArray, source_mask: BoolArray, *, max_length: int
) -> list[tuple[int, ...]]:
    """Greedy search as one would write it at first: no row ever leaves the batch."""
    state = backend.encode(source_ids, source_mask)
    tokens = np.full((len(source_ids), max_length + 1), IDS.start, np.int64)
    for length in range(max_length):
        tokens[:, length + 1] = backend.step(state, tokens[:, length]).argmax(axis=1)
    return [_up_to_end(row[1:].tolist()) for row in tokens]


def _up_to_end(tokens: list[int]) -> tuple[int, ...]:
    length = tokens.index(IDS.end) + 1 if IDS.end in tokens else len(tokens)
    return tuple(tokens[:length])
