"""The tables on the first question: whether the file is what was exported, and where it is not."""

from __future__ import annotations

from collections.abc import Iterable

from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table
from lingolite_reports.results import verifications


def comparisons(manifest: RunManifest) -> list[tuple[str, ExportedComparison]]:
    """(candidate, comparison) of each `verify` step whose candidate was exported."""
    return [(result.candidate, result.exported) for _, result in verifications(manifest) if result.exported is not None]


def exported_tables(manifest: RunManifest) -> list[Table | None]:
    """What was compared, and what differs."""
    found = comparisons(manifest)
    return [_figures(found), _data(found), _operations(found)]


def _figures(found: Iterable[tuple[str, ExportedComparison]]) -> Table | None:
    rows = [
        [
            candidate,
            (one.bundle or formats.NOTHING)[:12],
            one.arithmetic or formats.NOTHING,
            f"{one.num_operations:,}",
            formats.optional(one.rounding),
            formats.NOTHING if one.logits is None else formats.small(one.logits.kl_mean),
            formats.NOTHING if one.score_difference is None else formats.small(one.score_difference),
            formats.percent(one.agreement),
            f"{one.num_tokens:,}",
        ]
        for candidate, one in found
        if one.is_answered
    ]
    columns = [
        Column("Candidate", "code"),
        Column("Bundle", "code"),
        Column("Arithmetic"),
        Column("Operations", "number"),
        Column("Largest difference, × rounding", "number"),
        Column("KL, mean", "number"),
        Column("Log-probability, nats", "number"),
        Column("Same best token", "number"),
        Column("Tokens compared", "number"),
    ]
    return (
        Table("The file and the bundle that it was exported from, by the same arithmetic", columns, rows)
        if rows
        else None
    )


def _data(found: Iterable[tuple[str, ExportedComparison]]) -> Table | None:
    rows = []
    for candidate, one in found:
        if one.tokenizer is not None:
            what = f"{one.tokenizer.num_sentences:,} of {one.tokenizer.num_compared:,} sentences have other ids"
            rows.append([candidate, "tokenizer", f"{one.tokenizer.summary}; {what}", one.tokenizer.example])
        rows += [[candidate, "manifest", line, ""] for line in one.manifest]
        rows += [[candidate, "files", line, ""] for line in one.files]
        rows += [[candidate, "shortlist", one.shortlist, ""]] if one.shortlist else []
    columns = [Column("Candidate", "code"), Column("Part", "code"), Column("What differs"), Column("Example")]
    return Table("Tokenizer, manifest, files and shortlist", columns, rows) if rows else None


def _operations(found: Iterable[tuple[str, ExportedComparison]]) -> Table | None:
    rows = [
        [
            candidate,
            operation.operation,
            operation.what,
            operation.rows,
            operation.positions,
            operation.how or "",
            f"{operation.relative:.3g}",
            f"{operation.times:.3g}",
            ", ".join(operation.unseen),
        ]
        for candidate, one in found
        for operation in one.operations
    ]
    columns = [
        Column("Candidate", "code"),
        Column("Operation", "code"),
        Column("What it computes"),
        Column("Rows"),
        Column("Positions"),
        Column("How it differs"),
        Column("Share of its size", "number"),
        Column("× rounding", "number"),
        Column("Not shown before it", "code"),
    ]
    caption = "Located: operations whose values are not the bundle's, in the order of computation"
    return Table(caption, columns, rows) if rows else None
