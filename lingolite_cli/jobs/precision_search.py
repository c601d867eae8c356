"""`lingolite quantize --search`: the smallest mix of precisions inside a budget, verified as a file of its own.

Owns the recipe that does it, and how its outcome is saved. The search itself is the step `search`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from lingolite_cli.budgets.table import metric_of_drop
from lingolite_cli.console import Console
from lingolite_cli.corpora.corpus import CorpusSpec
from lingolite_cli.environment import Environment
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.digests import canonical_json
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.inputs import model_input
from lingolite_cli.jobs.job import Job, JobBuilder, publish_artifact, run_and_keep
from lingolite_cli.jobs.runnable import direct_backend, format_of
from lingolite_cli.jobs.steps_ahead import Ahead
from lingolite_cli.plugins.registry import Health
from lingolite_cli.plugins.specs import QuantizerSpec
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.steps.report import ReportStep
from lingolite_cli.recipe.work.evaluation import EvaluateStep
from lingolite_cli.recipe.work.judgement import VerifyStep
from lingolite_cli.recipe.work.trials import SearchStep
from lingolite_cli.runs.made_results import SearchResult
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.record import RunManifest

RESULTS_NAME = "search_results.json"
DEFAULT_BUDGET = {"chrf_drop_max": 0.5}


class SearchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched, inside which budget; None leaves a key to the step's default.

    Attributes:
        model: the float artifact.
        corpus: dev text that mixes are measured on.
        budget: one drop of a metric.
        allow_implausible_reference: go on where the float model's own translations are mostly broken.
        method: a quantizer that mixes precisions; None is the first there is.
        options: the quantizer's.
        ahead: who measures what can be measured at the same time; None is the run itself.
    """

    model: Path
    corpus: CorpusSpec
    budget: Mapping[str, Any]
    allow_inconclusive: bool = False
    allow_implausible_reference: bool = False
    method: str | None = None
    options: Mapping[str, Any] = {}
    precisions: Sequence[str] | None = None
    granularity: str | None = None
    max_trials: int | None = None
    max_samples: int | None = None
    ahead: Ahead | None = None


class SearchOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """A finished search: what it found, the verdict on that, and the run's directory."""

    environment: Environment
    run: str
    directory: Path
    found: SearchResult
    verified: VerifyResult

    @property
    def is_met(self) -> bool:
        """Whether the artifact meets its budget when it is measured as a file."""
        return not any(verdict.breaks_run for verdict in self.verified.verdicts)

    def report(self) -> dict[str, Any]:
        """What `search_results.json` and `--json` have."""
        return {
            "environment": self.environment,
            "run": self.run,
            "search": self.found,
            "verification": self.verified,
            "recipe": recipe_fragment(self.found),
        }


def search_precisions(
    context: JobContext, request: SearchRequest, console: Console, *, out: Path, overwrite: bool
) -> SearchOutcome:
    """Search, verify what was found as a file of its own, and put it at `out` if its budget is met.

    Raises:
        LingoLiteError: no mix fits (exit code 3). There is no artifact then.
    """
    outcome, runner = run_and_keep(context, search_job(context, request), console)
    found, verified = _results(outcome.manifest)
    done = SearchOutcome(
        environment=outcome.manifest.environment,
        run=outcome.manifest.id,
        directory=outcome.directory,
        found=found,
        verified=verified,
    )
    # The search judged tensors in memory. Only the file that users get is evidence.
    if done.is_met:
        publish_artifact(runner.finished("search").artifact_path, out, overwrite=overwrite)
    write_atomic(done.directory / RESULTS_NAME, msgspec.json.format(canonical_json(done.report()), indent=2) + b"\n")
    return done


def search_job(context: JobContext, request: SearchRequest) -> Job:
    """The float model on the text, the search, and the artifact that it made verified on the same text.

    Raises:
        LingoLiteError: there is no plugin to do it with, or a key has the wrong type.
    """
    builder = JobBuilder(context, "search")
    method = request.method or mixing_quantizer(context)
    metrics = dict.fromkeys([*filter(None, map(metric_of_drop, request.budget)), "bleu", "chrf"])
    text = {"corpus": "inputs.dev", "metrics": list(metrics), "max_samples": request.max_samples}
    judged = {"budget": dict(request.budget), "allow_inconclusive": request.allow_inconclusive}
    before = direct_backend(context, format=format_of(request.model))
    after = direct_backend(context, format=context.registry.resolve("quantizer", method).spec.produces)
    steps: list[Step] = [
        builder.step(EvaluateStep, "baseline", backend=before, **text),
        builder.step(
            SearchStep,
            "search",
            reference="baseline",
            method=method,
            options=dict(request.options),
            backend=after,
            precisions=request.precisions,
            granularity=request.granularity,
            max_trials=request.max_trials,
            **_measured_by(request.ahead),
            **judged,
        ),
        builder.step(EvaluateStep, "found", model="search", backend=after, **text),
        builder.step(
            VerifyStep,
            "verify",
            reference="baseline",
            candidate="found",
            allow_implausible_reference=request.allow_implausible_reference,
            **judged,
        ),
        builder.step(ReportStep, "report", reporters=("html", "markdown", "svg")),
    ]
    return builder.job({"model": model_input(request.model), "dev": request.corpus}, steps)


def _measured_by(ahead: Ahead | None) -> dict[str, Any]:
    if ahead is None:
        return {}
    return {"executor": ahead.executor, "executor_options": dict(ahead.options), "workers": ahead.num_workers}


def mixing_quantizer(context: JobContext) -> str:
    """The first quantizer that mixes precisions.

    Raises:
        LingoLiteError: there is none.
    """
    for entry in context.registry.of_kind("quantizer"):
        if entry.health is Health.OK and isinstance(entry.spec, QuantizerSpec) and entry.spec.precisions:
            return entry.name
    raise LingoLiteError(
        "no quantizer that mixes precisions is usable", hint="see `lingolite plugins list`", exit_code=ExitCode.PLUGIN
    )


def _results(manifest: RunManifest) -> tuple[SearchResult, VerifyResult]:
    results = {step.id: step.result for step in manifest.steps}
    found, verified = results["search"], results["verify"]
    assert isinstance(found, SearchResult)
    assert isinstance(verified, VerifyResult)
    return found, verified


def recipe_fragment(result: SearchResult) -> str:
    """A `quantize` step, in TOML, that makes the same artifact."""
    plain = {key: value for key, value in result.options.items() if not isinstance(value, dict)}
    lines = ["[[steps]]", 'id = "mixed"', 'uses = "quantize"', f"method = {json.dumps(result.method)}"]
    lines += ["[steps.options]", *(f"{key} = {json.dumps(value)}" for key, value in plain.items())]
    for name, table in result.options.items():
        if isinstance(table, dict) and table:
            lines += [f"[steps.options.{name}]", *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in table.items())]
    return "\n".join(lines) + "\n"
