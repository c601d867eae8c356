"""`filter`: a corpus without the lines that filters leave out."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lingolite_cli.artifact import CORPUS
from lingolite_cli.bulk.filtering import FilterRequest, filter_corpus
from lingolite_cli.bulk.filters import FilterOptions, chosen_filters
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.extras import CORPORA
from lingolite_cli.recipe.cache import ARTIFACT_NAME
from lingolite_cli.recipe.model import Step
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.workspace import Workspace, summarize_collection
from lingolite_cli.runs.made_results import FilterResult


class FilterStep(Step, tag="filter", frozen=True, kw_only=True):
    """Leave lines out of a corpus, for the reasons that `filters` name; none are the default ones."""

    text: str
    filters: tuple[str, ...] = ()
    options: FilterOptions = FilterOptions()


class PlannedFilter(PlannedStep, frozen=True, kw_only=True):
    """A `filter` step."""

    step: FilterStep
    request: FilterRequest

    @property
    def inputs(self) -> tuple[str, ...]:
        """The corpus."""
        return (self.step.text,)

    @property
    def packages(self) -> tuple[str, ...]:
        """What identifies languages, where that is asked for."""
        return CORPORA.modules[:1] if "language" in self.request.names else ()


def _check(step: FilterStep, scope: Scope) -> PlannedFilter:
    """Refuse an unknown corpus or filter, and one that the corpus has no side for."""
    languages = scope.text_languages(step, "text", step.text)
    try:
        names = chosen_filters(step.filters, languages)
    except LingoLiteError as error:
        found = scope.error(step, "filters", error.message, hint=error.hint)
        found.exit_code = error.exit_code
        raise found from None
    request = FilterRequest(names=names, options=step.options)
    return PlannedFilter(
        step=step,
        request=request,
        options=msgspec.to_builtins(request),
        produces=CORPUS,
        origin=step.id,
        text_languages=languages,
        summary=f"{step.text}: {', '.join(names)}",
    )


def _run(planned: PlannedFilter, workspace: Workspace, directory: Path) -> FilterResult:
    """Filter."""
    source = workspace.collection(planned.step.text)
    target = directory / ARTIFACT_NAME
    target.mkdir()
    filtered = filter_corpus(source, target, planned.request, console=workspace.console)
    removed = filtered.manifest.removed
    if removed:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in removed.items())
        workspace.console.note(f"{planned.step.id}: {sum(removed.values()):,} lines left out: {reasons}")
    return FilterResult(
        source=summarize_collection(source),
        corpus=summarize_collection(CorpusArtifact.open(target)),
        num_lines=filtered.manifest.num_lines,
        removed=removed,
    )


KIND = StepKind(table=FilterStep, result=FilterResult, check=_check, run=_run)
