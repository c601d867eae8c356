"""Quality by length of the source: shows where short or long sentences lose more than the others."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev

import msgspec

from lingolite_cli.evaluation.comparison import LENGTHS
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table
from lingolite_reports.sentences import Pairing

_Z = 1.959964  # 97.5 % of a normal distribution lie below
_MIN_SENTENCES = 10  # fewer have no interval: so few repeat the same handful of values


class Bucket(msgspec.Struct, frozen=True):
    """Sentences whose source has `words` words: mean sentence chrF of both systems, and of the difference.

    `low` and `high` are the 95 % interval of the mean difference, by the normal approximation; None of so few sentences
    that no interval is trusted.
    """

    words: str
    num_sentences: int
    reference: float
    candidate: float
    low: float | None
    high: float | None

    @property
    def delta(self) -> float:
        """Candidate minus reference."""
        return self.candidate - self.reference


def words(low: int, high: int | None) -> str:
    """A range of lengths in words; None for no end."""
    return f"{low} to {high}" if high else f"{low} or more"


def buckets(pairing: Pairing) -> list[Bucket]:
    """Those that have a sentence, from short to long."""
    text = pairing.text
    before, after = text.systems[pairing.reference].scores, text.systems[pairing.candidate].scores
    found = []
    for low, high in LENGTHS:
        inside = [i for i, source in enumerate(text.sources) if low <= len(source.split()) <= (high or 10**9)]
        if inside:
            differences = [after[index] - before[index] for index in inside]
            mean = fmean(differences)
            reach = _Z * stdev(differences) / sqrt(len(inside)) if len(inside) >= _MIN_SENTENCES else None
            found.append(
                Bucket(
                    words=words(low, high),
                    num_sentences=len(inside),
                    reference=fmean(before[index] for index in inside),
                    candidate=fmean(after[index] for index in inside),
                    low=None if reach is None else mean - reach,
                    high=None if reach is None else mean + reach,
                )
            )
    return found


def lengths_table(found: Sequence[Pairing]) -> Table | None:
    """Every bucket of every pair."""
    columns = [
        Column("Candidate − reference", "code"),
        Column("Words"),
        Column("Sentences", "number"),
        Column("Reference", "number"),
        Column("Candidate", "number"),
        Column("Difference", "number"),
        Column("95 % interval", "number"),
    ]
    rows = [
        [
            f"{pairing.candidate} − {pairing.reference}",
            bucket.words,
            f"{bucket.num_sentences:,}",
            formats.score(bucket.reference),
            formats.score(bucket.candidate),
            formats.signed(bucket.delta),
            formats.interval(bucket.low, bucket.high),
        ]
        for pairing in found
        for bucket in buckets(pairing)
    ]
    caption = "By length of the source: mean sentence chrF"
    return Table(caption, columns, rows, is_folded=True) if rows else None
