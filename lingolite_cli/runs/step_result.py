"""What results of all kinds of step share: summaries of artifacts, corpora and trainings; what any result answers.

Owns these structs. The results of steps that make an artifact are in `made_results`, those of steps that measure in
`measured_results`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.corpora.pairs import TextReport
from lingolite_cli.plugins.interfaces import Score
from lingolite_cli.training.metrics import CurvePoint

ResultT = TypeVar("ResultT", bound="RecordedResult")


class RecordedStruct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of a record. A field that this version does not know is refused."""


class ArtifactSummary(RecordedStruct, frozen=True, kw_only=True):
    """An artifact that a step read or made. `path` is relative to the run's directory, or as the recipe has it."""

    path: str
    format: str
    digest: str
    size_bytes: int
    scheme: str | None = None


class CorpusSummary(RecordedStruct, frozen=True, kw_only=True):
    """The text that a step read. `digest` covers sources, references and languages."""

    name: str
    digest: str
    num_samples: int
    languages: tuple[str, str]


class TrainingRecord(RecordedStruct, frozen=True, kw_only=True):
    """What a training read, how long it took and how it ended.

    `minutes` counts every process that had a part, `loss` is that of the last step, in nats a token with label
    smoothing. `weights` says which were chosen; `dev_score` is theirs by `metric`. `metrics` is relative to the run's
    directory; `curve` is what it says, thinned for a drawing.
    """

    texts: list[TextReport]
    num_steps: int
    num_epochs: int
    num_tokens: int
    minutes: float
    loss: float
    ended_by: str
    weights: str
    metric: str | None
    dev_score: float | None
    metrics: str
    curve: list[CurvePoint] = []


class RecordedResult(RecordedStruct, frozen=True, kw_only=True, tag_field="kind"):
    """What every result can be asked for, so that locks, run directories and reports need not know the kinds."""

    @property
    def made(self) -> ArtifactSummary | None:
        """The artifact that the step made, if it made one."""
        return None

    @property
    def artifacts(self) -> tuple[ArtifactSummary, ...]:
        """All artifacts that the step read or made, sources first."""
        return ()

    @property
    def scores(self) -> Mapping[str, Score]:
        """Its scores, by metric."""
        return {}

    @property
    def verdicts(self) -> Sequence[Verdict]:
        """A verdict for each of its budgets."""
        return ()

    @property
    def training(self) -> TrainingRecord | None:
        """The training that it did, if it trained a model."""
        return None

    def with_texts(self: ResultT, place: Callable[[str], str]) -> ResultT:
        """The result with the paths of its texts in the run's directory; `place` gives that of a text by its folder."""
        return self
