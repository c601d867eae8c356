"""How parity is measured: both systems are fed the reference's hypotheses token by token, and the candidate is probed.

Owns the sample of sentences and the order of work. The records are `lingolite_cli.evaluation.parity`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec
import numpy as np

from lingolite_cli.console import Progress
from lingolite_cli.decoding.batching import batches, pad
from lingolite_cli.decoding.forced import Agreement, ForcedStep, forced_agreement, forced_steps
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.evaluation.logit_comparison import LogitComparison
from lingolite_cli.evaluation.parity import (
    LengthLimits,
    LogitParity,
    Parity,
    Tokens,
    VocabularyProbe,
    compare_hypotheses,
    first_divergence,
)
from lingolite_cli.evaluation.probes import consistency_probes, probe_vocabulary

if TYPE_CHECKING:
    from lingolite_cli.arrays import BoolArray, IntArray
    from lingolite_cli.plugins.interfaces import Backend
    from lingolite_cli.tokenization.description import DecodingIds

_LONGEST = 4
"""Sentences with the longest hypotheses are in every sample: only they show faults beyond a length."""


class CountAgreement(Protocol):
    """`lingolite_cli.decoding.forced.forced_agreement` of one backend."""

    def __call__(
        self,
        source_ids: IntArray,
        source_mask: BoolArray,
        /,
        *,
        targets: Sequence[Sequence[int]],
        ids: DecodingIds,
    ) -> Agreement:
        """Count."""


class ParityText(msgspec.Struct, frozen=True, kw_only=True):
    """The N sentences that parity is measured on.

    Attributes:
        reference_sources: framed ids as the reference reads them.
        candidate_sources: as the candidate reads them, which may have fewer positions.
        reference_tokens: the reference's hypotheses, as `Translation.tokens`; empty for an empty source.
        candidate_tokens: the candidate's own.
        candidate_positions: most source or target tokens that the candidate takes.
        ids: of the tokenizer, which both have.
        pieces: the target vocabulary, by id.
        num_source_tokens: size of the source vocabulary; None for that of the target.
        repeats_are_equal: see `lingolite_cli.architecture.architecture.Architecture`.
    """

    reference_sources: Sequence[Sequence[int]]
    candidate_sources: Sequence[Sequence[int]]
    reference_tokens: Sequence[Tokens]
    candidate_tokens: Sequence[Tokens]
    candidate_positions: int
    ids: DecodingIds
    pieces: Sequence[str]
    num_source_tokens: int | None = None
    repeats_are_equal: bool = True


class ParitySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    Attributes:
        sample: most sentences whose logits are compared; the share of tokens ranked first is taken over all sentences.
        seed: of the sample.
        vocabulary: most vocabulary entries that are read one by one.
        worst: sentences to list.
        batch_size: most sentences in a batch.
        max_batch_tokens: most source tokens in a batch, padding included.
    """

    sample: int = 256
    seed: int = 0
    vocabulary: int = 8192
    worst: int = 10
    batch_size: int = 32
    max_batch_tokens: int = 4096


def measure_parity(
    candidate: Backend,
    text: ParityText,
    *,
    reference: Backend | None,
    settings: ParitySettings,
    count: CountAgreement | None = None,
    progress: Progress | None = None,
) -> Parity:
    """Feed the candidate the reference's hypotheses, compare logits, and compare both systems' own hypotheses.

    Args:
        candidate: the backend to judge.
        text: the sentences.
        reference: the backend that `text.reference_tokens` come from, for its logits; None if it gives none.
        settings: how much is measured.
        count: counts what the candidate ranks first, where its logits are: those of most sentences are needed for
            nothing else. None to have them given, and to count here.
        progress: is told how many target tokens there are, and of those that were read.

    Raises:
        LingoLiteError: there is no token to compare, or the candidate's logits are not finite.
    """
    kept = [index for index, target in enumerate(text.reference_tokens) if target]
    if not kept:
        raise LingoLiteError(
            "parity cannot be measured: the reference's translations hold no token",
            hint="choose a corpus with text in it",
        )
    sample = draw_sample(text, settings) if reference is not None else []
    chosen = set(sample)
    progress = progress or Progress()
    num_tokens, num_shared = (sum(_num_forced(text, index) for index in own) for own in (kept, sample))
    progress.begin("parity, tokens", total=num_tokens)
    progress.weigh(num_tokens + num_shared)  # those of the sample are read by both systems
    others = [index for index in kept if index not in chosen]
    agreement = _count(count or partial(forced_agreement, candidate), text, others, settings, progress)
    logits = None
    if reference is not None:
        logits, of_sample = _compare(reference, candidate, text, sample, settings, progress)
        agreement += of_sample
    progress.begin("probes", total=None)
    parity = compare_hypotheses(text.reference_tokens, text.candidate_tokens)
    probed = sample or draw_sample(text, settings)
    return msgspec.structs.replace(
        parity,
        lengths=_length_limits(text),
        probes=consistency_probes(
            candidate,
            [text.candidate_sources[index] for index in probed],
            [text.reference_tokens[index] for index in probed],
            ids=text.ids,
            positions=text.candidate_positions,
            repeats_are_equal=text.repeats_are_equal,
        ),
        vocabulary=_vocabulary(reference, candidate, text, settings) if reference is not None else None,
        top1_agreement=agreement.num_agreed / parity.num_tokens,
        max_logit_margin=agreement.max_margin,
        logits=logits,
        not_measured=[] if reference is not None else ["differences of logits: the reference's backend gives none"],
    )


