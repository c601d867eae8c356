"""`quantize`: a smaller artifact from a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import field

from lingolite_cli.artifact import Artifact
from lingolite_cli.corpora.corpus import Corpus
from lingolite_cli.errors import ExitCode, LingoLiteError
from lingolite_cli.plugins.quantizers import Calibration
from lingolite_cli.recipe.scope import PluginChoice, Scope
from lingolite_cli.recipe.step_kind import StepKind
from lingolite_cli.recipe.work.conversion import choose_converter, convert_artifact
from lingolite_cli.recipe.work.learning import (
    Learning,
    LearningStep,
    PlannedTraining,
    check_learning,
    describe_learning,
    find_scorer,
    learning_settings,
)
from lingolite_cli.recipe.workspace import Workspace, summarize_artifact, summarize_corpus
from lingolite_cli.runs.made_results import QuantizeResult
from lingolite_cli.runs.step_result import TrainingRecord
from lingolite_cli.training.options import TrainingOptions

if TYPE_CHECKING:
    from lingolite_cli.model import MobileTranslationModel
    from lingolite_cli.training.session import ModelFunction

T = TypeVar("T")

_LEARNING_KEYS = ("data", "dev", "dev_samples", "metric", "languages", "text")


class QuantizeStep(LearningStep, tag="quantize", frozen=True, kw_only=True):
    """Make an artifact smaller.

    `calibration` names the text for methods that run the model on text; only its sources are used. The keys of training
    are for methods that train.
    """

    model: str = "inputs.model"
    method: str = "dynamic-int8"
    calibration: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


class PlannedQuantization(PlannedTraining, frozen=True, kw_only=True):
    """A `quantize` step with the quantizer that it uses."""

    step: QuantizeStep
    quantizer: PluginChoice

    @property
    def inputs(self) -> tuple[str, ...]:
        """The artifact, and the texts that it is calibrated or trained on."""
        step = self.step
        return tuple(filter(None, (step.model, step.calibration, *step.data, step.dev)))

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The quantizer, and what scores the dev text."""
        return self.quantizer, *(self.scorer.plugins if self.scorer else ())


def _check(step: QuantizeStep, scope: Scope) -> PlannedQuantization:
    """Refuse an unknown method, wrong options, an artifact that the method does not read, or the wrong text."""
    quantizer = choose_converter(
        step, scope, kind="quantizer", name=step.method, key="method", model=step.model, options=step.options
    )
    spec = quantizer.loaded.spec
    planned = PlannedQuantization(
        step=step,
        quantizer=quantizer,
        produces=spec.produces,
        origin=scope.origin(step.model),
        summary=f"{step.model} → {spec.produces} by {step.method}",
    )
    if _is_calibrated(step, scope, needs=spec.needs):
        planned = _with_calibration(planned, scope)
    if _is_trained(step, scope, needs=spec.needs):
        planned = _with_training(planned, scope)
    return planned


def _with_calibration(planned: PlannedQuantization, scope: Scope) -> PlannedQuantization:
    step = planned.step
    assert step.calibration is not None
    manifest = scope.manifest(step, "model", step.model)
    languages = scope.languages(step, "calibration", step.calibration, manifest)
    return msgspec.structs.replace(
        planned,
        options={"calibration_languages": list(languages)},
        summary=f"{planned.summary}, calibrated on {step.calibration}",
    )


