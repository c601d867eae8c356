"""The table of faults: loops, copies, lost numbers and the like, by system."""

from __future__ import annotations

from lingolite_cli.runs.results import VerifyResult
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table


def faults_table(result: VerifyResult) -> Table | None:
    """Counts of faults by kind and system, without kinds that neither system has."""
    columns = [
        Column("Fault"),
        Column(result.reference, "number"),
        Column(result.candidate, "number"),
        Column("New", "number"),
        Column("Where (numbers of sentences)"),
    ]
    rows = [
        [
            fault.kind,
            f"{fault.reference:,}",
            f"{fault.candidate:,}",
            f"{len(fault.new):,}",
            ", ".join(str(index + 1) for index in fault.new[:20]) or formats.NOTHING,
        ]
        for fault in result.faults
        if fault.reference or fault.candidate
    ]
    return (
        Table(f"Sentences with faults: {result.candidate} against {result.reference}", columns, rows) if rows else None
    )
