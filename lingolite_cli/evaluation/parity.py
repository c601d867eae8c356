"""Parity: how far one model follows another, as figures. Cheap to import, for run records and reports.

Owns the records, and what two lists of hypotheses say by themselves. Logits are compared by
`lingolite_cli.evaluation.logit_comparison`, probes are `lingolite_cli.evaluation.probes`, and what a pattern means is
named by `lingolite_cli.evaluation.causes`. A difference is candidate minus reference; KL is
KL(reference ‖ candidate) of the next token's distribution, in nats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

Tokens = tuple[int, ...]


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ParityBucket(_Struct, frozen=True, kw_only=True):
    """The forced target tokens of one range of positions, or of sources of one range of lengths.

    Attributes:
        first: smallest position (0 is the first target token) or length in source tokens.
        last: largest, inclusive.
        num_tokens: forced target tokens in it.
        max_difference: largest absolute difference of a logit.
        mean_difference: mean absolute difference of a logit.
        kl_mean: mean KL a token.
        top1_agreement: share of the tokens at which both rank the same token first.
    """

    first: int
    last: int
    num_tokens: int
    max_difference: float
    mean_difference: float
    kl_mean: float
    top1_agreement: float


class ParitySentence(_Struct, frozen=True, kw_only=True):
    """One sentence of the sample, under forcing.

    Attributes:
        index: its place in the text, from 0.
        num_source_tokens: length of its framed source.
        num_tokens: length of the reference's hypothesis, which was forced.
        max_difference: largest absolute difference of a logit.
        kl_mean: mean KL a token.
        worst_position: the target position with the largest KL.
        first_divergence: the first position at which the free-running hypotheses differ; None if they are the same.
    """

    index: int
    num_source_tokens: int
    num_tokens: int
    max_difference: float
    kl_mean: float
    worst_position: int
    first_divergence: int | None


class LogitParity(_Struct, frozen=True, kw_only=True):
    """Both systems' logits along the reference's hypotheses, on a sample of sentences of all lengths.

    Attributes:
        num_sentences: sentences of the sample.
        num_tokens: forced target tokens.
        max_logit: largest absolute logit of the reference, to see differences against.
        max_difference: largest absolute difference of a logit.
        mean_difference: mean absolute difference of a logit.
        kl_mean: mean KL a token.
        kl_p95: 95th percentile of the tokens' KL.
        kl_max: largest KL of a token.
        top1_agreement: share of the tokens at which both rank the same token first.
        by_position: a bucket a target position.
        by_source_length: buckets of eight source tokens.
        worst: the sentences with the largest mean KL, worst first.
    """

    num_sentences: int
    num_tokens: int
    max_logit: float
    max_difference: float
    mean_difference: float
    kl_mean: float
    kl_p95: float
    kl_max: float
    top1_agreement: float
    by_position: list[ParityBucket]
    by_source_length: list[ParityBucket]
    worst: list[ParitySentence]


class ConsistencyProbe(_Struct, frozen=True, kw_only=True):
    """The candidate against itself, where nothing may change its logits but the order of sums.

    Attributes:
        name: `padding` (a sentence alone, and beside longer ones), `reorder` (two prefixes of a sentence change places,
            as beams do), `rows` (sentences change places, are repeated or dropped) or `repetition` (one target token
            again and again, which must give the same logits at each position).
        num_rows: rows compared.
        max_difference: largest absolute difference of a logit.
        kl_mean: mean KL a token.
        kl_max: largest KL of a token.
    """

    name: str
    num_rows: int
    max_difference: float
    kl_mean: float
    kl_max: float


class TokenDifference(_Struct, frozen=True, kw_only=True):
    """A vocabulary entry far from the others: its logits, or its logit, are `ratio` times as far off as the median's.

    `kl` is that of the logits after it was read; 0 where it was not.
    """

    id: int
    piece: str
    ratio: float
    kl: float


class VocabularyProbe(_Struct, frozen=True, kw_only=True):
    """Both systems on single tokens: each as the whole source and as the first target token.

    With one source token and one target token attention has one key, so that positions, masks and caches have no say:
    what differs here lies in embeddings, matrices or norms.

    Attributes:
        num_tokens: vocabulary entries that were read.
        kl_median: median KL over them.
        kl_max: largest.
        num_read: entries after which all logits are far off.
        num_written: entries whose own logit is far off.
        read: the worst of them.
        written: the worst of these.
        read_shift: by how many ids the candidate's input is shifted, 0 for none.
        written_shift: the same of its logits.
        scale: the factor between both systems' logits, by least squares; 1 is right.
        scaled_kl_median: median KL when that factor is taken out.
    """

    num_tokens: int
    kl_median: float
    kl_max: float
    num_read: int
    num_written: int
    read: list[TokenDifference]
    written: list[TokenDifference]
    read_shift: int
    written_shift: int
    scale: float
    scaled_kl_median: float


class Divergence(_Struct, frozen=True, kw_only=True):
    """Sentences whose free-running hypotheses first differ at a position."""

    position: int
    num_sentences: int


class LengthLimits(_Struct, frozen=True, kw_only=True):
    """How lengths met the candidate's positions and the end of its search.

    Attributes:
        positions: most source or target tokens that the candidate takes.
        num_sources_cut: sources that it reads less of than the reference does.
        num_targets_beyond: hypotheses of the reference that are longer.
        longest: length of the candidate's longest hypothesis.
        num_longest_unfinished: its hypotheses of that length without an end, where the reference has longer ones.
    """

    positions: int
    num_sources_cut: int
    num_targets_beyond: int
    longest: int
    num_longest_unfinished: int


class LikelyCause(_Struct, frozen=True, kw_only=True):
    """What a pattern points to.

    Attributes:
        name: `token-table`, `truncation`, `source-mask`, … ; all of them are in `lingolite_cli.evaluation.causes`.
        summary: one line for people; where the pattern cannot tell two causes apart, both.
        evidence: the numbers behind it, one line.
    """

    name: str
    summary: str
    evidence: str


class Parity(_Struct, frozen=True, kw_only=True):
    """How far the candidate follows the reference's own hypotheses.

    Attributes:
        exact_match: share of sentences whose hypothesis is token for token the same in free running.
        num_tokens: tokens of the reference's hypotheses, `</s>` included.
        divergences: where the others first differ, by position.
        top1_agreement: share of these tokens that the candidate ranks first when it is fed the reference's hypothesis
            up to there (teacher forcing); those beyond the candidate's positions count as missed. None for a candidate
            whose engine gives no logits.
        max_logit_margin: the largest margin (candidate's best logit minus its logit of the reference's token)
            at a disagreement; 0 when there is none. None as above.
        logits: differences of logits; None where one of the two gives none.
        lengths: how lengths met limits.
        probes: the candidate against itself; none where it gives no logits.
        vocabulary: both on single tokens; None as for `logits`.
        causes: what the pattern points to, the surest first; none where all is well.
        not_measured: what could not be measured, and why, a line each.
    """

    exact_match: float
    num_tokens: int
    divergences: list[Divergence] = []
    top1_agreement: float | None = None
    max_logit_margin: float | None = None
    logits: LogitParity | None = None
    lengths: LengthLimits | None = None
    probes: list[ConsistencyProbe] = []
    vocabulary: VocabularyProbe | None = None
    causes: list[LikelyCause] = []
    not_measured: list[str] = []

    def probe(self, name: str) -> ConsistencyProbe | None:
        """The probe of that name, if it was made."""
        return next((probe for probe in self.probes if probe.name == name), None)


def compare_hypotheses(reference_tokens: Sequence[Tokens], candidate_tokens: Sequence[Tokens]) -> Parity:
    """What can be said of a candidate whose engine gives no logits, from both systems' own hypotheses.

    Args:
        reference_tokens: the reference's N hypotheses, as `Translation.tokens`.
        candidate_tokens: the candidate's.
    """
    firsts = [first_divergence(*pair) for pair in zip(reference_tokens, candidate_tokens, strict=True)]
    counts = Counter(first for first in firsts if first is not None)
    return Parity(
        exact_match=sum(first is None for first in firsts) / len(firsts),
        num_tokens=sum(map(len, reference_tokens)),
        divergences=[Divergence(position=position, num_sentences=counts[position]) for position in sorted(counts)],
    )


def first_divergence(reference: Tokens, candidate: Tokens) -> int | None:
    """The first position at which two hypotheses differ, the shorter one's end included; None if they are the same."""
    if reference == candidate:
        return None
    both = zip(reference, candidate, strict=False)
    shorter = min(len(reference), len(candidate))
    return next((position for position, (one, other) in enumerate(both) if one != other), shorter)