def _is_calibrated(step: QuantizeStep, scope: Scope, *, needs: frozenset[str]) -> bool:
    if "calibration" not in needs:
        if step.calibration is not None:
            raise scope.error(
                step,
                "calibration",
                f"`{step.method}` takes no calibration text",
                hint="leave out the key `calibration`",
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


def _with_training(planned: PlannedQuantization, scope: Scope) -> PlannedQuantization:
    step, quantizer = planned.step, planned.quantizer
    options = _training_options(quantizer)
    languages = check_learning(step, scope, options=options, manifest=scope.manifest(step, "model", step.model))

    def find_backend() -> PluginChoice:
        name = scope.backend_for(step, "method", format=quantizer.loaded.spec.produces)
        return scope.plugin(step, "dev", kind="backend", name=name, options={})

    return msgspec.structs.replace(
        planned,
        scorer=find_scorer(step, scope, languages=languages, find_backend=find_backend),
        options={**planned.options, **learning_settings(step, languages=languages, options=quantizer.options)},
        summary=f"{planned.summary}, trained {describe_learning(step, options)}",
    )


def _is_trained(step: QuantizeStep, scope: Scope, *, needs: frozenset[str]) -> bool:
    if "training" not in needs:
        defaults = QuantizeStep(id=step.id)
        for key in _LEARNING_KEYS:
            if getattr(step, key) != getattr(defaults, key):
                raise scope.error(step, key, f"`{step.method}` does not train", hint=f"leave out the key `{key}`")
        return False
    if not step.data:
        raise scope.error(
            step,
            "data",
            f"`{step.method}` needs parallel text to train on, and none is named",
            hint='name inputs with pairs: data = ["inputs.NAME"]',
        )
    if step.dev is None:
        raise scope.error(
            step,
            "dev",
            f"`{step.method}` needs text with references to choose its weights by, and none is named",
            hint='name an input: dev = "inputs.NAME"; never the test set, which must stay unseen',
        )
    return True


def _training_options(choice: PluginChoice) -> TrainingOptions:
    """The options of a quantizer that trains.

    Raises:
        LingoLiteError: the plugin has other options than trainings have (exit code 4).
    """
    options = choice.loaded.options(choice.options)
    if not isinstance(options, TrainingOptions):
        raise LingoLiteError(
            f"quantizer `{choice.loaded.spec.name}` needs training, but its options do not extend TrainingOptions",
            hint=f"tell the authors of {choice.loaded.origin.distribution}",
            exit_code=ExitCode.PLUGIN,
        )
    return options


def _run(planned: PlannedQuantization, workspace: Workspace, directory: Path) -> QuantizeResult:
    """Quantize."""
    step = planned.step
    source = workspace.artifact(step.model)
    convert = workspace.create(planned.quantizer).quantize
    texts = {}
    summary = None
    if step.calibration is not None:
        corpus = workspace.corpus(step.calibration)
        calibration = _calibration(corpus, planned, workspace)
        convert = partial(convert, calibration=calibration)
        texts["calibration"] = corpus.digest
        summary = summarize_corpus(corpus, num_samples=len(corpus.sources), languages=calibration.languages)
    training = None
    if step.data:
        training = _Training(planned, workspace, directory, source=source)
        convert = partial(convert, training=training)
        texts |= {name.removeprefix("inputs."): workspace.input_digest(name) for name in (*step.data, step.dev) if name}
    made = convert_artifact(source, convert, planned.quantizer, directory, texts=texts)
    return QuantizeResult(
        method=step.method,
        source=summarize_artifact(source),
        artifact=summarize_artifact(made),
        calibration=summary,
        training=training.record if training else None,
    )


def _calibration(corpus: Corpus, planned: PlannedQuantization, workspace: Workspace) -> Calibration:
    def track(items: Iterable[T], *, total: int) -> Iterator[T]:
        with workspace.console.progress(f"{planned.step.id}: calibration", total=total) as progress:
            yield from progress.track(items)

    source, target = planned.options["calibration_languages"]
    return Calibration(
        sources=tuple(corpus.sources), languages=(source, target), threads=workspace.threads, track=track
    )


class _Training:
    """What a quantizer trains with; see `lingolite_cli.plugins.quantizers.Training`.

    Attributes:
        record: of the training, when it is done.
    """

    def __init__(
        self, planned: PlannedQuantization, workspace: Workspace, directory: Path, *, source: Artifact
    ) -> None:
        self._directory = directory
        self._learning = Learning(
            planned,
            workspace,
            options=_training_options(planned.quantizer),
            source=source,
            manifest=source.manifest,
        )
        self.record: TrainingRecord | None = None

    def __call__(self, *, prepare: ModelFunction, convert: ModelFunction) -> MobileTranslationModel:
        with self._learning.alone():
            _, fitted = self._learning.fit(prepare=prepare, convert=convert)
            self.record = self._learning.record(fitted.outcome, self._directory)
        return fitted.model


KIND = StepKind(table=QuantizeStep, result=QuantizeResult, check=_check, run=_run)
