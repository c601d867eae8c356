"""How a file is held against the bundle that it was exported from: end to end by logits, and operation by operation.

Owns what both are fed, and the order of work. The records are `lingolite_cli.evaluation.exported`'s. B batch, T target,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

from lingolite_cli.architecture.parts import parts_of
from lingolite_cli.architecture.reference import Reference
from lingolite_cli.console import Progress
from lingolite_cli.decoding.batching import batches, pad
from lingolite_cli.decoding.forced import forced_steps
from lingolite_cli.evaluation.exported import ExportedComparison, OperationDifference
from lingolite_cli.evaluation.logit_comparison import LogitComparison, kl_divergence, log_normalizers, ranks_first
from lingolite_cli.evaluation.operation_comparison import (
    INCOMPARABLE,
    OperationReading,
    compare_embeddings,
    compare_operations,
)
from lingolite_cli.evaluation.rounding_noise import explained_mean, moved_rounding
from lingolite_cli.evaluation.top_k_comparison import compare_top_k
from lingolite_cli.plugins.interfaces import ForcedTokens

if TYPE_CHECKING:
    from lingolite_cli.architecture.arithmetic import Arithmetic, ForcedScores
    from lingolite_cli.arrays import Array
    from lingolite_cli.plugins.interfaces import Backend, Trace
    from lingolite_cli.tokenization.description import DecodingIds
    from lingolite_cli.weights.bundle import Weights

    ScoreFunction: TypeAlias = Callable[[Array, Array, Array], Array]
    TraceFunction: TypeAlias = Callable[[ForcedTokens], Sequence[Trace]]

_BATCH_SIZE = 8
_MOST_POSITIONS = 512
"""Positions of the row that is as long as the model takes: beyond, time and memory would grow with the square."""

_MOST_LOGITS = 1 << 25
"""Logits of that row, which a trace holds."""

_PROBED_COLUMNS = 64
"""Source tokens of a row when the whole vocabulary is looked up."""


class ExportedText(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences on which the file is held against the bundle.

    Attributes:
        sources: framed ids, with at most the file's positions.
        tokens: the file's own translations, as `Translation.tokens`, none empty.
        positions: most source or target tokens that the file takes.
        ids: of the bundle's tokenizer.
        never_generated: tokens that no search may choose.
        is_greedy: whether each token of a translation was the best at its place.
    """

    sources: Sequence[Sequence[int]]
    tokens: Sequence[Sequence[int]]
    positions: int
    ids: DecodingIds
    never_generated: Sequence[int] = ()
    is_greedy: bool = True


def compare_end_to_end(
    candidate: Backend | None, text: ExportedText, weights: Weights, arithmetic: Arithmetic, *, progress: Progress
) -> ExportedComparison:
    """Logits of the file along its own translations, and those of the reference.

    Where these differ by more than the engine states for any network, what its last bits explain in this one is
    computed as well.

    Where rounding explains that two tokens change places (`Arithmetic.near_tie`), ranks agree: both tokens are the
    reference's choice as far as the engine can tell.

    Args:
        candidate: the file; None where its engine gives no logits. Its translations are then judged by what the
            reference ranks first at each place, which needs a greedy search.
        text: the sentences.
        weights: of the bundle.
        arithmetic: of the file's engine.
        progress: is told how many target tokens there are, and of each batch.
    """
    progress.begin("tokens of the bundle", total=sum(len(_cut(target, text)) for target in text.tokens))
    reference = Reference.of(weights, arithmetic)
    comparison = LogitComparison(near_tie=arithmetic.near_tie)
    num_agreed = num_tokens = 0
    for batch in batches([len(source) for source in text.sources], batch_size=_BATCH_SIZE, max_batch_tokens=4096):
        source = pad([text.sources[index] for index in batch], text.ids.pad)
        targets = [_cut(text.tokens[index], text) for index in batch]
        expected = _expected(reference, source, targets, text)
        num_tokens += sum(map(len, targets))
        progress.advance(sum(map(len, targets)))
        if candidate is None:
            expected[..., list(text.never_generated)] = -np.inf
            num_agreed += sum(
                int(ranks_first(row[: len(target)], np.array(target), near_tie=arithmetic.near_tie).sum())
                for row, target in zip(expected, targets, strict=True)
            )
            continue
        for step in forced_steps(candidate, *source, targets=targets, ids=text.ids):
            rows = np.array(batch)[step.rows]
            comparison.add(rows, step.position, expected[step.rows, step.position], step.logits)
    if candidate is None:
        return ExportedComparison(agreement=num_agreed / num_tokens, num_tokens=num_tokens)
    lengths = [len(source) for source in text.sources]
    logits = comparison.summarize(lengths, [None] * len(lengths), worst=5)
    return ExportedComparison(
        agreement=logits.top1_agreement,
        num_tokens=logits.num_tokens,
        logits=logits,
        # Twice the work, so only where the answer matters.
        explained_kl=_explained_kl(text, weights, arithmetic) if logits.kl_mean > arithmetic.kl_max else None,
    )


