"""Locks: what a run was made of and what came out, in `NAME.lock.toml` beside its recipe, to be checked again.

Owns the file and every difference between two of them. What ran is told by a plan, what came out by a run's manifest;
timings are in neither.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import tomli_w

from lingolite_cli.artifact import MANIFEST_NAME
from lingolite_cli.corpora.corpus import corpus_paths
from lingolite_cli.environment import cpu_features, package_versions
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.files.atomic import write_atomic
from lingolite_cli.files.special import is_special
from lingolite_cli.recipe.file_digests import digests_by_name, option_files
from lingolite_cli.recipe.scope import Plan, PlannedStep
from lingolite_cli.runs.drift import Drift, compare, compare_tables, feature_drift
from lingolite_cli.runs.record import RunManifest
from lingolite_cli.runs.results import StepResult
from lingolite_cli.schema import convert, read_toml

_OWN_PACKAGES = ("lingolite", "msgspec", "numpy", "sentencepiece")
"""Packages that take part in every step."""
METRIC_TOLERANCE = (
    0.1  # points: what float32 sums in another order have been seen to move a corpus score by, twice over
)
_HEAD = (
    "# Written by `lingolite run RECIPE --lock`. `lingolite run RECIPE --locked` refuses whatever differs from it,\n"
    "# `lingolite verify-lock RECIPE` checks this machine and what it has made against it.\n\n"
)


class _Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    pass


class LockedMetric(_Struct, frozen=True, kw_only=True):
    """A score. `tolerance` is the difference, in the metric's points, that another CPU may make."""

    value: float
    tolerance: float
    signature: str


class LockedPlugin(_Struct, frozen=True, kw_only=True):
    """A plugin of a step, with its options resolved, and the digests of the files that they name."""

    kind: str
    name: str
    distribution: str
    version: str
    options: dict[str, Any] = {}
    files: dict[str, str] = {}


class LockedStep(_Struct, frozen=True, kw_only=True):
    """A step: what it was asked to do, and the digest of the artifact or the scores that came out."""

    id: str
    uses: str
    inputs: list[str] = []
    options: dict[str, Any] = {}
    plugins: list[LockedPlugin] = []
    artifact: str = ""
    metrics: dict[str, LockedMetric] = {}


class Lock(_Struct, frozen=True, kw_only=True):
    """The whole file. Digests are SHA-256, in hex."""

    schema: Literal[1]
    recipe: str
    seed: int
    threads: int
    python: str
    cpu_features: list[str]
    packages: dict[str, str]
    inputs: dict[str, dict[str, str]]
    steps: list[LockedStep]


def lock_path(recipe: Path) -> Path:
    """Where the lock of a recipe lies.

    Raises:
        LingoLiteError: the recipe comes through a pipe.
    """
    if is_special(recipe):
        raise LingoLiteError(
            f"{recipe} is a pipe, and a lock lies beside the file of its recipe", hint="write the recipe to a file"
        )
    return recipe.with_suffix(".lock.toml")


def read_lock(recipe: Path) -> Lock:
    """The lock of a recipe.

    Raises:
        LingoLiteError: there is none, or it is not a lock.
    """
    path = lock_path(recipe)
    if not path.is_file():
        raise LingoLiteError(f"{recipe} has no lock: there is no {path}", hint=f"lingolite run {recipe} --lock")
    return convert(read_toml(path), Lock, where=str(path))


def write_lock(lock: Lock, recipe: Path) -> Path:
    """Write the lock of a recipe atomically."""
    path = lock_path(recipe)
    write_atomic(path, (_HEAD + tomli_w.dumps(_plain(msgspec.to_builtins(lock)))).encode())
    return path


def describe_plan(plan: Plan) -> Lock:
    """The lock of what would run, with no outcome yet. Reads the files of all inputs."""
    return Lock(
        schema=1,
        recipe=plan.recipe.name,
        seed=plan.recipe.seed,
        threads=plan.threads,
        python=platform.python_version(),
        cpu_features=cpu_features(),
        packages=package_versions(tuple(sorted({*_OWN_PACKAGES, *_engines(plan)}))),
        inputs=dict(_input_files(plan)),
        steps=[_describe_step(planned) for planned in plan.steps],
    )


def with_outcomes(lock: Lock, manifest: RunManifest) -> Lock:
    """The lock of a finished run."""
    results = {step.id: step.result for step in manifest.steps}
    return msgspec.structs.replace(lock, steps=[_with_outcome(step, results[step.id]) for step in lock.steps])


def _with_outcome(step: LockedStep, result: StepResult) -> LockedStep:
    metrics = {
        name: LockedMetric(value=score.value, tolerance=METRIC_TOLERANCE, signature=score.signature)
        for name, score in result.scores.items()
    }
    return msgspec.structs.replace(step, artifact=result.made.digest if result.made else "", metrics=metrics)


def _engines(plan: Plan) -> Iterator[str]:
    """What the steps use. What else is installed is no matter: it differs between machines without any effect."""
    for planned in plan.steps:
        yield from planned.packages
        for choice in planned.plugins:
            yield from choice.loaded.spec.requires


