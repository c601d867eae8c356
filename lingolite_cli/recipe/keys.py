"""What identifies a step's work: the canonical description that its cache key is made of.

A key covers whatever can change the outcome: the kind of step, its plugins with their versions and code, resolved
options, the digests of its inputs and of the files that options name, seed, threads, engines and CPU.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from lingolite_cli.environment import cpu_features, package_versions
from lingolite_cli.recipe.cache import host_digest, source_digest
from lingolite_cli.recipe.file_digests import option_files
from lingolite_cli.recipe.scope import Plan, PlannedStep, PluginChoice

SCHEMA = 1


def describe_work(planned: PlannedStep, plan: Plan, digests: dict[str, str]) -> dict[str, Any] | None:
    """The description of a step's work; None while the digest of an input is not known yet.

    Args:
        planned: the step.
        plan: its plan.
        digests: digest of each input and each finished step.
    """
    if any(reference not in digests for reference in planned.inputs):
        return None
    return {
        "schema": SCHEMA,
        "kind": planned.uses,
        # All of the host's code: which of it a step depends on cannot be told, and a stale result is worse than work.
        "host": host_digest(),
        "plugins": [_describe_plugin(choice) for choice in planned.plugins],
        "options": planned.options,
        # By position, not by name: the same work under other step ids is the same work.
        "inputs": [digests[reference] for reference in planned.inputs],
        "seed": plan.recipe.seed,
        "threads": plan.threads,
        "cpu": _cpu(),
    }


def _describe_plugin(choice: PluginChoice) -> dict[str, Any]:
    spec, origin = choice.loaded.spec, choice.loaded.origin
    return {
        "kind": choice.loaded.kind,
        "name": spec.name,
        "distribution": origin.distribution,
        "version": origin.version,
        "code": _cached_source_digest(spec.factory.partition(":")[0]),
        "options": choice.options,
        "files": option_files(choice),
        "engines": package_versions(spec.requires),
    }


@lru_cache
def _cached_source_digest(module: str) -> str:
    return source_digest(module)


@lru_cache
def _cpu() -> str:
    return " ".join(cpu_features())
