"""`lingolite eval` and `evaluate_model`: scores of a model through a backend on a test set.

Owns the steps of an evaluation, and its outcome as one flat report. How scores look on a terminal is in `views`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import model_input
from lingolite_cli.jobs.job import JobBuilder, run_job
from lingolite_cli.jobs.runnable import format_of, runnable_model
from lingolite_cli.recipe.work.evaluation import DEFAULT_METRICS, EvaluateStep
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.record import StepRecord
from lingolite_cli.runs.translations import TRANSLATIONS_NAME

_ID = "evaluate"


class EvaluationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is evaluated, and how; None leaves a key to the project, or to the step's own default.

    Attributes:
        command: the command or function, for messages.
        model: the artifact.
        backend: that runs it, after a conversion if it reads another format.
        corpus: the test set.
        decoding: keys of `DecodingOptions` that are given.
        options: the backend's.
    """

    command: str
    model: Path
    backend: str
    corpus: CorpusSpec
    metrics: Sequence[str] | None = None
    batch_size: int | None = None
    max_samples: int | None = None
    decoding: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    threads: int | None = None
    workers: int | None = None
    is_fresh: bool = False


class Evaluation(msgspec.Struct, frozen=True):
    """A finished evaluation: the record of its step, and the file of its translations."""

    record: StepRecord
    translations: Path

    @property
    def result(self) -> EvaluateResult:
        """What was measured."""
        assert isinstance(self.record.result, EvaluateResult)
        return self.record.result


def evaluate(context: JobContext, request: EvaluationRequest, console: Console) -> Evaluation:
    """Translate a test set and score it.

    Raises:
        LingoLiteError: the model, the text or a plugin cannot be used.
    """
    builder = JobBuilder(context, request.command)
    runnable = runnable_model(builder, backend=request.backend, format=format_of(request.model))
    runnable.announce(console, backend=request.backend)
    step = builder.step(
        EvaluateStep,
        _ID,
        model=runnable.reference,
        backend=request.backend,
        metrics=request.metrics,
        batch_size=request.batch_size,
        max_samples=request.max_samples,
        workers=request.workers,
        decoding=dict(request.decoding),
        options=dict(request.options),
    )
    job = builder.job(
        {"model": model_input(request.model), "test": request.corpus},
        [*runnable.steps, step],
        threads=request.threads,
        is_fresh=request.is_fresh,
    )
    records, runner = run_job(context, job, console)
    return Evaluation(records[-1], runner.finished(_ID).directory / TRANSLATIONS_NAME)


def project_metrics(context: JobContext) -> list[str]:
    """The metrics that a project scores by where none are named."""
    named = context.evaluate_default("metrics")
    return list(DEFAULT_METRICS if named is None else named)


def flat_report(evaluation: Evaluation) -> dict[str, Any]:
    """The JSON of `lingolite eval`: each metric by name with its parts beside it, signatures, and what was scored."""
    result = evaluation.result
    report: dict[str, Any] = {}
    for name, score in result.metrics.items():
        report[name] = score.value
        report.update(score.details)
    return {
        **report,
        "signatures": {name: score.signature for name, score in result.metrics.items()},
        "num_samples": result.num_samples,
        "num_truncated": result.num_truncated,
        "num_unfinished": result.num_unfinished,
        "num_tokens": result.num_tokens,
        "backend": result.backend,
        "model": msgspec.to_builtins(result.artifact),
        "corpus": msgspec.to_builtins(result.corpus),
        "decoding": msgspec.to_builtins(result.decoding),
        "warnings": result.warnings,
        "status": evaluation.record.status,
    }
