"""Probes: small inputs, each constructed so that it shows one kind of fault and no other.

Owns the inputs. What the outcomes mean is decided by `lingolite_cli.evaluation.causes`. B rows, T steps, S source
tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lingolite_cli.decoding.batching import pad
from lingolite_cli.evaluation.logit_comparison import compare_logits, kl_divergence
from lingolite_cli.evaluation.parity import ConsistencyProbe, TokenDifference, VocabularyProbe

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, FloatArray, IntArray
    from lingolite_cli.evaluation.logit_comparison import DoubleArray
    from lingolite_cli.plugins.interfaces import Backend, State
    from lingolite_cli.tokenization.description import DecodingIds

_STEPS, _NUM_SENTENCES, _NUM_PADDED, _NUM_COLUMNS = 10, 4, 7, 8
_CHUNK, _BLOCK, _MAX_SHIFT, _LISTED = 256, 64, 2, 10
_FAR = 8.0  # times the median entry
_LEAST = 1e-2  # a mean distance of logits below which no entry is far from the others
_EXCLUDED = -1e4  # logits of tokens that are never generated or not on a shortlist are far below
_CLEARLY = 0.5  # a shift explains the logits if it leaves less than this share of the difference


def consistency_probes(
    backend: Backend,
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    ids: DecodingIds,
    positions: int,
    repeats_are_equal: bool = True,
) -> list[ConsistencyProbe]:
    """Compare a backend with itself, in ways that must not change its logits.

    Args:
        backend: the candidate.
        sources: N framed sources, of all lengths.
        targets: their N hypotheses, each at least one token.
        ids: of the model's tokenizer.
        positions: most source or target tokens that the backend takes.
        repeats_are_equal: one target token again and again must give the same logits, which is probed.
    """
    steps = min(_STEPS, positions)
    by_length = sorted(range(len(sources)), key=lambda index: (len(sources[index]), index))
    padded = _spread(by_length, _NUM_PADDED)
    by_variety = sorted(by_length, key=lambda index: len(set(targets[index])))
    chosen = _spread(by_variety, 2 * _NUM_SENTENCES)[-_NUM_SENTENCES:]
    few, fed = [sources[index] for index in chosen], _fed([targets[index] for index in chosen], steps, ids=ids)
    pairs = np.stack([fed, _others(fed)], axis=1).reshape(-1, steps)
    doubled = [source for source in few for _ in range(2)]
    expected = _logits(backend, doubled, pairs, pad_id=ids.pad)
    return [
        _padding(
            backend,
            [sources[index] for index in padded],
            _fed([targets[index] for index in padded], steps, ids=ids),
            positions,
            pad_id=ids.pad,
        ),
        _moved("reorder", _moving(backend, backend.encode(*pad(few, ids.pad)), pairs, _beams), expected),
        _moved("rows", _moving(backend, backend.encode(*pad(doubled, ids.pad)), pairs, _rows), expected),
        *([_repetition(backend, few, fed, pad_id=ids.pad)] if repeats_are_equal else []),
    ]


def _spread(items: Sequence[int], count: int) -> list[int]:
    """At most `count` items, evenly spread, the first and the last among them."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def _fed(targets: Sequence[Sequence[int]], steps: int, *, ids: DecodingIds) -> IntArray:
    """[B, T] int64: the start token and the first tokens of each target; shorter targets are repeated."""
    first = [ids.start, *ids.prefix]
    rows = [np.concatenate([first, np.resize(np.array(target), steps)])[:steps] for target in targets]
    return np.stack(rows).astype(np.int64)


def _others(fed: IntArray) -> IntArray:
    """Another prefix for each row of `fed`: the next row's, rotated by a token so that a single row differs too."""
    others = np.roll(fed, -1, axis=0)
    others[:, 1:] = np.roll(others[:, 1:], 1, axis=1)
    return others


def _logits(
    backend: Backend, sources: Sequence[Sequence[int]], fed: IntArray, *, pad_id: int, extra: int = 0
) -> FloatArray:
    """[B, T, V] float32 of `fed` [B, T], without moving rows; `extra` columns of padding follow the longest source."""
    ids, mask = pad(sources, pad_id)
    ids = np.pad(ids, ((0, 0), (0, extra)), constant_values=pad_id)
    state = backend.encode(ids, np.pad(mask, ((0, 0), (0, extra))))
    columns = np.ascontiguousarray(fed.T)
    return np.stack([backend.step(state, column).copy() for column in columns], axis=1)


