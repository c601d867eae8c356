"""The record of a run: its manifest, and each step in it with where it came from.

Reporters and observers read it, with the results of its steps from `lingolite_cli.runs.results`; the runner writes it
as `runs/NAME/ID/manifest.json`.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import msgspec

from lingolite_cli.artifact import CORPUS
from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.environment import Environment
from lingolite_cli.runs.measured_results import VerifyResult
from lingolite_cli.runs.results import ReportResult, StepResult
from lingolite_cli.runs.revision import Revision
from lingolite_cli.runs.step_result import ArtifactSummary, TrainingRecord


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class PluginUse(_Struct, frozen=True, kw_only=True):
    """A plugin that a step used, and where it came from."""

    kind: str
    name: str
    distribution: str
    version: str


class StepRecord(_Struct, frozen=True, kw_only=True):
    """One step of a run. `status` is `cached` when the result came from an earlier run; `seconds` is the time that
    this run spent on it. `key` identifies the work; None for a step that is never cached."""

    id: str
    uses: str
    status: Literal["done", "cached"]
    seconds: float
    key: str | None
    plugins: list[PluginUse]
    inputs: dict[str, str]
    result: StepResult


class Stop(_Struct, frozen=True, kw_only=True):
    """What ended a run before its end.

    Attributes:
        where: in words, such as "at `verify`".
        step: id of the step that it was at; None after the last one.
        seconds: that this step had taken.
        error: name of the exception's class.
        message: what it said; empty for an interruption.
        hint: what to do about it.
    """

    where: str
    step: str | None
    seconds: float
    error: str
    message: str
    hint: str | None

    @property
    def said(self) -> str:
        """Where the run ended, and why."""
        return f"{self.where}: {self.message}" if self.message else self.where


class StepName(NamedTuple):
    """A step by its id, the kind that it `uses` and the names of its budgets."""

    id: str
    uses: str
    budgets: tuple[str, ...]


_RESULTS = {result.__struct_config__.tag: result for result in get_args(StepResult)}
_JUDGED = {kind for kind, result in _RESULTS.items() if "verdicts" in result.__struct_fields__}
_WRITTEN_LAST = ReportResult.__struct_config__.tag

RunStatus = Literal["done", "broken budget", "failed", "interrupted"]


class RunManifest(_Struct, frozen=True, kw_only=True):
    """`manifest.json` of a run. Times are UTC, ISO 8601.

    `revision` is that of the project's Git repository, where it is in one.
    `status` is `broken budget` when a verdict fails the run. One that is `failed` or `interrupted` has a `stop`, and
    its `steps` are those that were finished before.
    """

    schema: int = 1
    name: str
    id: str
    status: RunStatus
    started: str
    seconds: float
    seed: int
    recipe_path: str
    recipe: dict[str, Any]
    environment: Environment
    revision: Revision | None = None
    steps: list[StepRecord]
    stop: Stop | None = None

    @property
    def unfinished(self) -> list[StepName]:
        """The steps that a stopped run did not finish, from the one that it was at.

        `report` steps are left out unless the run stopped at one: reports of a stopped run are still written.
        """
        if self.stop is None:
            return []
        finished = {step.id for step in self.steps}
        return [
            StepName(step["id"], step["uses"], tuple(step.get("budget", ())) if step["uses"] in _JUDGED else ())
            for step in self.recipe["steps"]
            if step["id"] not in finished and (step["uses"] != _WRITTEN_LAST or step["id"] == self.stop.step)
        ]

    @property
    def verdicts(self) -> list[tuple[str, Verdict]]:
        """(step id, verdict) for each budget of the run."""
        return [(step.id, verdict) for step in self.steps for verdict in step.result.verdicts]

    @property
    def shipped(self) -> ArtifactSummary | None:
        """The artifact that the run is about: the last candidate, or else what was made last."""
        verified = [step.result for step in self.steps if isinstance(step.result, VerifyResult)]
        made = [found for step in self.steps if (found := step.result.made) is not None and found.format != CORPUS]
        return verified[-1].candidate_artifact if verified else next(reversed(made), None)

    @property
    def trainings(self) -> list[tuple[str, TrainingRecord]]:
        """(step id, training) for each step that trained a model."""
        found = [(step.id, step.result.training) for step in self.steps]
        return [(step, training) for step, training in found if training is not None]