def draw_sample(text: ParityText, settings: ParitySettings) -> list[int]:
    """Sentences of all lengths: one from each of equal parts of the text sorted by length, and the longest.

    Returns:
        Indices of sentences with a token to force, ascending, each once.
    """
    return spread_over_lengths(
        [len(source) for source in text.reference_sources],
        [len(target) for target in text.reference_tokens],
        sample=settings.sample,
        seed=settings.seed,
    )


def spread_over_lengths(
    source_lengths: Sequence[int], target_lengths: Sequence[int], *, sample: int, seed: int
) -> list[int]:
    """As `draw_sample`, from the lengths of N sources and of N targets; those of length 0 are left out."""
    kept = [index for index, length in enumerate(target_lengths) if length]
    if len(kept) <= sample:
        return kept
    longest = sorted(kept, key=lambda index: -target_lengths[index])[: min(_LONGEST, sample)]
    others = sorted(set(kept) - set(longest), key=lambda index: (source_lengths[index], index))
    parts = np.array_split(np.array(others), sample - len(longest)) if sample > len(longest) else []
    generator = np.random.default_rng(seed)
    return sorted([*longest, *(int(generator.choice(part)) for part in parts)])


def _vocabulary(reference: Backend, candidate: Backend, text: ParityText, settings: ParitySettings) -> VocabularyProbe:
    return probe_vocabulary(
        reference, candidate, text.pieces, limit=settings.vocabulary, num_source_tokens=text.num_source_tokens
    )


def _length_limits(text: ParityText) -> LengthLimits:
    sources = zip(text.reference_sources, text.candidate_sources, strict=True)
    longest = max(map(len, text.candidate_tokens))
    pairs = list(zip(text.reference_tokens, text.candidate_tokens, strict=True))
    return LengthLimits(
        positions=text.candidate_positions,
        num_sources_cut=sum(len(cut) < len(whole) for whole, cut in sources),
        num_targets_beyond=sum(len(tokens) > text.candidate_positions for tokens in text.reference_tokens),
        longest=longest,
        num_longest_unfinished=sum(
            len(own) == longest < len(other) and own[-1] != text.ids.end for other, own in pairs if own
        ),
    )


def _count(
    count: CountAgreement, text: ParityText, members: Sequence[int], settings: ParitySettings, progress: Progress
) -> Agreement:
    """How often the candidate ranks the reference's tokens first, in sentences that are not compared by logits."""
    agreement = Agreement()
    for batch in _batches(text, members, settings):
        sources = pad([text.candidate_sources[index] for index in batch], text.ids.pad)
        found = count(*sources, targets=_targets(text, batch), ids=text.ids)
        progress.advance(found.num_tokens)
        agreement += found
    return agreement


def _forced(
    backend: Backend, text: ParityText, members: Sequence[int], settings: ParitySettings, *, is_reference: bool = False
) -> Iterator[tuple[list[int], ForcedStep]]:
    """Every step of every batch of `members`, with the sentences of the batch."""
    sources = text.reference_sources if is_reference else text.candidate_sources
    for batch in _batches(text, members, settings):
        padded = pad([sources[index] for index in batch], text.ids.pad)
        for step in forced_steps(backend, *padded, targets=_targets(text, batch), ids=text.ids):
            yield batch, step


def _batches(text: ParityText, members: Sequence[int], settings: ParitySettings) -> Iterator[list[int]]:
    """`members` in batches that are made by the reference's lengths, so that those of two backends are the same."""
    lengths = [len(text.reference_sources[index]) for index in members]
    for group in batches(lengths, batch_size=settings.batch_size, max_batch_tokens=settings.max_batch_tokens):
        yield [members[place] for place in group]


def _targets(text: ParityText, batch: Sequence[int]) -> list[Tokens]:
    """The reference's hypotheses, cut to the candidate's positions."""
    return [text.reference_tokens[index][: _num_forced(text, index)] for index in batch]


def _num_forced(text: ParityText, index: int) -> int:
    """Target tokens of a sentence that the candidate has positions for."""
    return min(len(text.reference_tokens[index]), text.candidate_positions - len(text.ids.prefix))


def _compare(
    reference: Backend,
    candidate: Backend,
    text: ParityText,
    sample: Sequence[int],
    settings: ParitySettings,
    progress: Progress,
) -> tuple[LogitParity, Agreement]:
    """Both systems' logits on a sample, and how often the candidate ranks the reference's tokens first in it."""
    comparison, agreement = LogitComparison(), Agreement()
    both = zip(
        _forced(reference, text, sample, settings, is_reference=True),
        _forced(candidate, text, sample, settings),
        strict=True,
    )
    for (batch, expected), (_, seen) in both:
        progress.advance(len(seen.rows), work=2 * len(seen.rows))
        agreement += Agreement.at(seen)
        comparison.add(np.array(batch)[seen.rows], seen.position, expected.logits, seen.logits)
    pairs = zip(text.reference_tokens, text.candidate_tokens, strict=True)
    logits = comparison.summarize(
        [len(source) for source in text.reference_sources],
        [first_divergence(*pair) for pair in pairs],
        worst=settings.worst,
    )
    return logits, agreement