def _padding(
    backend: Backend, sources: Sequence[Sequence[int]], fed: IntArray, positions: int, *, pad_id: int
) -> ConsistencyProbe:
    extra = min(_NUM_COLUMNS, positions - max(map(len, sources)))
    alone = [_logits(backend, [source], fed[[row]], pad_id=pad_id) for row, source in enumerate(sources)]
    return _compared("padding", np.concatenate(alone), _logits(backend, sources, fed, pad_id=pad_id, extra=extra))


def _moved(name: str, seen: Iterator[tuple[int, IntArray, FloatArray]], expected: FloatArray) -> ConsistencyProbe:
    """`expected` [B, T, V] against the logits of each step's rows."""
    steps = list(seen)
    wanted = [expected[order, step] for step, order, _ in steps]
    return _compared(name, np.concatenate(wanted), np.concatenate([logits for *_, logits in steps]))


def _moving(
    backend: Backend, state: State, fed: IntArray, move: Callable[[int, int], IntArray]
) -> Iterator[tuple[int, IntArray, FloatArray]]:
    """Each step of `fed` [B, T] with rows moved before it: step, which rows of `fed` these are, and logits."""
    order = np.arange(len(fed))
    for step in range(fed.shape[1]):
        rows = move(step, len(order))
        state = backend.select(state, rows)
        order = order[rows] if step else order
        yield step, order, backend.step(state, np.ascontiguousarray(fed[order, step])).copy()


