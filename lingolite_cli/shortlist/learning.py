"""Learning a shortlist from parallel text.

For each source token the targets that it most probably translates to, by IBM Model 1 (Brown et al. 1993, Computational
Linguistics 19(2), section 4.2). Beside them the most frequent target tokens, as in L'Hostis et al. 2016
(arXiv:1610.00072), and the characters and bytes that the text's targets are spelled with. Where we differ from Brown
et al.: a token counts once a sentence, so that a pair's alignments are those of sets. S source and T target tokens of a
pair, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.shortlist.candidates import CandidateChooser
from lingolite_cli.shortlist.shortlist import NO_TOKEN, Details, Shortlist
from lingolite_cli.tokenization.tokenizer import Tokenizer

_Ids: TypeAlias = npt.NDArray[np.int32]
_Counts: TypeAlias = npt.NDArray[np.float64]

_CHUNK_PAIRS = 8192
LONGEST = 128
"""Pairs with more different tokens on one side are left out: alignments of whole paragraphs say little."""


class LearningOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a shortlist is learned.

    Attributes:
        num_candidates: most target tokens that a source token brings, itself not counted.
        num_frequent: target tokens that every sentence has, besides the end token and the text's characters and bytes.
        iterations: of expectation maximization.
        max_pairs: pairs that are read, spread evenly over the text.
    """

    num_candidates: int = 50
    num_frequent: int = 300
    iterations: int = 3
    max_pairs: int = 200_000


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a text's references a shortlist covers.

    Attributes:
        num_sentences: of the text.
        token_share: share of the reference tokens that are on their sentence's shortlist.
        sentence_share: share of the sentences of which all are.
        mean_target_tokens: target tokens on the shortlist of a sentence; `mean_words` in JSON.
        vocab_size: target tokens without a shortlist.
    """

    num_sentences: int
    token_share: float
    sentence_share: float
    mean_target_tokens: float = msgspec.field(name="mean_words")
    vocab_size: int


def learn_shortlist(
    pairs: Sequence[tuple[str, str]],
    tokenizer: Tokenizer,
    *,
    digest: str,
    languages: tuple[str, str],
    options: LearningOptions,
) -> Shortlist:
    """A shortlist from sources and their translations. Equal text and options give equal shortlists.

    Args:
        pairs: (source, target).
        tokenizer: of the model.
        digest: SHA-256 of the tokenizer's file.
        languages: of source and target.
        options: see `LearningOptions`.

    Raises:
        LingoLiteError: the tokenizer has no tag for a language, or no pair can be learned from.
    """
    tokenizer.check_languages(languages)
    kept = _spread(pairs, options.max_pairs)
    model = _Model1(
        _aligned(kept, tokenizer), num_sources=len(tokenizer.source_pieces), num_targets=len(tokenizer.target_pieces)
    )
    for _ in range(options.iterations):
        model.improve()
    counts = model.target_counts
    spelling = {id for id in tokenizer.spelling_ids if counts[id]}
    frequent = _most_frequent(counts, options.num_frequent, skip=spelling)
    return Shortlist(
        details=Details(
            languages=languages,
            tokenizer=digest,
            method=f"IBM Model 1, {options.iterations} iterations",
            num_pairs=model.num_pairs,
            target_vocab_size=_own_target_size(tokenizer),
        ),
        frequent=np.array(sorted({tokenizer.description.ids.end, *spelling, *frequent}), np.int32),
        candidates=_with_copies(model.best(options.num_candidates), tokenizer),
    )


def measure_coverage(shortlist: Shortlist, pairs: Iterable[tuple[str, str]], tokenizer: Tokenizer) -> Coverage:
    """The share of reference tokens that a shortlist covers, and how many target tokens it gives a sentence.

    Raises:
        LingoLiteError: there are no pairs.
    """
    chooser = CandidateChooser(shortlist)
    end = tokenizer.description.ids.end
    num_sentences = num_tokens = num_found = num_whole = num_target_tokens = 0
    for source, target in pairs:
        ids = np.array([tokenizer.encode(source) or [end]], np.int64)
        candidates = chooser.choose(ids, np.ones(ids.shape, np.bool_)).ids[0]
        is_found = np.isin([*tokenizer.encode_target(target), end], candidates)
        num_sentences += 1
        num_tokens += len(is_found)
        num_found += int(is_found.sum())
        num_whole += int(is_found.all())
        num_target_tokens += len(candidates)
    if not num_sentences:
        raise LingoLiteError("there are no sentences to measure coverage on")
    return Coverage(
        num_sentences=num_sentences,
        token_share=num_found / num_tokens,
        sentence_share=num_whole / num_sentences,
        mean_target_tokens=num_target_tokens / num_sentences,
        vocab_size=len(tokenizer.target_pieces),
    )


def _spread(pairs: Sequence[tuple[str, str]], limit: int) -> list[tuple[str, str]]:
    places = np.linspace(0, len(pairs), min(limit, len(pairs)), endpoint=False).astype(np.int64)
    return [pairs[place] for place in places.tolist()]


def _aligned(pairs: Iterable[tuple[str, str]], tokenizer: Tokenizer) -> Iterator[tuple[_Ids, _Ids]]:
    """Different tokens of source and target, of pairs that have some and not too many."""
    for source, target in pairs:
        sides = np.unique(tokenizer.encode(source)), np.unique(tokenizer.encode_target(target))
        if all(0 < len(side) <= LONGEST for side in sides):
            yield sides[0].astype(np.int32), sides[1].astype(np.int32)


class _Chunk(msgspec.Struct, frozen=True):
    """Links of some pairs: each target token of a pair with all its source tokens, which lie together.

    Attributes:
        keys: [links] places of (source, target) among the links that the text has.
        starts: [target tokens] where the links of each begin.
    """

    keys: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]


class _Model1:
    """t(target | source) of the links that occur, after any number of iterations of EM.

    The empty word, which brings targets that nothing in the source does, is a source token after the last.

    Args:
        pairs: different tokens of source and target.
        num_sources: V, or that of sources where targets have a vocabulary of their own.
        num_targets: V, or that of targets.

    Raises:
        LingoLiteError: there is no pair.
    """

    def __init__(self, pairs: Iterable[tuple[_Ids, _Ids]], *, num_sources: int, num_targets: int) -> None:
        self._num_sources, self._num_targets = num_sources, num_targets
        self.num_pairs = 0
        self.target_counts = np.zeros(num_targets, np.int64)
        raw = [self._links(chunk) for chunk in _chunked(pairs)]
        if not raw:
            raise LingoLiteError(
                "the text has no pair to learn from", hint="a row is a source, a tab and its translation"
            )
        links = np.unique(np.concatenate([np.unique(keys) for keys, _ in raw]))
        self._chunks = [_Chunk(np.searchsorted(links, keys).astype(np.int32), starts) for keys, starts in raw]
        self._sources, self._targets = np.divmod(links, num_targets)
        self._probabilities: _Counts = np.ones(len(links))

    def improve(self) -> None:
        """One iteration of EM (Brown et al. 1993, equations 16 and 17, without lengths)."""
        counts = np.zeros(len(self._probabilities))
        for chunk in self._chunks:
            shares = self._probabilities[chunk.keys]
            totals = np.add.reduceat(shares, chunk.starts)
            lengths = np.diff(chunk.starts, append=len(shares))
            shares /= np.repeat(totals, lengths)
            counts += np.bincount(chunk.keys, shares, minlength=len(counts))
        by_source = np.bincount(self._sources, counts, minlength=self._num_sources + 1)
        self._probabilities = counts / by_source[self._sources]

    def best(self, k: int) -> _Ids:
        """[V, k] the most probable targets of each source token, best first, the smaller id on a tie."""
        order = np.lexsort((self._targets, -self._probabilities, self._sources))
        sources, targets = self._sources[order], self._targets[order]
        first = np.searchsorted(sources, np.arange(self._num_sources + 1))
        rank = np.arange(len(sources)) - first[sources]
        is_kept = (rank < k) & (sources < self._num_sources)
        found = np.full((self._num_sources, k), NO_TOKEN, np.int32)
        found[sources[is_kept], rank[is_kept]] = targets[is_kept]
        return found

    def _links(self, pairs: Sequence[tuple[_Ids, _Ids]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """source · targets + target of all links, and where each target token's begin."""
        keys, lengths = [], []
        for source, target in pairs:
            with_empty = np.append(source, self._num_sources).astype(np.int64) * self._num_targets
            keys.append((target[:, None] + with_empty).ravel())
            lengths.append(np.full(len(target), len(with_empty)))
            self.target_counts[target] += 1
        self.num_pairs += len(pairs)
        counted = np.concatenate(lengths)
        return np.concatenate(keys), np.cumsum(counted) - counted