def _explained_kl(text: ExportedText, weights: Weights, arithmetic: Arithmetic) -> float | None:
    """Mean KL of a token that the engine's last bits explain in this network, from its bundle alone; None where it
    declares none."""
    if not arithmetic.quotient_error:
        return None
    reference = Reference.of(weights, arithmetic)
    moved = Reference.of(weights, arithmetic, rounding=moved_rounding(arithmetic.quotient_error))
    sums, counts = [], []
    for tokens, target in zip(text.sources, text.tokens, strict=True):
        source, targets = pad([tokens], text.ids.pad), [_cut(target, text)]
        expected, other = (_expected(one, source, targets, text)[0] for one in (reference, moved))
        sums.append(float(kl_divergence(expected, other).sum()))
        counts.append(len(expected))
    return explained_mean(sums, counts)


def compare_scores(
    score: ScoreFunction, text: ExportedText, weights: Weights, scores: ForcedScores, *, progress: Progress
) -> ExportedComparison:
    """Log-probabilities of given targets, of an engine that gives no logits, and those of the reference.

    The targets are the file's own translations, and the whole vocabulary in rows.

    Args:
        score: asks the engine, as `ScoringBackend.score`.
        text: the sentences.
        weights: of the bundle.
        scores: how the engine was asked.
        progress: is told how many targets there are, and of each batch.
    """
    reference = Reference(weights, reads_floats=lambda name: scores.is_weight_only)
    differences: list[float] = []
    rows = _rows_of_vocabulary(text, weights)
    progress.begin("log-probabilities, targets", total=len(text.sources) + len(rows[0]))
    sources, tokens = [*text.sources, *rows[0].tolist()], [*text.tokens, *rows[1].tolist()]
    for batch in batches([len(source) for source in sources], batch_size=_BATCH_SIZE, max_batch_tokens=4096):
        source = pad([sources[index] for index in batch], text.ids.pad)
        targets = [_cut(tokens[index], text) for index in batch]
        expected = _expected(reference, source, targets, text)
        # With an end, so that no token of a target can be taken for padding.
        padded, _ = pad([[*text.ids.prefix, *target, text.ids.end] for target in targets], text.ids.pad)
        found = score(*source, padded)[:, len(text.ids.prefix) :]
        progress.advance(len(targets))
        for row, target in enumerate(targets):
            logits = expected[row, : len(target)]
            own = logits[np.arange(len(target)), list(target)] - log_normalizers(logits)
            differences += np.abs(found[row, : len(target)] - own).tolist()
    return ExportedComparison(score_difference=float(np.mean(differences)))


def compare_values(
    trace: TraceFunction, text: ExportedText, weights: Weights, arithmetic: Arithmetic, *, progress: Progress
) -> ExportedComparison:
    """Values of every named operation that the engine shows: on a few sentences, on a row as long as the file takes,
    and of the embeddings on the whole vocabulary.

    Args:
        trace: asks the engine.
        text: the sentences.
        weights: of the bundle.
        arithmetic: of the engine.
        progress: is told of each text that was traced.
    """
    readings: list[OperationReading] = []
    few, long = _few(text), _long(text, vocab_size=weights.config.vocab_size)
    progress.begin("operations, texts", total=3)
    for tokens in (few, long):
        for found in trace(tokens):
            readings += compare_operations(weights, arithmetic, tokens, found)
            readings += compare_top_k(found, rounding=arithmetic.rounding)
        progress.advance()
    vocabulary = _vocabulary(text, weights)
    assert vocabulary.operations is not None
    for found in trace(vocabulary):
        read = compare_embeddings(weights, arithmetic, vocabulary, found)
        readings += [reading for reading in read if reading.name in vocabulary.operations]
    worst = max((reading.relative for reading in readings), default=None)
    return ExportedComparison(
        rounding=None if worst is None else worst / arithmetic.rounding,
        num_operations=len({reading.name for reading in readings}),
        operations=_in_order(readings),
    )