def _beams(step: int, num_rows: int) -> IntArray:
    """Two rows a sentence: each sentence is repeated first, then the two rows of every other sentence are swapped."""
    if not step:
        return np.repeat(np.arange(num_rows // 2), 2)
    pairs = np.arange(num_rows).reshape(-1, 2)
    swapped = np.arange(len(pairs)) % 2 == step % 2
    return np.where(swapped[:, None], pairs[:, ::-1], pairs).reshape(-1)


def _rows(step: int, num_rows: int) -> IntArray:
    """Sentences are permuted, removed and repeated, as by a scheduler of batches."""
    rows = np.arange(num_rows)
    moves = {2: rows[::-1], 4: np.roll(rows, 3), 6: rows[rows % 3 != 1], 8: np.concatenate([rows, rows[:2]])}
    return np.ascontiguousarray(moves.get(step, rows))


def _repetition(backend: Backend, sources: Sequence[Sequence[int]], fed: IntArray, *, pad_id: int) -> ConsistencyProbe:
    """One repeated token: all values of the self-attention are equal, so its output does not depend on positions."""
    token = fed[:, 1:2] if fed.shape[1] > 1 else fed
    logits = _logits(backend, sources, np.repeat(token, fed.shape[1], axis=1), pad_id=pad_id)
    return _compared("repetition", np.broadcast_to(logits[:, :1], logits.shape), logits)


def _compared(name: str, expected: FloatArray, seen: FloatArray) -> ConsistencyProbe:
    """Logits [..., V] that must be the same."""
    size = expected.shape[-1]
    found = compare_logits(expected.reshape(-1, size), seen.reshape(-1, size))
    return ConsistencyProbe(
        name=name,
        num_rows=len(found.kl),
        max_difference=float(found.largest.max()),
        kl_mean=float(found.kl.mean()),
        kl_max=float(found.kl.max()),
    )


def probe_vocabulary(
    reference: Backend, candidate: Backend, pieces: Sequence[str], *, limit: int, num_source_tokens: int | None = None
) -> VocabularyProbe:
    """Feed single tokens to both systems: as the whole source, and the same as the first target token.

    Args:
        reference: what the candidate is to follow.
        candidate: the backend to judge.
        pieces: the V entries, to name them.
        limit: most entries that are read; of a larger vocabulary, evenly spaced ones.
        num_source_tokens: size of the source vocabulary; None for V.
    """
    size = len(pieces)
    num_sources = num_source_tokens or size
    block = _block(size)
    ids = np.unique(np.concatenate([np.linspace(0, size - 1, min(size, limit)).astype(np.int64), block]))
    kl, by_row, by_column = np.empty(len(ids)), np.empty(len(ids)), np.zeros(size)
    for start in range(0, len(ids), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        expected, seen = (_single_tokens(backend, ids[chunk], num_sources) for backend in (reference, candidate))
        found = compare_logits(expected, seen)
        kl[chunk], by_row[chunk] = found.kl, found.mean
        by_column += _column_sums(expected, seen) / len(ids)
    blocks = [_single_tokens(backend, block, num_sources) for backend in (reference, candidate)]
    read, written = _far(by_row), _far(by_column)
    shifts, scale = _shifts(*blocks), _scale(*blocks)
    return VocabularyProbe(
        num_tokens=len(ids),
        kl_median=float(np.median(kl)),
        kl_max=float(kl.max()),
        num_read=len(read),
        num_written=len(written),
        read=[_difference(ids[place], ratio, kl[place], pieces) for place, ratio in read[:_LISTED]],
        written=[_difference(place, ratio, _kl_of(place, ids, kl), pieces) for place, ratio in written[:_LISTED]],
        read_shift=shifts[0],
        written_shift=shifts[1],
        scale=scale,
        scaled_kl_median=float(np.median(kl_divergence(blocks[0], blocks[1] / np.float32(scale or 1.0)))),
    )


def _block(size: int) -> IntArray:
    """Neighbouring ids in the middle of the vocabulary, where a shift of the table shows."""
    count = min(_BLOCK, size)
    return np.arange((size - count) // 2, (size - count) // 2 + count)


def _column_sums(expected: FloatArray, seen: FloatArray) -> DoubleArray:
    """[V] sums of the absolute differences of logits [B, V]."""
    sums = np.zeros(seen.shape[1])
    for wanted, found in zip(expected, seen, strict=True):  # row by row, so that no further array has this size
        sums += np.abs(found - wanted)
    return sums


def _single_tokens(backend: Backend, ids: IntArray, num_sources: int) -> FloatArray:
    """[B, V] logits of the second target token, after `ids` [B] as sources and as first target tokens."""
    mask: BoolArray = np.ones((len(ids), 1), np.bool_)
    # A source vocabulary of its own may be the smaller one.
    state = backend.encode(np.ascontiguousarray(ids[:, None] % num_sources), mask)
    return backend.step(state, ids)


def _far(distances: DoubleArray) -> list[tuple[int, float]]:
    """Indices of distances far above the median, with the ratio to the median; the largest first.

    A wrong row of the embedding changes all logits when it is read as input, but only its own when it is an output: the
    mean over logits tells a token that is read wrong from one that is predicted wrong.
    """
    ratios = distances / max(float(np.median(distances)), _LEAST / _FAR)
    found = np.flatnonzero(ratios > _FAR)
    return [(int(place), float(ratios[place])) for place in found[np.argsort(-ratios[found], kind="stable")]]


def _kl_of(identifier: int, ids: IntArray, kl: DoubleArray) -> float:
    """KL where this entry was read; 0 where it was not."""
    place = int(np.searchsorted(ids, identifier))
    return float(kl[place]) if place < len(ids) and ids[place] == identifier else 0.0


def _difference(identifier: int, ratio: float, kl: float, pieces: Sequence[str]) -> TokenDifference:
    return TokenDifference(id=int(identifier), piece=pieces[identifier], ratio=ratio, kl=float(kl))


def _shifts(expected: FloatArray, seen: FloatArray) -> tuple[int, int]:
    """By how many ids input and logits are shifted, from logits [B, V] of B neighbouring tokens; (0, 0) for none."""
    if len(expected) <= 4 * _MAX_SHIFT:
        return 0, 0
    inner, outer = (slice(_MAX_SHIFT, length - _MAX_SHIFT) for length in expected.shape)
    shifts = range(-_MAX_SHIFT, _MAX_SHIFT + 1)
    rolled = {
        (read, written): np.roll(expected, (-read, -written), axis=(0, 1))[inner, outer]
        for read in shifts
        for written in shifts
    }
    distances = {shift: float(np.abs(seen[inner, outer] - logits).mean()) for shift, logits in rolled.items()}
    best = min(distances, key=distances.__getitem__)
    return best if distances[best] < _CLEARLY * distances[0, 0] else (0, 0)


def _scale(expected: FloatArray, seen: FloatArray) -> float:
    """The factor k of least squares in seen = k · expected, over the logits of tokens that both may choose."""
    both = (expected > _EXCLUDED) & (seen > _EXCLUDED)
    reference, candidate = (logits[both].astype(np.float64) for logits in (expected, seen))
    return float(np.vdot(candidate, reference) / max(float(np.vdot(reference, reference)), 1e-30))
