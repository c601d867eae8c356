"""What a step measured, as far as a budget may limit it.

Owns the typed set that the entries of `lingolite_cli.budgets.table` read. The steps of a recipe fill it in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from lingolite_cli.benchmark.figures import Round
from lingolite_cli.budgets.measurability import why_unmeasurable
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.exported import ExportedComparison
from lingolite_cli.evaluation.faults import FaultCounts
from lingolite_cli.evaluation.parity import Parity
from lingolite_cli.monitoring.figures import ServedFigures


class MeasuredFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate, compared with its reference where a figure needs one. What was not measured is None or empty.

    Attributes:
        differences: candidate minus reference, a metric each.
        parity: how far the candidate follows the reference.
        exported: the candidate against the bundle that it was exported from.
        faults: of both systems, a kind each.
        reference_doubts: what makes the reference's translations implausible, a line each.
        size_mb: the candidate's size in MB (10^6 bytes), tokenizer included.
        size_ratio: that size as a share of the reference's.
        download_mb: the candidate's size in MB when its files are compressed.
        download_ratio: that size as a share of the reference's.
        goldens: share of the goldens that were replayed equally, on the platform where that was least.
        rounds: timed rounds of the candidate.
        reference_rounds: rounds of the reference, each taken in turn with the candidate's of the same place.
        served: what a sample log shows.
        served_scores: of what was served, by metric.
    """

    differences: Sequence[MetricDifference] = ()
    parity: Parity | None = None
    exported: ExportedComparison | None = None
    faults: Sequence[FaultCounts] = ()
    reference_doubts: Sequence[str] | None = None
    size_mb: float | None = None
    size_ratio: float | None = None
    download_mb: float | None = None
    download_ratio: float | None = None
    goldens: float | None = None
    rounds: Sequence[Round] = ()
    reference_rounds: Sequence[Round] = ()
    served: ServedFigures | None = None
    served_scores: Mapping[str, float] = {}

    def difference(self, metric: str) -> MetricDifference | None:
        """The difference by that metric, if it was measured."""
        return next((difference for difference in self.differences if difference.metric == metric), None)

    def score(self, metric: str) -> float | None:
        """The candidate's score by that metric, if it was measured and the texts can measure it."""
        difference = self.difference(metric)
        if difference is None:
            return self.served_scores.get(metric)
        return None if self.why_no_score(metric) is not None else difference.candidate

    def why_no_score(self, metric: str) -> str | None:
        """Why these texts cannot measure that metric, if they cannot."""
        difference = self.difference(metric)
        return None if difference is None else why_unmeasurable(difference.range, difference.goal)

    @property
    def why_no_export(self) -> str | None:
        """What of the comparison with the bundle was not measured, in words."""
        return "; ".join(self.exported.not_measured) or None if self.exported else None

    @property
    def why_no_parity(self) -> str | None:
        """What of parity was not measured, in words."""
        return "; ".join(self.parity.not_measured) or None if self.parity else None

    def new_faults(self, kind: str) -> float | None:
        """In how many sentences only the candidate has a fault of that kind, if they were counted."""
        return next((len(fault.new) for fault in self.faults if fault.kind == kind), None)

    def probed(self, *names: str) -> float | None:
        """The largest difference of a logit in the probes of these names, if one was made."""
        probes = self.parity.probes if self.parity else []
        return max((probe.max_difference for probe in probes if probe.name in names), default=None)
