"""The table of faults: loops, copies, lost numbers and the like, by system."""

from __future__ import annotations

from collections.abc import Sequence

from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.views import formats
from lingolite_cli.views.tables import Column, Table

_MOST_NUMBERS = 20


def faults_table(result: VerifyResult) -> Table | None:
    """Counts of faults by kind and system, and the numbers of the sentences, without kinds that neither system has."""
    columns = [
        Column("Fault"),
        Column(result.reference, "number"),
        Column(result.candidate, "number"),
        Column("New", "number"),
        Column("New in sentences"),
        Column("In both systems, in sentences"),
    ]
    rows = [
        [
            fault.kind,
            f"{fault.reference:,}",
            f"{fault.candidate:,}",
            f"{len(fault.new):,}",
            _numbers(fault.new, len(fault.new)),
            _numbers(fault.existing, fault.num_existing),
        ]
        for fault in result.faults
        if fault.reference or fault.candidate
    ]
    return (
        Table(f"Sentences with faults: {result.candidate} against {result.reference}", columns, rows) if rows else None
    )


def _numbers(indices: Sequence[int], count: int) -> str:
    """The first numbers of `count` sentences, from 1, and how many more there are."""
    shown = [str(index + 1) for index in indices[:_MOST_NUMBERS]]
    if not shown:
        return formats.NOTHING
    more = count - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