def _chunked(pairs: Iterable[tuple[_Ids, _Ids]]) -> Iterator[list[tuple[_Ids, _Ids]]]:
    chunk: list[tuple[_Ids, _Ids]] = []
    for pair in pairs:
        chunk.append(pair)
        if len(chunk) == _CHUNK_PAIRS:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _most_frequent(counts: npt.NDArray[np.int64], limit: int, *, skip: set[int]) -> list[int]:
    """The ids that occur most often, the smaller id on a tie; none that never occurs."""
    ids = [int(id) for id in np.argsort(-counts, kind="stable") if counts[id] and int(id) not in skip]
    return ids[:limit]


def _with_copies(candidates: _Ids, tokenizer: Tokenizer) -> _Ids:
    """[V, k + 1]: with each token itself in front, for names and numbers are copied; control tokens bring nothing."""
    target_ids = {piece: id for id, piece in enumerate(tokenizer.target_pieces)}
    itself = np.array([target_ids.get(piece, NO_TOKEN) for piece in tokenizer.source_pieces], np.int32)[:, None]
    found = np.concatenate([itself, np.where(candidates == itself, NO_TOKEN, candidates)], axis=1)
    found[sorted(tokenizer.source_control_ids)] = NO_TOKEN
    return found


def _own_target_size(tokenizer: Tokenizer) -> int | msgspec.UnsetType:
    sizes = len(tokenizer.source_pieces), len(tokenizer.target_pieces)
    return msgspec.UNSET if sizes[0] == sizes[1] else sizes[1]
