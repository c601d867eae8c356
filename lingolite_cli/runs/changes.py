"""What changed from one run to another: recipe, inputs, environment and budgets; and whether anything got worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lingolite_cli.budgets.verdicts import Verdict
from lingolite_cli.evaluation.comparison import SystemComparison
from lingolite_cli.evaluation.differences import MetricDifference
from lingolite_cli.evaluation.intervals import SIGNED, spelled
from lingolite_cli.runs.drift import Drift, compare, compare_tables, feature_drift
from lingolite_cli.runs.record import RunManifest


class BudgetChange(msgspec.Struct, frozen=True):
    """A budget by the verdict that each run had on it; None where a run has no such budget."""

    budget: str
    first: Verdict | None
    second: Verdict | None


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The second run against the first."""

    setup: list[Drift]
    budgets: list[BudgetChange]


def compare_runs(first: RunManifest, second: RunManifest) -> Changes:
    """Everything that two runs were made of, and their budgets side by side. Timings are not compared."""
    setup = compare("seed", first.seed, second.seed)
    before, after = first.recipe, second.recipe
    setup += compare_tables("inputs", before.get("inputs", {}), after.get("inputs", {}))
    setup += compare_tables("digest of", _inputs(first), _inputs(second))
    setup += _step_changes(_by_id(before), _by_id(after))
    setup += _plugin_changes(first, second)
    setup += compare_tables("package", first.environment.packages, second.environment.packages)
    for name in ("lingolite", "python", "cpu", "threads"):
        setup += compare(name, getattr(first.environment, name), getattr(second.environment, name))
    setup += feature_drift(first.environment.cpu_features, second.environment.cpu_features)
    setup += compare_tables("artifact of step", _artifacts(first), _artifacts(second))
    return Changes(setup=setup, budgets=_budgets(first, second))


def _step_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Drift]:
    found = []
    for id in dict.fromkeys((*before, *after)):
        if id not in before or id not in after:
            found.append(Drift(f"step `{id}`", _kind(before.get(id)), _kind(after.get(id))))
        else:
            found += compare_tables(f"step `{id}`,", before[id], after[id])
    return found


def _plugin_changes(first: RunManifest, second: RunManifest) -> list[Drift]:
    """Versions of the plugins that both runs used; others come with their step."""
    before, after = _plugins(first), _plugins(second)
    shared = [name for name in before if name in after]
    return [drift for name in shared for drift in compare(name, before[name], after[name])]


def _plugins(manifest: RunManifest) -> dict[str, str]:
    """Distribution and version of each plugin, by kind and name."""
    return {
        f"{plugin.kind} `{plugin.name}`": f"{plugin.distribution} {plugin.version}"
        for step in manifest.steps
        for plugin in step.plugins
    }


def _artifacts(manifest: RunManifest) -> dict[str, str]:
    """Digest of what each step made."""
    return {step.id: made.digest for step in manifest.steps if (made := step.result.made) is not None}


def _kind(step: Mapping[str, Any] | None) -> str | None:
    return None if step is None else str(step["uses"])


def _by_id(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {step["id"]: step for step in recipe["steps"]}


def _inputs(manifest: RunManifest) -> dict[str, str]:
    """Digest of each input of the recipe."""
    return {
        reference: digest
        for step in manifest.steps
        for reference, digest in step.inputs.items()
        if reference.startswith("inputs.")
    }


def _budgets(first: RunManifest, second: RunManifest) -> list[BudgetChange]:
    before, after = (
        {f"{step}.{verdict.budget}": verdict for step, verdict in manifest.verdicts} for manifest in (first, second)
    )
    names = dict.fromkeys((*before, *after))
    return [BudgetChange(name, before.get(name), after.get(name)) for name in names]


def regressions(comparisons: Sequence[SystemComparison], changes: Changes | None) -> list[str]:
    """What is worse beyond doubt, a line each: scores whose whole interval is on the worse side, budgets newly broken.

    A metric without intervals counts as worse when its score is.
    """
    found = []
    for comparison in comparisons:
        for difference in comparison.differences:
            if difference.loss.low > 0:
                text = f"{difference.reference:.2f} → {difference.candidate:.2f}"
                found.append(f"{comparison.name}: {difference.metric} {text}{_interval(difference)}")
    for change in changes.budgets if changes else ():
        held = change.first is None or not change.first.breaks_run
        if held and change.second is not None and change.second.breaks_run:
            found.append(f"{change.budget}: {change.second.why}")
    return found


def _interval(difference: MetricDifference) -> str:
    interval = spelled(difference.low, difference.high)
    return interval and f" ({SIGNED(difference.delta)}, {difference.confidence:.0%} interval {interval})"
