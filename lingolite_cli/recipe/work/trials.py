"""Trials of mixes, and their files: a search that was killed goes on where it stopped, and one with another budget
measures nothing twice.

Owns the table of the step, the files, and who measures. How a mix is measured is in `mixes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from lingolite_cli.artifact import Artifact
from lingolite_cli.console import Progress
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.digests import sha256_json
from lingolite_cli.plugins.registry import Loaded
from lingolite_cli.precision_search.units import Assignment, Granularity
from lingolite_cli.recipe.model import Positive, Resamples, Step, Workers
from lingolite_cli.recipe.scope import PlannedStep, PluginChoice
from lingolite_cli.recipe.work.evaluation import PlannedEvaluation
from lingolite_cli.recipe.work.mixes import MixMeasurement, MixMeasurer, MixRequest, MixText, mix_work
from lingolite_cli.recipe.workspace import Workspace
from lingolite_cli.runs.translations import TranslationRecord

if TYPE_CHECKING:
    from lingolite_cli.plugins.executors import Executor

_LOCAL = "local"


class SearchStep(Step, tag="search", frozen=True, kw_only=True):
    """Find the smallest mix of precisions inside a budget, and make the artifact.

    `reference` is an `evaluate` step of the float model: its text, decoding and translations are what mixes are
    measured with. `budget` has one key, `METRIC_drop_max`. `sample` sentences rank the units; mixes are judged on all.
    `workers` and `executor` say who measures what can be measured at the same time, and change no result.
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
    workers: Workers = 1
    executor: str = _LOCAL
    executor_options: dict[str, Any] = field(default_factory=dict)

    @property
    def is_shared(self) -> bool:
        """Whether anybody but this process measures."""
        return self.workers > 1 or self.executor != _LOCAL


class PlannedSearch(PlannedStep, frozen=True, kw_only=True):
    """A `search` step with the evaluation that it measures on, and what makes, runs and scores its mixes.

    The executor decides no result.
    """

    step: SearchStep
    evaluation: PlannedEvaluation
    quantizer: PluginChoice
    backend: PluginChoice
    metric: PluginChoice
    executor: Loaded

    @property
    def inputs(self) -> tuple[str, ...]:
        """The float model, and its evaluation."""
        return self.evaluation.step.model, self.evaluation.step.id

    @property
    def plugins(self) -> tuple[PluginChoice, ...]:
        """The quantizer, the backend and the metric."""
        return self.quantizer, self.backend, self.metric


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
        evaluation = planned.evaluation
        self._planned = planned
        self._blocked = workspace.plan.blocked
        self._source = workspace.artifact(evaluation.step.model)
        self._text = MixText(
            sources=[record.source for record in records],
            references=[record.references[0] for record in records],
            sample=tuple(sample),
            languages=evaluation.languages,
            decoding=evaluation.decoding,
            batch_size=evaluation.step.batch_size,
            max_batch_tokens=evaluation.step.max_batch_tokens,
            threads=workspace.threads,
        )
        self._measurer = MixMeasurer(self._source, planned.quantizer, planned.backend, self._text)
        self._executor: Executor | None = None
        self._state = state

    def close(self) -> None:
        """End the workers, if there are any."""
        if self._executor is not None:
            self._executor.close()

    def options(self, mix: Assignment) -> dict[str, Any]:
        """The quantizer's options that make `mix`."""
        return self._measurer.options(mix)

    def make(self, mix: Assignment, directory: Path) -> Artifact:
        """The artifact of `mix`, as a `quantize` step with the same options makes it, under `directory`."""
        return self._measurer.make(mix, directory)

    def measure(self, request: MixRequest) -> MixMeasurement:
        """Size, cross-entropy and translations of a mix; from an earlier search where there is one."""
        path = self._path(request)
        if path.is_file():
            return msgspec.json.decode(path.read_bytes(), type=MixMeasurement)
        found = self._measurer.measure(request)
        write_atomic(path, msgspec.json.encode(found))
        return found

    def measure_ahead(self, requests: Sequence[MixRequest], progress: Progress) -> None:
        """Let the step's workers measure what is not known yet, so that `measure` finds it.

        A measurement that ends its workers is left to `measure`, which meets whatever is wrong with it.

        Args:
            requests: that do not depend on each other.
            progress: advances by one for each that is done.
        """
        waiting = [request for request in requests if not self._path(request).is_file()]
        if not self._planned.step.is_shared or len(waiting) < 2:
            return
        if self._executor is None:
            self._executor = self._start()
        for answer in self._executor.answers(map(msgspec.msgpack.encode, waiting)):
            if answer.content is not None:
                found = msgspec.msgpack.decode(answer.content, type=MixMeasurement)
                write_atomic(self._path(waiting[answer.position]), msgspec.json.encode(found))
            progress.advance()

    def _start(self) -> Executor:
        step, planned = self._planned.step, self._planned
        work = mix_work(self._source, planned.quantizer, planned.backend, self._text, blocked=self._blocked)
        made: Executor = planned.executor.create(work, options=step.executor_options, num_workers=step.workers)
        return made

    def _path(self, request: MixRequest) -> Path:
        description = {
            "options": self.options(request.mix),
            "sample": list(self._text.sample),
            "sentences": list(request.sentences),
        }
        return self._state / f"{sha256_json(description)}.json"