def _input_files(plan: Plan) -> Iterator[tuple[str, dict[str, str]]]:
    """(input, digest of each of its files)."""
    for reference, artifact in plan.models.items():
        files = {name: entry.sha256 for name, entry in artifact.manifest.files.items()}
        yield reference.removeprefix("inputs."), files
    texts = {reference: corpus_paths(spec, plan.root) for reference, spec in plan.corpora.items()}
    texts |= {reference: [corpus.path / MANIFEST_NAME] for reference, corpus in plan.collections.items()}
    texts |= {reference: spec.paths(plan.root) for reference, spec in plan.pairs.items()}
    shortlists = {reference: [path] for reference, path in plan.shortlists.items()}
    for reference, paths in {**texts, **shortlists}.items():
        yield reference.removeprefix("inputs."), digests_by_name(paths)


def _describe_step(planned: PlannedStep) -> LockedStep:
    return LockedStep(
        id=planned.step.id,
        uses=planned.uses,
        inputs=list(planned.inputs),
        options=_plain({**planned.options, **planned.judgement}),
        plugins=[
            LockedPlugin(
                kind=choice.loaded.kind,
                name=choice.loaded.spec.name,
                distribution=choice.loaded.origin.distribution,
                version=choice.loaded.origin.version,
                options=_plain(choice.options),
                files=option_files(choice),
            )
            for choice in planned.plugins
        ],
    )


def _plain(value: Any) -> Any:
    """`value` without keys that are None: TOML has no null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value if item is not None]
    return value


def plan_drift(lock: Lock, now: Lock) -> list[Drift]:
    """Every difference between this plan and the locked one, except the CPU: see `cpu_drift`."""
    found = list(compare("recipe", lock.recipe, now.recipe))
    found += compare("seed", lock.seed, now.seed)
    found += compare("threads", lock.threads, now.threads)
    found += compare("Python", lock.python, now.python)
    found += compare_tables("package", lock.packages, now.packages)
    for name in dict.fromkeys((*lock.inputs, *now.inputs)):
        found += compare_tables(f"input `{name}`, file", lock.inputs.get(name, {}), now.inputs.get(name, {}))
    steps = {step.id: step for step in now.steps}
    locked = {step.id: step for step in lock.steps}
    found += compare("order of the steps", " → ".join(locked), " → ".join(steps))
    for id in locked.keys() & steps.keys():
        found += _step_drift(locked[id], steps[id])
    return sorted(found, key=lambda drift: drift.what)


def _step_drift(locked: LockedStep, now: LockedStep) -> Iterator[Drift]:
    where = f"step `{now.id}`"
    yield from compare(f"{where}, kind", locked.uses, now.uses)
    yield from compare(f"{where}, inputs", ", ".join(locked.inputs), ", ".join(now.inputs))
    yield from compare_tables(f"{where}, option", locked.options, now.options)
    before, after = ({(plugin.kind, plugin.name): plugin for plugin in step.plugins} for step in (locked, now))
    for kind, name in dict.fromkeys((*before, *after)):
        yield from _plugin_drift(f"{where}, {kind} `{name}`", before.get((kind, name)), after.get((kind, name)))


def _plugin_drift(where: str, locked: LockedPlugin | None, now: LockedPlugin | None) -> Iterator[Drift]:
    if locked is None or now is None:
        yield Drift(where, _version(locked), _version(now))
        return
    yield from compare(where, _version(locked), _version(now))
    yield from compare_tables(f"{where}, option", locked.options, now.options)
    yield from compare_tables(f"{where}, file", locked.files, now.files)


def _version(plugin: LockedPlugin | None) -> str | None:
    return None if plugin is None else f"{plugin.distribution} {plugin.version}"


def say(drift: Drift) -> str:
    """A difference from a lock in words."""
    if drift.after is None:
        return f"{drift.what}: gone; locked {drift.before}"
    return f"{drift.what}: {drift.after}, " + ("not in the lock" if drift.before is None else f"locked {drift.before}")


def cpu_drift(lock: Lock, features: list[str]) -> list[Drift]:
    """Instruction sets that only one of the two machines has."""
    return feature_drift(lock.cpu_features, features)


def outcome_drift(lock: Lock, now: Lock, *, is_same_cpu: bool) -> list[Drift]:
    """Outcomes that differ from the locked ones: artifacts by digest, scores by value.

    Args:
        lock: the locked run.
        now: this run, of the same steps.
        is_same_cpu: scores must be the same to the last digit that is locked; on another CPU, within their tolerance.
    """
    found: list[Drift] = []
    for locked, step in zip(lock.steps, now.steps, strict=True):
        found += compare(f"step `{step.id}`, artifact", locked.artifact, step.artifact)
        for name in dict.fromkeys((*locked.metrics, *step.metrics)):
            before, after = locked.metrics.get(name), step.metrics.get(name)
            if before and after:
                found += compare(f"step `{step.id}`, signature of {name}", before.signature, after.signature)
            if before and after and abs(before.value - after.value) <= (0.0 if is_same_cpu else before.tolerance):
                continue
            found.append(Drift(f"step `{step.id}`, {name}", _score(before), _score(after)))
    return found


def _score(metric: LockedMetric | None) -> str | None:
    return None if metric is None else f"{metric.value:.4f}"
