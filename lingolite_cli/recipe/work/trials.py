"""Trials of mixes: each artifact is made as it would be shipped, and run through a backend.

Owns the measurements of one search and their files, so that a search that was killed goes on where it stopped, and one
with another budget measures nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
from msgspec import field

from lingolite_cli.artifact import Artifact
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.files.scratch import scratch_directory
from lingolite_cli.precision_search.units import Assignment, Granularity
from lingolite_cli.recipe.model import Positive, Resamples, Step
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice
from lingolite_cli.recipe.work.conversion import convert_artifact
from lingolite_cli.recipe.work.evaluation import PlannedEvaluation
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.translations import TranslationRecord


class SearchStep(Step, tag="search", frozen=True, kw_only=True):
    """Find the smallest mix of precisions inside a budget, and make the artifact.

    `reference` is an `evaluate` step of the float model: its text, decoding and translations are what mixes are
    measured with. `budget` has one key, `METRIC_drop_max`. `sample` sentences rank the units; mixes are judged on all.
    """

    reference: str
    method: str = "mixed"
    options: dict[str, Any] = field(default_factory=dict)
    precisions: tuple[str, ...] | None = None
    granularity: Granularity = "block"
    backend: str | None = None
    backend_options: dict[str, Any] = field(default_factory=dict)
    budget: dict[str, float]
    allow_inconclusive: bool = False
    max_trials: Positive = 12
    sample: Positive = 200
    resamples: Resamples = 1000


class PlannedSearch(PlannedStep, frozen=True, kw_only=True):
    """A `search` step with the evaluation that it measures on, and what makes, runs and scores its mixes."""

    step: SearchStep
    evaluation: PlannedEvaluation
    quantizer: PluginChoice
    backend: PluginChoice
    metric: PluginChoice

    @property
    def inputs(self) -> tuple[str, ...]:
        """The float model, and its evaluation."""
        return self.evaluation.step.model, self.evaluation.step.id

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The quantizer, the backend and the metric."""
        return self.quantizer, self.backend, self.metric


class MixMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """The measurement of one mix.

    Attributes:
        size_bytes: of the artifact, tokenizer included.
        cross_entropy: nats a reference token, on the sample.
        hypotheses: translations of the sentences that were asked for.
    """

    size_bytes: int
    cross_entropy: float
    hypotheses: list[str] = []


class Trials:
    """Measures mixes of one model on one text.

    Args:
        planned: the `search` step.
        workspace: of the run.
        records: the translations of the float model.
        sample: indices of the sentences that cross-entropies are taken on.
        state: where measurements are kept.
    """

    def __init__(
        self,
        planned: PlannedSearch,
        workspace: Workspace,
        *,
        records: Sequence[TranslationRecord],
        sample: Sequence[int],
        state: Path,
    ) -> None:
        self._quantizer, self._backend = planned.quantizer, planned.backend
        self._workspace = workspace
        self._evaluation = planned.evaluation
        self._records = records
        self._sample = sample
        self._state = state

    def options(self, mix: Assignment) -> dict[str, Any]:
        """The quantizer's options that make `mix`."""
        resolved = self._quantizer.loaded.options(
            {**self._quantizer.options, "default": mix.default, "layers": mix.layers}
        )
        plain: dict[str, Any] = msgspec.to_builtins(resolved)
        return plain

    def make(self, mix: Assignment, directory: Path) -> Artifact:
        """The artifact of `mix`, as a `quantize` step with the same options makes it, under `directory`."""
        choice = PluginChoice(self._quantizer.loaded, self.options(mix))
        quantizer = self._workspace.create(choice)
        source = self._workspace.artifact(self._evaluation.step.model)
        return convert_artifact(source, quantizer.quantize, choice, directory)

    def measure(self, mix: Assignment, sentences: Sequence[int] = ()) -> MixMeasurement:
        """Size, cross-entropy and translations of `mix`; from an earlier search where there is one.

        Args:
            mix: the precisions.
            sentences: indices into the text.
        """
        description = {"options": self.options(mix), "sample": list(self._sample), "sentences": list(sentences)}
        path = self._state / f"{sha256_json(description)}.json"
        if path.is_file():
            return msgspec.json.decode(path.read_bytes(), type=MixMeasurement)
        with scratch_directory() as directory:
            found = self._run(self.make(mix, directory), sentences)
        write_atomic(path, msgspec.json.encode(found))
        return found

    def _run(self, artifact: Artifact, sentences: Sequence[int]) -> MixMeasurement:
        from lingolite_cli.decoding.translator import Translator
        from lingolite_cli.evaluation.cross_entropy import token_cross_entropy
        from lingolite_cli.tokenization.opening import open_tokenizer

        step, languages = self._evaluation.step, self._evaluation.languages
        tokenizer, model = open_tokenizer(artifact), artifact.manifest.model
        capabilities = self._backend.loaded.spec.capabilities
        limits = {"batch_size": step.batch_size, "max_batch_tokens": step.max_batch_tokens}
        with closing(self._workspace.open_backend(self._backend, artifact)) as engine:
            translator = Translator(
                engine,
                tokenizer,
                model,
                languages,
                options=self._evaluation.decoding,
                capabilities=capabilities,
                **limits,
            )
            return MixMeasurement(
                size_bytes=artifact.size_bytes,
                cross_entropy=token_cross_entropy(
                    engine,
                    tokenizer,
                    model,
                    languages,
                    sources=[self._records[index].source for index in self._sample],
                    references=[self._records[index].references[0] for index in self._sample],
                    capabilities=capabilities,
                    **limits,
                ),
                hypotheses=[
                    found.text for found in translator.translate(self._records[index].source for index in sentences)
                ],
            )
