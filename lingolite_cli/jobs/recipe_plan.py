"""A recipe file in its own project, wherever one stands: read, checked, and made a plan.

Owns which project a recipe belongs to: that of the nearest `lingolite.toml` above it. Its inputs, its defaults, its
cache and its runs are that project's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.plugins.specs import files_of
from lingolite_cli.recipe.model import Recipe
from lingolite_cli.recipe.plan import make_plan, read_recipe
from lingolite_cli.recipe.scope import Plan


class OwnedRecipe(msgspec.Struct, frozen=True):
    """A recipe, and the context of the project that it belongs to."""

    context: JobContext
    recipe: Recipe


def named_recipe(context: JobContext, recipe: Path) -> Path:
    """The recipe file that was named: a path, or the name of a file in the project's `recipes/` without its ending."""
    if len(recipe.parts) == 1 and not recipe.suffix and not recipe.is_file():
        known = context.project.root / "recipes" / f"{recipe}.toml"
        if known.is_file():
            return Path(os.path.relpath(known))
    return recipe


def open_recipe(
    context: JobContext,
    path: Path,
    *,
    overrides: Mapping[str, str] | None = None,
    varied: Mapping[str, str] | None = None,
) -> OwnedRecipe:
    """Read a recipe with the defaults of its own project.

    Args:
        context: of the command.
        path: the TOML file.
        overrides: of `--set`, by dotted key.
        varied: of `--matrix`, for this run, by dotted key.

    Raises:
        LingoLiteError: the file, a key or an override is wrong.
    """
    own = context.for_recipe(path)
    return OwnedRecipe(own, read_recipe(path, own.project, overrides=overrides, varied=varied))


def plan_recipe(owned: OwnedRecipe, path: Path) -> Plan:
    """Check a recipe.

    Raises:
        LingoLiteError: it is wrong; or options of its plugins name files by paths that lead to others from here.
    """
    project = owned.context.project
    plan = make_plan(owned.recipe, path=str(path), project=project, registry=owned.context.registry)
    if project.root.resolve() != Path.cwd().resolve():
        _refuse_loose_files(plan)
    return plan


def _refuse_loose_files(plan: Plan) -> None:
    """Plugins open the files that their options name from the working directory, which is not the project's."""
    for planned in plan.steps:
        for choice in planned.plugins:
            for file in files_of(choice.loaded.options(choice.options)):
                if not file.is_absolute():
                    plugin = f"{choice.loaded.kind} `{choice.loaded.spec.name}`"
                    raise LingoLiteError(
                        f"{plan.path}: step `{planned.step.id}`: {plugin} reads {file}, which is another file here "
                        f"than in {plan.root}",
                        hint=f"run it there: cd {plan.root}",
                    )
