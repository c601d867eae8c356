"""Likely causes of differences between two systems, by the pattern of the differences.

Owns the names of causes and the rule for each: pure functions of the figures in `lingolite_cli.evaluation.parity`, and
of the noise that the candidate's precision explains.

| name | the pattern |
| --- | --- |
| `token-table` | logits fit those of neighbouring ids: input, output or both are shifted by a constant |
| `truncation` | sources or hypotheses end at a limit that the reference goes beyond |
| `source-mask` | a sentence beside longer ones has other logits than alone |
| `stale-cache` | two prefixes of one sentence that change places, as beams do, have other logits than in place |
| `row-order` | sentences that change places, leave or are repeated have other logits than in place |
| `embedding-row` | few vocabulary entries are far off when read or written, the others are not |
| `output-scale` | all logits are those of the reference times a constant |
| `weights` | single tokens already differ, where attention has one key: a matrix, a norm or a scale |
| `source-positions` | single tokens agree, and sentences differ from the first target token on |
| `target-positions` | the first target token agrees, later ones differ or do so more and more; repeated tokens agree |
| `cache` | the same, but repeated tokens differ as well: what earlier steps left is not what they computed |
| `source-buffer` | short sources agree, those beyond a length do not |
| `target-buffer` | positions up to a length agree, those beyond do not |
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from lingolite_cli.artifact import Quantization
from lingolite_cli.evaluation.parity import (
    LikelyCause,
    LogitParity,
    Parity,
    ParityBucket,
    TokenDifference,
    VocabularyProbe,
)

FLOAT_NOISE, ROUNDING_NOISE, HALF_NOISE, INT8_NOISE, INT4_NOISE = 1e-4, 0.001, 0.005, 0.03, 0.3
"""Mean KL in nats that a precision explains; patterns below it are ignored. On the starter, int8 costs 0.0008."""

_FEW_POSITIONS = 4
"""A fault of positions or of the cache shows within this many tokens, or grows; what starts later is a length limit."""
_GROWTH = 4.0  # from the first half of the positions before to the second
_TIMES_MAX = 10.0  # one token may lie so many times above the mean


def expected_noise(candidate: Quantization | None, reference: Quantization | None = None) -> float:
    """Mean KL in nats that a candidate's precision explains.

    Args:
        candidate: of its manifest; None for float32. A scheme of unknown precision gets the largest value.
        reference: of the reference's manifest. If both are equal, only rounding differs.
    """
    scheme = candidate.scheme if candidate else "float32"
    if candidate is not None and candidate == reference:
        return ROUNDING_NOISE
    known = {"float32": FLOAT_NOISE, "fp16": HALF_NOISE, "bf16": HALF_NOISE, "int8": INT8_NOISE}
    return next((noise for name, noise in known.items() if name in scheme), INT4_NOISE)


def name_causes(parity: Parity, *, noise: float) -> list[LikelyCause]:
    """The causes that the figures point to, the surest first; none where they stay within the noise.

    A cause that explains all later figures ends the search: what it hides shows once it is fixed.

    Args:
        parity: what was measured.
        noise: mean KL in nats that is not a fault, see `expected_noise`.
    """
    surest = [*_truncation(parity), *_inconsistencies(parity, noise)]
    vocabulary = parity.vocabulary
    if vocabulary is not None:
        found = _token_table(vocabulary) or [*_embedding_rows(vocabulary, noise), *_weights(vocabulary, noise)]
        if found:
            return [*surest, *found]
    if surest or parity.logits is None:
        return surest
    return _by_length(parity, parity.logits, noise)


def _truncation(parity: Parity) -> list[LikelyCause]:
    limits = parity.lengths
    if limits is None:
        return []
    counts = {
        f"sources cut to {limits.positions} tokens": limits.num_sources_cut,
        f"of the reference's translations longer than {limits.positions} tokens": limits.num_targets_beyond,
        f"of the longest translations, of {limits.longest} tokens, without an end where the reference goes on": (
            limits.num_longest_unfinished
        ),
    }
    evidence = [f"{count} {what}" for what, count in counts.items() if count]
    at = limits.positions if limits.num_sources_cut or limits.num_targets_beyond else limits.longest
    summary = f"truncation at {at} tokens: too few positions, a short buffer, or a small max_length"
    return [LikelyCause(name="truncation", summary=summary, evidence="; ".join(evidence))] if evidence else []


_PROBES = {
    "padding": (
        "source-mask",
        "the source mask: attention sees padding in the encoder or from the decoder",
        "a sentence beside longer ones, against the same alone",
    ),
    "reorder": (
        "stale-cache",
        "a stale cache after a reorder: beams go on with keys and values of another one",
        "beams that changed places, against the same left in place",
    ),
    "rows": (
        "row-order",
        "rows of a batch are mixed up when sentences leave it or change places",
        "sentences that changed places, against the same left in place",
    ),
}


def _inconsistencies(parity: Parity, noise: float) -> list[LikelyCause]:
    found = []
    for probe in parity.probes:
        if probe.name in _PROBES and (probe.kl_mean > noise or probe.kl_max > _TIMES_MAX * noise):
            name, summary, what = _PROBES[probe.name]
            evidence = f"{what}: KL {probe.kl_mean:.3g} on average, a logit off by up to {probe.max_difference:.3g}"
            found.append(LikelyCause(name=name, summary=summary, evidence=evidence))
    # Beams that are not moved are rows that are not moved: the narrower name is the better one.
    names = {cause.name for cause in found}
    return [cause for cause in found if cause.name != "row-order" or "stale-cache" not in names]


def _token_table(vocabulary: VocabularyProbe) -> list[LikelyCause]:
    shifts = {"read": vocabulary.read_shift, "written": vocabulary.written_shift}
    evidence = [f"ids are {how} as those of {by:+d}" for how, by in shifts.items() if by]
    summary = "the token table is shifted: rows of the embedding or pieces of the tokenizer are moved by a constant"
    return [LikelyCause(name="token-table", summary=summary, evidence="; ".join(evidence))] if evidence else []


def _embedding_rows(vocabulary: VocabularyProbe, noise: float) -> list[LikelyCause]:
    read = [entry for entry in vocabulary.read if entry.kl > noise]
    num_read = vocabulary.num_read if len(read) == len(vocabulary.read) else len(read)
    evidence = []
    if read:
        evidence.append(f"read: {_entries(num_read, [f'{_named(one)} (KL {one.kl:.3g})' for one in read])}")
    if vocabulary.written:
        entries = [
            f"{_named(one)} (its logit {one.ratio:.0f} times as far as the median's)" for one in vocabulary.written
        ]
        evidence.append(f"written: {_entries(vocabulary.num_written, entries)}")
    if not evidence:
        return []
    first, others = (read or vocabulary.written)[0], max(num_read, vocabulary.num_written) - 1
    summary = f"the embedding row of {_named(first)}" + (f" and {others:,} others" if others else "")
    return [LikelyCause(name="embedding-row", summary=summary, evidence="far off when " + "; when ".join(evidence))]


def _named(entry: TokenDifference) -> str:
    return f"token {entry.id} `{entry.piece}`"


def _entries(count: int, named: list[str]) -> str:
    return ", ".join(named[:3]) + (f" and {count - 3:,} more" if count > 3 else "")


def _weights(vocabulary: VocabularyProbe, noise: float) -> list[LikelyCause]:
    if vocabulary.kl_median <= noise:
        return []
    evidence = (
        f"single tokens, where attention has one key: KL {vocabulary.kl_median:.3g} at the median of "
        f"{vocabulary.num_tokens:,}"
    )
    if vocabulary.scaled_kl_median <= noise:
        summary = (
            f"logits are {vocabulary.scale:.3g} times the reference's: the scale of the output projection, "
            "or of the last norm"
        )
        evidence += f", {vocabulary.scaled_kl_median:.3g} when that factor is taken out"
        return [LikelyCause(name="output-scale", summary=summary, evidence=evidence)]
    summary = "a matrix, a scale or a norm of a layer: all is wrong from the first position on"
    return [LikelyCause(name="weights", summary=summary, evidence=evidence)]


def _by_length(parity: Parity, logits: LogitParity, noise: float) -> list[LikelyCause]:
    """What is left when single tokens agree and nothing depends on the batch: positions, the cache, a buffer."""
    start = _first_beyond(logits.by_position, noise)
    if start is None:
        return []
    clean, beyond = _means(logits.by_position, start)
    if start == 0:
        return [_by_source(logits, noise)]
    evidence = f"KL {clean:.3g} up to target position {start - 1}, {beyond:.3g} from {start} on"
    if start > _FEW_POSITIONS and not _is_growing(logits.by_position, start):
        summary = f"a buffer or a table for about {start} target positions: what lies beyond is wrong"
        return [LikelyCause(name="target-buffer", summary=summary, evidence=evidence)]
    repetition = parity.probe("repetition")
    if repetition is not None and repetition.kl_mean > noise:
        evidence += f"; one token again and again, which must not change: KL {repetition.kl_mean:.3g}"
        summary = (
            "the cache of the decoder's self-attention: keys and values of earlier steps are not what was computed"
        )
        return [LikelyCause(name="cache", summary=summary, evidence=evidence)]
    if repetition is not None:
        evidence += f"; one token again and again agrees with itself (KL {repetition.kl_mean:.3g})"
    summary = (
        "rotary positions of the decoder's self-attention, or the scale of its queries or keys, "
        "or a cache that loses columns"
    )
    return [LikelyCause(name="target-positions", summary=summary, evidence=evidence)]


def _is_growing(buckets: Sequence[ParityBucket], start: int) -> bool:
    """Whether differences were growing already before they exceeded the noise at `start`."""
    before = [bucket.kl_mean for bucket in buckets if bucket.first < start]
    middle = len(before) // 2
    return median(before[middle:]) > _GROWTH * median(before[:middle])


def _by_source(logits: LogitParity, noise: float) -> LikelyCause:
    """Wrong from the first target token on: beyond a length of the source, or for all sources."""
    start = _first_beyond(logits.by_source_length, noise)
    if start is not None and start > logits.by_source_length[0].first:
        clean, beyond = _means(logits.by_source_length, start)
        return LikelyCause(
            name="source-buffer",
            summary=f"a buffer or a table for about {start - 1} source positions: longer sources are read wrong",
            evidence=f"KL {clean:.3g} for sources of up to {start - 1} tokens, {beyond:.3g} for longer ones",
        )
    first = logits.by_position[0]
    return LikelyCause(
        name="source-positions",
        summary="attention over the source: the encoder's rotary positions, "
        "or the scale of queries or keys there or in cross-attention",
        evidence=f"single tokens agree; sentences have KL {first.kl_mean:.3g} at the first target token",
    )


def _first_beyond(buckets: Sequence[ParityBucket], noise: float) -> int | None:
    """Where the first bucket starts from which on the mean is above the noise, though before it is not.

    None where nothing is above the noise as a whole.
    """
    for place, bucket in enumerate(buckets):
        tail = buckets[place:]
        is_beyond = bucket.kl_mean > noise and _mean(tail) > noise
        if is_beyond:
            return bucket.first
    return None


def _means(buckets: Sequence[ParityBucket], start: int) -> tuple[float, float]:
    """Mean KL before `start` and from it on."""
    before, after = ([one for one in buckets if (one.first < start) == is_before] for is_before in (True, False))
    return _mean(before), _mean(after)


def _mean(buckets: Sequence[ParityBucket]) -> float:
    num_tokens = sum(bucket.num_tokens for bucket in buckets)
    return sum(bucket.kl_mean * bucket.num_tokens for bucket in buckets) / num_tokens if num_tokens else 0.0
