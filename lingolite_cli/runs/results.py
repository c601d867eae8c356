"""What each kind of step leaves in the record of a run: the union that records are decoded by.

Owns the list of kinds, and the result of the one that neither makes an artifact nor measures. Which step makes which is
`lingolite_cli.recipe.steps`'s, the manifest around them `lingolite_cli.runs.record`'s.
"""

from __future__ import annotations

from lingolite_cli.runs.made_results import (
    ExportResult,
    FilterResult,
    QuantizeResult,
    SearchResult,
    TrainResult,
    TranslateResult,
)
from lingolite_cli.runs.measured_results import (
    BenchmarkResult,
    EvaluateResult,
    MonitorResult,
    ReplayResult,
    VerifyResult,
)
from lingolite_cli.runs.step_result import (
    RecordedResult,
)


class ReportResult(RecordedResult, frozen=True, kw_only=True, tag="report"):
    """Names of the reporters that write when the run ends."""

    reporters: list[str]


StepResult = (
    EvaluateResult
    | QuantizeResult
    | ExportResult
    | VerifyResult
    | BenchmarkResult
    | TrainResult
    | SearchResult
    | TranslateResult
    | FilterResult
    | MonitorResult
    | ReplayResult
    | ReportResult
)
