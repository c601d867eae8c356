"""The tables on parity: agreement with the reference, differences of logits, and what their pattern suggests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lingolite_cli.evaluation.parity import LogitParity, Parity, ParityBucket
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table
from lingolite_reports.results import verifications

_PAIR = Column("Candidate on reference", "code")


def parities(manifest: RunManifest) -> list[tuple[str, str, Parity]]:
    """(step id, "candidate on reference", parity) of each `verify` step that measured it."""
    return [
        (step, f"{result.candidate} on {result.reference}", result.parity)
        for step, result in verifications(manifest)
        if result.parity is not None
    ]


def parity_tables(manifest: RunManifest) -> list[Table | None]:
    """All of them, the causes first."""
    found = [(pair, parity) for _, pair, parity in parities(manifest)]
    logits = [(pair, parity.logits) for pair, parity in found if parity.logits is not None]
    return [
        _causes(found),
        _agreement(found),
        _differences(logits),
        _probes(found),
        _buckets("By position of the target token", [(pair, grouped(one.by_position)) for pair, one in logits]),
        _buckets("By length of the source, in tokens", [(pair, one.by_source_length) for pair, one in logits]),
        _sentences(logits),
    ]


def _causes(found: Iterable[tuple[str, Parity]]) -> Table | None:
    rows = [[pair, cause.name, cause.summary, cause.evidence] for pair, parity in found for cause in parity.causes]
    columns = [_PAIR, Column("Cause", "code"), Column("What it would be"), Column("Evidence")]
    return Table("Second opinion: causes that the pattern of the differences suggests", columns, rows) if rows else None


def _agreement(found: Iterable[tuple[str, Parity]]) -> Table | None:
    rows = [
        [
            pair,
            formats.percent(parity.top1_agreement),
            formats.percent(parity.exact_match),
            f"{parity.num_tokens:,}",
            formats.optional(parity.max_logit_margin),
        ]
        for pair, parity in found
    ]
    columns = [
        _PAIR,
        Column("Same best token", "number"),
        Column("Same sentence", "number"),
        Column("Tokens compared", "number"),
        Column("Largest logit margin", "number"),
    ]
    return Table("Parity with the reference's own translations", columns, rows) if rows else None


def _differences(found: Iterable[tuple[str, LogitParity]]) -> Table | None:
    rows = [
        [
            pair,
            f"{one.num_sentences:,}",
            formats.small(one.max_difference),
            formats.small(one.mean_difference),
            formats.small(one.max_logit),
            formats.small(one.kl_mean),
            formats.small(one.kl_p95),
            formats.small(one.kl_max),
        ]
        for pair, one in found
    ]
    columns = [
        _PAIR,
        Column("Sentences", "number"),
        Column("Largest difference", "number"),
        Column("Mean difference", "number"),
        Column("Largest logit", "number"),
        Column("KL, mean", "number"),
        Column("KL, p95", "number"),
        Column("KL, largest", "number"),
    ]
    return Table("Logits along the reference's translations (KL in nats a token)", columns, rows) if rows else None


def _probes(found: Iterable[tuple[str, Parity]]) -> Table | None:
    rows = [
        [
            pair,
            probe.name,
            f"{probe.num_rows:,}",
            formats.small(probe.max_difference),
            formats.small(probe.kl_mean),
            formats.small(probe.kl_max),
        ]
        for pair, parity in found
        for probe in parity.probes
    ]
    columns = [
        _PAIR,
        Column("Probe", "code"),
        Column("Rows", "number"),
        Column("Largest difference", "number"),
        Column("KL, mean", "number"),
        Column("KL, largest", "number"),
    ]
    return Table("The candidate against itself", columns, rows, is_folded=True) if rows else None


def _buckets(what: str, found: Iterable[tuple[str, Sequence[ParityBucket]]]) -> Table | None:
    rows = [
        [
            pair,
            str(bucket.first) if bucket.first == bucket.last else f"{bucket.first} to {bucket.last}",
            f"{bucket.num_tokens:,}",
            formats.small(bucket.max_difference),
            formats.small(bucket.mean_difference),
            formats.small(bucket.kl_mean),
            formats.percent(bucket.top1_agreement),
        ]
        for pair, buckets in found
        for bucket in buckets
    ]
    columns = [
        _PAIR,
        Column("Range"),
        Column("Tokens", "number"),
        Column("Largest difference", "number"),
        Column("Mean difference", "number"),
        Column("KL, mean", "number"),
        Column("Same best token", "number"),
    ]
    return Table(f"Logits: {what[0].lower()}{what[1:]}", columns, rows, is_folded=True) if rows else None


def _sentences(found: Iterable[tuple[str, LogitParity]]) -> Table | None:
    rows = [
        [
            pair,
            f"{sentence.index + 1:,}",
            f"{sentence.num_source_tokens:,}",
            f"{sentence.num_tokens:,}",
            formats.small(sentence.max_difference),
            formats.small(sentence.kl_mean),
            str(sentence.worst_position),
            formats.NOTHING if sentence.first_divergence is None else str(sentence.first_divergence),
        ]
        for pair, one in found
        for sentence in one.worst
    ]
    columns = [
        _PAIR,
        Column("Sentence", "number"),
        Column("Source tokens", "number"),
        Column("Target tokens", "number"),
        Column("Largest difference", "number"),
        Column("KL, mean", "number"),
        Column("Worst position", "number"),
        Column("First other token", "number"),
    ]
    return Table("Sentences whose logits differ most", columns, rows, is_folded=True) if rows else None


def grouped(buckets: Sequence[ParityBucket]) -> list[ParityBucket]:
    """Positions by ranges that double in width, from the first: 0, 1, 2 to 3, 4 to 7, …"""
    groups: dict[int, list[ParityBucket]] = {}
    for bucket in buckets:
        groups.setdefault(bucket.first.bit_length(), []).append(bucket)
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[ParityBucket]) -> ParityBucket:
    """One bucket for several: means weighted by tokens."""
    total = sum(bucket.num_tokens for bucket in group)

    def mean(values: Iterable[float]) -> float:
        return sum(value * bucket.num_tokens for value, bucket in zip(values, group, strict=True)) / total

    return ParityBucket(
        first=group[0].first,
        last=group[-1].last,
        num_tokens=total,
        max_difference=max(bucket.max_difference for bucket in group),
        mean_difference=mean(bucket.mean_difference for bucket in group),
        kl_mean=mean(bucket.kl_mean for bucket in group),
        top1_agreement=mean(bucket.top1_agreement for bucket in group),
    )