def _in_order(readings: Sequence[OperationReading]) -> list[OperationDifference]:
    """Each operation that differs once, where it differs most, in the order of computation.

    What is not finite or has another shape comes first: positions may be counted by a cache, so that a cache that loses
    tokens is the cause of queries at wrong positions, although these are computed before it in each step.
    """
    places: dict[str, int] = {}
    worst: dict[str, OperationDifference] = {}
    for reading in readings:
        places.setdefault(reading.name, len(places))
        found, known = reading.difference, worst.get(reading.name)
        if found is not None and (known is None or found.relative > known.relative):
            worst[reading.name] = found
    return [worst[name] for name in sorted(worst, key=lambda name: (worst[name].relative < INCOMPARABLE, places[name]))]


def _cut(target: Sequence[int], text: ExportedText) -> Sequence[int]:
    return target[: text.positions - len(text.ids.prefix)]


def _read(target: Sequence[int], text: ExportedText) -> list[int]:
    """What the decoder reads to give `target`."""
    return [text.ids.start, *text.ids.prefix, *target[:-1]]


def _expected(
    reference: Reference, source: tuple[Array, Array], targets: Sequence[Sequence[int]], text: ExportedText
) -> Array:
    """[B, T, V] float32 logits of the tokens of `targets`."""
    read, _ = pad([_read(target, text) for target in targets], text.ids.pad)
    logits = reference.decode(read, reference.encode(*source), source[1])
    skipped: Array = logits[:, len(text.ids.prefix) :]
    return skipped


def _few(text: ExportedText) -> ForcedTokens:
    """The shortest sentence, one of middling length and the longest, side by side, so that there is padding."""
    order = sorted(range(len(text.sources)), key=lambda index: len(text.sources[index]))
    chosen = sorted({order[0], order[len(order) // 2], order[-1]})
    ids, mask = pad([text.sources[index] for index in chosen], text.ids.pad)
    targets, _ = pad([_read(_cut(text.tokens[index], text), text) for index in chosen], text.ids.pad)
    return ForcedTokens(source_ids=ids, source_mask=mask, target_ids=targets)


def _long(text: ExportedText, *, vocab_size: int) -> ForcedTokens:
    """One row of as many positions as the file takes, from the tokens of sentence after sentence."""
    length = min(text.positions, _MOST_POSITIONS, max(1, _MOST_LOGITS // vocab_size))
    source, target = (_chained(parts, length) for parts in (text.sources, text.tokens))
    read = np.array([[text.ids.start, *target][:length]])
    return ForcedTokens(source_ids=source[None], source_mask=np.ones((1, length), np.bool_), target_ids=read)


def _chained(parts: Sequence[Sequence[int]], length: int) -> Array:
    joined = np.concatenate([np.array(part, np.int64) for part in parts])
    return np.resize(joined, length)


def _vocabulary(text: ExportedText, weights: Weights) -> ForcedTokens:
    """Every id once, for the encoder and for the decoder."""
    parts = parts_of(weights.config)
    source_ids, target_ids = _rows_of_vocabulary(text, weights)
    return ForcedTokens(
        source_ids=source_ids,
        source_mask=np.ones(source_ids.shape, np.bool_),
        target_ids=target_ids,
        operations=frozenset({parts.encoder.embedding.name, parts.decoder.embedding.name}),
    )


def _rows_of_vocabulary(text: ExportedText, weights: Weights) -> tuple[Array, Array]:
    """[rows, columns] of every source id once, and of every target id once; the first ones fill up what is left."""
    num_sources, num_targets = weights.config.num_source_tokens, weights.config.vocab_size
    columns = min(text.positions, _PROBED_COLUMNS)
    rows = -(-max(num_sources, num_targets) // columns)
    sources, targets = (
        np.resize(np.arange(count), rows * columns).reshape(rows, columns) for count in (num_sources, num_targets)
    )
    return sources, targets
