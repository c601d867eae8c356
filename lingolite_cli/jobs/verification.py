"""`lingolite verify`: one artifact judged against another, with budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.budgets.table import BUDGETS, by_name, metric_budgets
from lingolite_cli.console import Console
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.evaluation import project_metrics
from lingolite_cli.jobs.inputs import Input, model_input
from lingolite_cli.jobs.job import JobBuilder, run_job
from lingolite_cli.jobs.runnable import backend_for, format_of, runnable_model
from lingolite_cli.plugins.specs import MetricSpec
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.work.evaluation import EvaluateStep
from lingolite_cli.recipe.work.judgement import VerifyStep
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import StepRecord

_REFERENCE, _CANDIDATE, _BUNDLE = "reference", "candidate", "bundle"


class SystemChoice(msgspec.Struct, frozen=True):
    """An artifact, the backend that was asked for, and its options; None is the backend that runs it."""

    model: Path
    backend: str | None
    options: dict[str, Any] = {}


class VerificationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged, against what, on which text and with which budgets; None leaves a key to the project.

    Attributes:
        bundle: what the candidate was exported from; None to look for it.
        budget: limits by name.
        timing: keys of `TimingTable` that are given.
    """

    reference: SystemChoice
    candidate: SystemChoice
    bundle: Path | None = None
    corpus: CorpusSpec
    max_samples: int | None = None
    metrics: Sequence[str] | None = None
    budget: Mapping[str, Any]
    allow_inconclusive: bool = False
    allow_implausible_reference: bool = False
    timing: Mapping[str, int]
    threads: int | None = None


class Verification(msgspec.Struct, frozen=True):
    """A finished verification: the records of both evaluations and of the verdict."""

    records: list[StepRecord]

    @property
    def result(self) -> VerifyResult:
        """What was measured, and the verdicts."""
        result = self.records[-1].result
        assert isinstance(result, VerifyResult)
        return result


def verify(context: JobContext, request: VerificationRequest, console: Console) -> Verification:
    """Evaluate both artifacts and judge the candidate. A budget that is broken is a verdict, not an error.

    Raises:
        LingoLiteError: an artifact, the text, a plugin or a budget cannot be used.
    """
    _check_timing(request)
    builder = JobBuilder(context, "verify")
    metrics = _metrics(context, request)
    steps: list[Step] = []
    for name, system in ((_REFERENCE, request.reference), (_CANDIDATE, request.candidate)):
        format = format_of(system.model)
        backend = backend_for(context, format=format, asked=system.backend)
        runnable = runnable_model(
            builder, backend=backend, format=format, reference=f"inputs.{name}", prefix=f"{name}-"
        )
        runnable.announce(console, backend=backend)
        evaluation = builder.step(
            EvaluateStep,
            name,
            model=runnable.reference,
            backend=backend,
            options=system.options,
            max_samples=request.max_samples,
            metrics=metrics,
        )
        steps += [*runnable.steps, evaluation]
    verdict = builder.step(
        VerifyStep,
        "verify",
        reference=_REFERENCE,
        candidate=_CANDIDATE,
        exported_from=None if request.bundle is None else f"inputs.{_BUNDLE}",
        budget=dict(request.budget),
        allow_inconclusive=request.allow_inconclusive,
        allow_implausible_reference=request.allow_implausible_reference,
        timing=dict(request.timing),
    )
    inputs: dict[str, Input] = {
        _REFERENCE: model_input(request.reference.model),
        _CANDIDATE: model_input(request.candidate.model),
        "test": request.corpus,
        **({} if request.bundle is None else {_BUNDLE: model_input(request.bundle)}),
    }
    records, _ = run_job(context, builder.job(inputs, [*steps, verdict], threads=request.threads), console)
    return Verification(records)


def _metrics(context: JobContext, request: VerificationRequest) -> list[str]:
    """Those that were asked for, or the project's, and those that a budget is on."""
    budgeted = [
        entry.name
        for entry in context.registry.of_kind("metric")
        if isinstance(entry.spec, MetricSpec)
        and not by_name(metric_budgets(entry.name, entry.spec.goal)).keys().isdisjoint(request.budget)
    ]
    return list(dict.fromkeys([*(request.metrics or project_metrics(context)), *budgeted]))


def _check_timing(request: VerificationRequest) -> None:
    """Refuse what says how to time where nothing is timed."""
    if request.timing and not any(name in BUDGETS and BUDGETS[name].is_timed for name in request.budget):
        flag = f"--{next(iter(request.timing)).replace('_', '-')}"
        raise LingoLiteError(f"{flag} without a budget on time", hint="add one: --budget latency_p95_ms_max=50")
