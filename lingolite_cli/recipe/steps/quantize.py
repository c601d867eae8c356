"""`quantize`: a smaller artifact from a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from lingolite_cli.evaluation.corpus import Corpus
from lingolite_cli.plugins.interfaces import Calibration
from lingolite_cli.recipe.model import QuantizeStep
from lingolite_cli.recipe.record import QuantizeResult
from lingolite_cli.recipe.scope import PlannedStep, Scope
from lingolite_cli.recipe.steps.derive import check_conversion, convert_artifact
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact, summarize_corpus

T = TypeVar("T")


def check(step: QuantizeStep, scope: Scope) -> PlannedStep:
    """Refuse an unknown method, wrong options, an artifact that the method does not read, or the wrong text."""
    planned = check_conversion(step, scope, kind="quantizer", name=step.method, key="method")
    if not _is_calibrated(step, scope, needs=planned.plugins[0].loaded.spec.needs):
        return planned
    assert step.calibration is not None
    manifest = scope.manifest(step, "model", step.model)
    languages = scope.languages(step, "calibration", step.calibration, manifest)
    return msgspec.structs.replace(
        planned,
        inputs=(*planned.inputs, step.calibration),
        options={"languages": list(languages)},
        summary=f"{planned.summary}, calibrated on {step.calibration}",
    )


def _is_calibrated(step: QuantizeStep, scope: Scope, *, needs: frozenset[str]) -> bool:
    if "calibration" not in needs:
        if step.calibration is not None:
            raise scope.error(
                step, "calibration", f"`{step.method}` calibrates nothing", hint="leave out the key `calibration`"
            )
        return False
    if step.calibration is None:
        raise scope.error(
            step,
            "calibration",
            f"`{step.method}` needs text to run the model on, and none is named",
            hint='name an input: calibration = "inputs.NAME"; only its sources are used',
        )
    if step.calibration in scope.pairs:
        raise scope.error(
            step,
            "calibration",
            f"`{step.calibration}` is text to train on, which may have bad rows",
            hint='name text as { tsv = "FILE" } or { source = "FILE" }',
        )
    return True


def run(planned: PlannedStep, workspace: Workspace, directory: Path) -> QuantizeResult:
    """Quantize."""
    step = planned.step
    assert isinstance(step, QuantizeStep)
    source = workspace.artifact(step.model)
    convert = workspace.create(planned.plugins[0]).quantize
    texts = {}
    summary = None
    if step.calibration is not None:
        corpus = workspace.corpus(step.calibration)
        calibration = _calibration(corpus, planned, workspace)
        convert = partial(convert, calibration=calibration)
        texts["calibration"] = corpus.digest
        summary = summarize_corpus(corpus, num_samples=len(corpus.sources), languages=calibration.languages)
    made = convert_artifact(source, convert, planned, directory, texts=texts)
    return QuantizeResult(
        method=step.method,
        source=summarize_artifact(source),
        artifact=summarize_artifact(made),
        calibration=summary,
    )


def _calibration(corpus: Corpus, planned: PlannedStep, workspace: Workspace) -> Calibration:
    def track(items: Iterable[T], *, total: int) -> Iterator[T]:
        with workspace.console.progress(f"{planned.step.id}: calibration", total=total) as progress:
            yield from progress.track(items)

    return Calibration(
        sources=tuple(corpus.sources),
        languages=(planned.options["languages"][0], planned.options["languages"][1]),
        threads=workspace.threads,
        track=track,
    )
