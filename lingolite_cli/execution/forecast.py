"""The forecast of a run: what it would do with each step, and why.

Owns the reasons. Inputs and the cache are read; nothing is executed or written.
"""

from __future__ import annotations

import msgspec

from lingolite_cli.recipe.cache import StepCache, changes, step_key
from lingolite_cli.recipe.keys import describe_work
from lingolite_cli.recipe.kinds import KINDS
from lingolite_cli.recipe.scope import PlannedStep
from lingolite_cli.recipe.workspace import Workspace


class StepForecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do with a step, and why."""

    id: str
    uses: str
    summary: str
    is_cached: bool
    why: str


def forecast_step(planned: PlannedStep, workspace: Workspace, cache: StepCache) -> StepForecast:
    """What a run would do with a step.

    A step that is in the cache is finished in `workspace` from here on: forecasts of later steps need its digest.
    """
    is_cached, why = _status(planned, workspace, cache)
    return StepForecast(id=planned.step.id, uses=planned.uses, summary=planned.summary, is_cached=is_cached, why=why)


def _status(planned: PlannedStep, workspace: Workspace, cache: StepCache) -> tuple[bool, str]:
    not_cached = KINDS[planned.uses].not_cached
    if not_cached is not None:
        return False, not_cached
    description = describe_work(planned, workspace.plan, workspace.digests)
    if description is None:
        waits = [reference for reference in planned.inputs if reference not in workspace.digests]
        return False, f"`{waits[0]}` runs first"
    if not workspace.is_fresh:
        cached = cache.find(step_key(description))
        if cached is not None:
            workspace.finish(planned.step.id, cached)
            if planned.is_timed:
                return False, "timings are always taken anew; the rest was done before"
            return True, "the same work was done before"
    last = cache.recall(workspace.plan.recipe.name, planned.step.id)
    return False, "asked to run afresh" if workspace.is_fresh else changes(last, description)
