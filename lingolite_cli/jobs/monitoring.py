"""`lingolite monitor`: a sample log measured and judged, as a run of its own among the project's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.execution.runner import FinishedRun
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import Input
from lingolite_cli.jobs.job import Job, JobBuilder, run_and_keep
from lingolite_cli.recipe.steps.monitor import MonitorStep
from lingolite_cli.recipe.steps.report import ReportStep
from lingolite_cli.recipe.work.served import read_signed_off
from lingolite_cli.runs.measured_results import MonitorResult
from lingolite_cli.serving.sample import read_sample_logs, rotated_logs


class MonitoringRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged, and against what; None leaves a key to the step's default.

    Attributes:
        log: the sample log; older files beside it are read as well.
        run: the run that was signed off, or a file of its translations.
        references: references for sentences that may have been served.
        metrics: that these are scored by.
        budget: limits.
        allow_inconclusive: pass what the log has too few sentences to decide.
    """

    log: Path
    run: Path | None = None
    references: CorpusSpec | None = None
    metrics: Sequence[str] | None = None
    budget: Mapping[str, Any] = {}
    allow_inconclusive: bool = False


def monitor(context: JobContext, request: MonitoringRequest, console: Console) -> FinishedRun:
    """Measure and judge a log, write reports, and keep the run in the history.

    Raises:
        LingoLiteError: something cannot be read. It is refused before there is a run.
    """
    _check(request)
    outcome, _ = run_and_keep(context, _job(context, request), console)
    return outcome


def monitoring_of(outcome: FinishedRun) -> MonitorResult:
    """What such a run measured."""
    (found,) = (step.result for step in outcome.manifest.steps if isinstance(step.result, MonitorResult))
    return found


def _check(request: MonitoringRequest) -> None:
    if not request.log.is_file():
        raise LingoLiteError(
            f"{request.log} is {'a directory' if request.log.is_dir() else 'no file'}",
            hint="name the file of `lingolite serve --sample-log FILE`",
        )
    try:
        first = next(read_sample_logs(rotated_logs(request.log)), None)
    except OSError as error:
        raise LingoLiteError(f"cannot read {request.log}: {error.strerror}") from None
    if first is None:
        raise LingoLiteError(f"{request.log} has no request", hint="`lingolite serve --sample-log FILE` writes one")
    if request.run is not None:
        read_signed_off(request.run)


def _job(context: JobContext, request: MonitoringRequest) -> Job:
    builder = JobBuilder(context, "monitor")
    inputs: dict[str, Input] = {} if request.references is None else {"references": request.references}
    step = builder.step(
        MonitorStep,
        "monitor",
        log=str(request.log.absolute()),
        run=None if request.run is None else str(request.run.absolute()),
        references=None if request.references is None else "inputs.references",
        metrics=request.metrics,
        budget=dict(request.budget),
        allow_inconclusive=request.allow_inconclusive or None,
    )
    return builder.job(inputs, [step, builder.step(ReportStep, "report", reporters=("html", "markdown", "junit"))])
