"""An `evaluate` step as other steps see it: its table, what it uses, and its outcome.

Owns these; how text is translated and scored is `lingolite_cli.recipe.steps.evaluate`'s.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import field

from lingolite_cli.decoding.options import DecodingOptions
from lingolite_cli.recipe.model import Positive, Step, Workers
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice, Scope
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.measured_results import EvaluateResult
from lingolite_cli.runs.translations import TRANSLATIONS_NAME, TranslationRecord, read_translations
from lingolite_cli.schema import convert

DEFAULT_METRICS = ("bleu", "chrf")


class EvaluateStep(Step, tag="evaluate", frozen=True, kw_only=True):
    """Translate a corpus through a backend and score it; without `backend`, through one that runs the artifact.

    `decoding` overrides the artifact's own defaults key by key; `metric_options` has a table a metric. `workers` are
    processes that share the text; they change no token.
    """

    model: str = "inputs.model"
    backend: str | None = None
    corpus: str = "inputs.test"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    metric_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    decoding: dict[str, Any] = field(default_factory=dict)
    batch_size: Positive = 32
    max_batch_tokens: Positive = 4096
    max_samples: Positive | None = None
    workers: Workers = 1
    options: dict[str, Any] = field(default_factory=dict)


class PlannedEvaluation(PlannedStep, frozen=True, kw_only=True):
    """An `evaluate` step with the backend that translates and the metrics that score."""

    step: EvaluateStep
    backend: PluginChoice
    metrics: tuple[PluginChoice, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The artifact and the text."""
        return self.step.model, self.step.corpus

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The backend, and the metrics as the step names them."""
        return self.backend, *self.metrics

    @property
    def languages(self) -> tuple[str, str]:
        """Source and target language."""
        source, target = self.options["languages"]
        return source, target

    @property
    def decoding(self) -> DecodingOptions:
        """The artifact's defaults under what the step overrides."""
        return convert(self.options["decoding"], DecodingOptions, where="decoding")


def find_evaluation(step: Step, scope: Scope, *, key: str, reference: str) -> PlannedEvaluation:
    """The earlier `evaluate` step that `reference` names."""
    planned = scope.earlier(step, key, reference, "evaluate")
    assert isinstance(planned, PlannedEvaluation)
    return planned


class Evaluated(NamedTuple):
    """A finished `evaluate` step: its result, and what it translated."""

    result: EvaluateResult
    records: list[TranslationRecord]


def read_evaluation(workspace: Workspace, step: str) -> Evaluated:
    """The outcome of the finished `evaluate` step of that id."""
    cached = workspace.finished[step]
    result = cached.entry.result
    assert isinstance(result, EvaluateResult)
    return Evaluated(result, read_translations(cached.directory / TRANSLATIONS_NAME))
