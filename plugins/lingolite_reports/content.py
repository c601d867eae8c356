"""What a report consists of: its verdict, its facts, and its sections with tables and sentences.

Owns the structs that the templates read.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from lingolite_cli.evaluation.word_diff import Span
from lingolite_cli.views.tables import Table

Status = Literal["pass", "fail", "inconclusive", "done", "stopped"]


Key = Literal[
    "budgets",
    "formats",
    "served",
    "training",
    "search",
    "quality",
    "exported",
    "parity",
    "size",
    "speed",
    "faults",
    "sentences",
    "steps",
    "provenance",
]


class DiffedSentence(msgspec.Struct, frozen=True):
    """One sentence by both systems, with the words that differ."""

    number: int
    delta: str
    source: str
    reference: str
    reference_hypothesis: list[Span]
    candidate_hypothesis: list[Span]


class SentenceList(msgspec.Struct, frozen=True):
    """The worst sentences of one candidate against its reference."""

    reference: str
    candidate: str
    pairs: list[DiffedSentence]


class ReportSection(msgspec.Struct, frozen=True):
    """A heading and what stands below it."""

    key: Key
    heading: str
    notes: list[str] = []
    tables: list[Table] = []
    comparisons: list[SentenceList] = []


class Fact(msgspec.Struct, frozen=True):
    """One of the first figures of a report, with a detail that puts it into proportion."""

    label: str
    value: str
    detail: str


class Report(msgspec.Struct, frozen=True):
    """A whole report. `status` decides the colour of the banner that says `verdict` and gives `reasons` for it.

    `identity` says which artifact it is about, and of which commit; `facts` are the figures of what was shipped. Where
    several systems were compared, `findings` has a line for each.
    """

    title: str
    run_id: str
    status: Status
    verdict: str
    reasons: list[str]
    identity: list[Fact]
    facts: list[Fact]
    findings: list[str]
    warnings: list[str]
    sections: list[ReportSection]
    recipe: str
