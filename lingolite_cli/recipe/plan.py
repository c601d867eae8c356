"""From a recipe to a plan: whatever can be refused is refused here, before heavy packages are imported.

Owns reading a recipe and the order of the checks. What a project's defaults add to a step is in `defaults`, the checks
of one kind of step are in `steps`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lingolite_cli.artifact import Artifact
from lingolite_cli.corpora.artifact import CorpusArtifact
from lingolite_cli.corpora.corpus import CorpusSpec, check_corpus_files, check_files
from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.plugins.registry import Registry
from lingolite_cli.recipe.cache import StepCache
from lingolite_cli.recipe.defaults import merge_defaults
from lingolite_cli.recipe.kinds import KINDS, RecipeFile
from lingolite_cli.recipe.model import CorpusInput, ModelInput, Recipe, ShortlistInput
from lingolite_cli.recipe.scope import Plan, Scope
from lingolite_cli.schema import convert, parse_value, read_toml
from lingolite_cli.settings import Project
from lingolite_cli.training.options import PairsSpec

_INPUT_KINDS: dict[str, type[msgspec.Struct]] = {
    "bundle": ModelInput,
    "pairs": PairsSpec,
    "corpus": CorpusInput,
    "shortlist": ShortlistInput,
    "tsv": CorpusSpec,
    "source": CorpusSpec,
    "test_set": CorpusSpec,
}
"""Keys that say what an input is, and what its table is then read as."""


def read_recipe(
    path: Path, project: Project, *, overrides: Mapping[str, str] | None = None, varied: Mapping[str, str] | None = None
) -> Recipe:
    """Read a recipe and merge settings, file and overrides, in that order.

    Args:
        path: the TOML file.
        project: its `defaults` are merged under each step.
        overrides: `step.key=value` of `--set`, by dotted key.
        varied: the same of `--matrix`: the values that this run of several has.

    Raises:
        LingoLiteError: the file, a key or an override is wrong.
    """
    data = read_toml(path)
    merged = merge_defaults(data, project.settings.defaults)
    for flag, values in (("--set", overrides or {}), ("--matrix", varied or {})):
        for key, text in values.items():
            _override(merged, key, parse_value(text), flag=flag)
    recipe = convert(merged, RecipeFile, where=str(path))
    if not recipe.steps:
        raise LingoLiteError(f"{path} has no steps", hint="`lingolite init` writes a recipe to start from")
    return recipe


def _override(data: dict[str, Any], key: str, value: Any, *, flag: str) -> None:
    head, *rest = key.split(".")
    steps = {str(step.get("id")): step for step in data.get("steps", []) if isinstance(step, dict)}
    if head in steps and not rest:
        raise LingoLiteError(
            f"{flag} {key}: step `{head}` without a key", hint=f"for example `{flag} {head}.KEY=VALUE`"
        )
    if head in steps:
        target = steps[head]
    elif head in ("inputs", "seed", "threads"):
        target, rest = data, [head, *rest]
    else:
        known = [*steps, "inputs", "seed", "threads"]
        raise LingoLiteError(f"{flag} {key}: there is no step `{head}`", hint=did_you_mean(head, known))
    for part in rest[:-1]:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise LingoLiteError(f"{flag} {key}: `{part}` is a value, not a table")
    if rest[0] == "inputs" and len(rest) == 3:
        _forget_other_kinds(target, rest[-1])
    target[rest[-1]] = value


def _forget_other_kinds(table: dict[str, Any], key: str) -> None:
    """Make room for an input of another kind: of what was said of the old one, only what the new one has stays."""
    others = _INPUT_KINDS.keys() - {key}
    if key not in _INPUT_KINDS or not others & table.keys():
        return
    kept = set(_INPUT_KINDS[key].__struct_fields__) - others
    if key != "source":
        kept.discard("references")
    for name in table.keys() - kept:
        del table[name]


def make_plan(recipe: Recipe, *, path: str, project: Project, registry: Registry) -> Plan:
    """Check a recipe.

    Raises:
        LingoLiteError: with the recipe, the TOML path, the value and a hint; exit code 4 where a plugin is missing
            or broken.
    """
    inputs = _open_inputs(recipe, path, project.root)
    scope = Scope(
        where=path,
        registry=registry,
        models=inputs.models,
        corpora=inputs.corpora,
        pairs=inputs.pairs,
        shortlists=inputs.shortlists,
        collections=inputs.collections,
        positions=_positions(recipe, path),
        find_artifact=StepCache(project.cache_directory).find_artifact,
        preferred_backend=project.settings.defaults.get("evaluate", {}).get("backend"),
    )
    for step in recipe.steps:
        scope.steps[step.id] = KINDS[step.uses].check(step, scope)
    return Plan(
        recipe=recipe,
        path=path,
        root=project.root,
        threads=recipe.threads or project.threads,
        blocked=tuple(sorted(registry.host.blocked)),
        models=inputs.models,
        corpora=inputs.corpora,
        pairs=inputs.pairs,
        shortlists=inputs.shortlists,
        collections=inputs.collections,
        steps=tuple(scope.steps.values()),
    )


def _positions(recipe: Recipe, path: str) -> dict[str, int]:
    positions: dict[str, int] = {}
    for position, step in enumerate(recipe.steps):
        if step.id in positions:
            raise LingoLiteError(
                f"{path}: steps {positions[step.id] + 1} and {position + 1} have the same id `{step.id}`",
                hint="give one of them another id",
            )
        positions[step.id] = position
    return positions


class _Inputs(NamedTuple):
    models: dict[str, Artifact]
    corpora: dict[str, CorpusSpec]
    pairs: dict[str, PairsSpec]
    shortlists: dict[str, Path]
    collections: dict[str, CorpusArtifact]


def _open_inputs(recipe: Recipe, path: str, root: Path) -> _Inputs:
    inputs = _Inputs({}, {}, {}, {}, {})
    for name, table in recipe.inputs.items():
        reference = f"inputs.{name}"
        where = f"{path}: {reference}"
        if "bundle" in table:
            bundle = convert(table, ModelInput, where=where).bundle
            with _located(where):
                inputs.models[reference] = Artifact.open(root / bundle)
        elif "pairs" in table:
            inputs.pairs[reference] = convert(table, PairsSpec, where=where)
            with _located(where):
                check_files(inputs.pairs[reference].paths(root), root)
        elif "corpus" in table:
            with _located(where):
                # Its shards are compared with the manifest when they are read: they may be many gigabytes.
                inputs.collections[reference] = CorpusArtifact.open(
                    root / convert(table, CorpusInput, where=where).corpus
                )
        elif "shortlist" in table:
            inputs.shortlists[reference] = root / convert(table, ShortlistInput, where=where).shortlist
            with _located(where):
                check_files([inputs.shortlists[reference]], root)
        else:
            inputs.corpora[reference] = convert(table, CorpusSpec, where=where)
            with _located(where):
                check_corpus_files(inputs.corpora[reference], root)
    return inputs


@contextmanager
def _located(where: str) -> Iterator[None]:
    try:
        yield
    except LingoLiteError as error:
        located = LingoLiteError(f"{where}: {error.message}", hint=error.hint, exit_code=error.exit_code)
        raise located from error
    except (OSError, ValueError) as error:  # a name that is longer than the disk takes, or has a null character
        reason = error.strerror if isinstance(error, OSError) else error
        raise LingoLiteError(f"{where}: the path cannot be looked up: {reason}") from None
