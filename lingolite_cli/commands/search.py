"""`lingolite quantize --search`: the smallest mix of precisions inside a budget.

Owns the recipe that does it, and how its outcome is shown and saved. The search itself is the step `search`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lingolite_cli.artifact import canonical_json, write_atomic
from lingolite_cli.commands.options import parse_languages
from lingolite_cli.console import Console
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.execution.runner import Outcome
from lingolite_cli.jobs import adhoc
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.registry import Health
from lingolite_cli.plugins.specs import QuantizerSpec
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.results import SearchResult, VerifyResult
from lingolite_cli.schema import parse_options
from lingolite_cli.views.precision_search import recipe_fragment, show_search
from lingolite_cli.views.runs import show_verdicts, show_verification

RESULTS_NAME = "search_results.json"
_DEFAULT_BUDGET = {"chrf_drop_max": 0.5}


class Flags:
    """The flags of `--search`, as types of a command's parameters."""

    Search = Annotated[
        bool,
        typer.Option("--search", help="Find the smallest mix of precisions inside a budget, measured on dev text."),
    ]
    Budget = Annotated[
        str | None,
        typer.Option(metavar="NAME=LIMIT", help="For --search: the drop allowed; chrf_drop_max=0.5 without it."),
    ]
    AllowInconclusive = Annotated[
        bool,
        typer.Option("--allow-inconclusive", help="For --search: go by the estimate, not by its whole interval."),
    ]
    Source = Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For --search: sources, or a TSV file without --target; the project's dev set without it.",
        ),
    ]
    Target = Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="For --search: references, one a line; repeatable.")
    ]
    Precisions = Annotated[
        str | None, typer.Option(metavar="P,P", help="For --search: the precisions to mix, such as int4,int8.")
    ]
    By = Annotated[
        str | None,
        typer.Option(
            "--granularity", metavar="NAME", help="For --search: what gets a precision each: block, layer or matrix."
        ),
    ]
    MaxTrials = Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="For --search: most configurations to measure on the whole text."),
    ]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of `--search` as they were given; None leaves a key to the step's default."""

    budget: str | None
    allow_inconclusive: bool
    source: Path | None
    target: list[Path] | None
    languages: str | None
    precisions: str | None
    granularity: str | None
    max_trials: int | None

    def refuse(self) -> None:
        """For a command without `--search`.

        Raises:
            LingoLiteError: one of them was given.
        """
        for name, value in msgspec.structs.asdict(self).items():
            if value:
                flag = f"--{name.replace('_', '-')}"
                raise LingoLiteError(f"{flag} is for --search", hint=f"pass --search too, or leave out {flag}")


def search_mixes(context: JobContext, job: adhoc.Job, console: Console, *, out: Path, overwrite: bool) -> None:
    """Search, verify what was found as a file of its own, and put it at `out`, where it may stand.

    Raises:
        LingoLiteError: none fits (exit code 3), and there is no artifact then.
    """
    runner = adhoc.make_runner(context, job, console)
    outcome = runner.run(context.project.runs_directory, history=context.history(console))
    assert outcome.directory is not None
    found, verified = _results(outcome.manifest)
    is_held = not any(verdict.breaks_run for verdict in verified.verdicts)
    if is_held:
        adhoc.publish_artifact(runner.finished("search").artifact_path, out, overwrite=overwrite)
    saved = {
        "environment": outcome.manifest.environment,
        "run": outcome.manifest.id,
        "search": found,
        "verification": verified,
        "recipe": recipe_fragment(found),
    }
    write_atomic(outcome.directory / RESULTS_NAME, msgspec.json.format(canonical_json(saved), indent=2) + b"\n")
    console.print_json(saved)
    show_search(found, console)
    show_verification(verified, console)
    show_verdicts([("", verdict) for verdict in verified.verdicts], console)
    if not is_held:
        raise typer.Exit(ExitCode.BUDGET_BROKEN)
    _show_end(out, found, outcome, console)


def search_job(
    context: JobContext,
    model: Path,
    request: Request,
    *,
    method: str | None,
    options: Mapping[str, Any],
    max_samples: int | None,
) -> adhoc.Job:
    """The recipe: the float model on the text, the search, and the artifact that it made verified on the same text.

    Raises:
        LingoLiteError: a flag cannot be read, or there is no text or no plugin to do it with.
    """
    budget = parse_options([request.budget], flag="--budget") if request.budget else dict(_DEFAULT_BUDGET)
    method = method or _mixing_quantizer(context)
    languages = parse_languages(request.languages)
    dev = adhoc.corpus_input(
        context, source=request.source, targets=request.target or [], languages=languages, which="dev"
    )
    metrics = dict.fromkeys([*(name.removesuffix("_drop_max") for name in budget), "bleu", "chrf"])
    text: dict[str, Any] = {"uses": "evaluate", "corpus": "inputs.dev", "metrics": list(metrics)}
    if max_samples is not None:
        text["max_samples"] = max_samples
    before = adhoc.backend_for(context, format=adhoc.format_of(model))
    after = adhoc.backend_for(context, format=context.registry.resolve("quantizer", method).spec.produces)
    asked = {
        "precisions": request.precisions and [name.strip() for name in request.precisions.split(",")],
        "granularity": request.granularity,
        "max_trials": request.max_trials,
    }
    asked = {key: value for key, value in asked.items() if value is not None}
    judged = {"budget": budget, "allow_inconclusive": request.allow_inconclusive}
    search = {"uses": "search", "reference": "baseline", "method": method, "options": dict(options), "backend": after}
    steps: list[dict[str, Any]] = [
        {"id": "baseline", "backend": before, **text},
        {"id": "search", **search, **asked, **judged},
        {"id": "found", "model": "search", "backend": after, **text},
        {"id": "verify", "uses": "verify", "reference": "baseline", "candidate": "found", **judged},
        {"id": "report", "uses": "report", "reporters": ["html", "markdown", "svg"]},
    ]
    return adhoc.Job(command="search", inputs={"model": adhoc.model_input(model), "dev": dev}, steps=steps)


def _mixing_quantizer(context: JobContext) -> str:
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


def _show_end(out: Path, result: SearchResult, outcome: Outcome, console: Console) -> None:
    artifact, source = result.artifact, result.source
    assert outcome.directory is not None
    console.print(f"to repeat {result.chosen} in a recipe:\n\n{recipe_fragment(result)}")
    console.print(
        f"{out}: {artifact.format}, {artifact.size_bytes / 1e6:.2f} MB, "
        f"{artifact.size_bytes / source.size_bytes:.3f} of the source's {source.size_bytes / 1e6:.2f} MB"
    )
    for name in (RESULTS_NAME, "figures/trade-off-search.svg", "report.html"):
        console.print(f"  {os.path.relpath(outcome.directory / name)}")
