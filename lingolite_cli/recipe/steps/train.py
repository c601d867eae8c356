"""`train`: a bundle, trained further or from scratch on parallel text. How it is trained is in `work.learning`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import field

from lingolite_cli.architecture.architecture import Architecture, preset
from lingolite_cli.artifact import BUNDLE, BUNDLE_BF16, BUNDLE_FP16, Manifest, Provenance
from lingolite_cli.plugins.extras import TORCH, require
from lingolite_cli.recipe.cache import ARTIFACT_NAME
from lingolite_cli.recipe.scope import PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.learning import (
    Learning,
    LearningStep,
    PlannedTraining,
    check_learning,
    describe_learning,
    find_scorer,
    learning_settings,
)
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact
from lingolite_cli.runs.made_results import TrainResult
from lingolite_cli.schema import convert
from lingolite_cli.training.options import ScratchOptions, TrainingOptions


class TrainStep(LearningStep, tag="train", frozen=True, kw_only=True):
    """Train a bundle, starting from `model` or from scratch. `backend` translates the text `dev`."""

    model: str | None = None
    scratch: ScratchOptions | None = None
    data: tuple[str, ...] = ("inputs.train",)
    backend: str = "cached"
    backend_options: dict[str, Any] = field(default_factory=dict)
    options: TrainingOptions = TrainingOptions()


class PlannedTrain(PlannedTraining, frozen=True, kw_only=True):
    """A `train` step."""

    step: TrainStep

    @property
    def inputs(self) -> tuple[str, ...]:
        """The model that it starts from, if any, and all texts."""
        return tuple(filter(None, (self.step.model, *self.step.data, self.step.dev)))

    @property
    def packages(self) -> tuple[str, ...]:
        """Training is PyTorch's."""
        return TORCH.modules

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """What scores the dev text."""
        return self.scorer.plugins if self.scorer else ()


def _check(step: TrainStep, scope: Scope) -> PlannedTrain:
    """Refuse a model that cannot be trained, unknown text, plugins or sizes, and a training without an end."""
    require(TORCH, what=scope.place(step, "a training"))
    manifest = _manifest(step, scope)
    languages = check_learning(step, scope, options=step.options, manifest=manifest)

    def find_backend() -> PluginChoice:
        backend = scope.plugin(step, "backend", kind="backend", name=step.backend, options=step.backend_options)
        scope.accepted(step, backend, format=BUNDLE, reference="the trained bundle")
        return backend

    return PlannedTrain(
        step=step,
        scorer=find_scorer(step, scope, languages=languages, find_backend=find_backend),
        options=learning_settings(step, languages=languages),
        produces=BUNDLE,
        origin=scope.origin(step.model) if step.model else step.id,
        manifest=None if step.model else manifest,
        summary=f"{step.model or 'from scratch'} {describe_learning(step, step.options)}",
    )


def _manifest(step: TrainStep, scope: Scope) -> Manifest:
    """Sizes and languages of the trained model."""
    if (step.model is None) == (step.scratch is None):
        raise scope.error(
            step,
            "model",
            "a training starts from `model` or from `scratch`, and needs exactly one of them",
            hint='model = "inputs.model", or a table [steps.scratch]',
        )
    if step.model is not None:
        format = scope.artifact_format(step, "model", step.model)
        if format not in (BUNDLE, BUNDLE_FP16, BUNDLE_BF16):
            raise scope.error(
                step,
                "model",
                f"`{step.model}` is of format {format}; only float bundles can be trained",
                hint="train first, quantize afterwards",
            )
        return scope.manifest(step, "model", step.model)
    assert step.scratch is not None
    if step.languages is None:
        raise scope.error(step, "languages", "a model from scratch needs them", hint='languages = ["en", "da"]')
    sizes = preset(step.scratch.preset).to_dict()
    where = f"step `{step.id}`, scratch.architecture"
    config = convert(
        {**sizes, **step.scratch.architecture, "vocab_size": step.scratch.vocab_size}, Architecture, where=where
    )
    return Manifest(format=BUNDLE, model=config, languages=step.languages, made_by=Provenance(operation="train"))


def _run(planned: PlannedTrain, workspace: Workspace, directory: Path) -> TrainResult:
    """Train, or resume a training."""
    from lingolite_cli.training.session import write_bundle

    step = planned.step
    source = workspace.artifact(step.model) if step.model else None
    manifest = source.manifest if source else planned.manifest
    assert manifest is not None
    learning = Learning(planned, workspace, options=step.options, source=source, manifest=manifest)
    with learning.alone():
        session, fitted = learning.fit()
        record = learning.record(fitted.outcome, directory)
        artifact = write_bundle(fitted, session, directory / ARTIFACT_NAME, made_by=_provenance(planned, workspace))
    return TrainResult(
        source=summarize_artifact(source) if source else None,
        artifact=summarize_artifact(artifact),
        **msgspec.structs.asdict(record),
    )


def _provenance(planned: PlannedTrain, workspace: Workspace) -> Provenance:
    inputs = {
        reference.removeprefix("inputs."): workspace.input_digest(reference)
        for reference in dict.fromkeys(planned.inputs)
    }
    return Provenance(operation="train", options=planned.options["options"], inputs=inputs)


KIND = StepKind(table=TrainStep, result=TrainResult, check=_check, run=_run)
