"""`lingolite run --matrix`: several recipes, or one with several settings, run one after the other.

Owns which runs there are. An executor may do steps ahead that time nothing, each once for all runs that have it. The
runs themselves follow one by one, so that timings have the machine for themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.errors import LingoLiteError
from lingolite_cli.jobs.context import JobContext
from lingolite_cli.jobs.recipe_plan import open_recipe
from lingolite_cli.jobs.recipe_run import RecipeRequest, RecipeRun
from lingolite_cli.jobs.steps_ahead import Ahead, do_ahead
from lingolite_cli.runs.record import RunManifest

MOST_RUNS = 1000


class MatrixRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is run.

    Attributes:
        recipes: TOML files of one project.
        overrides: of `--set`, for all runs, by dotted key.
        values: of `--matrix`: by dotted key, a value for each run; with several keys, for each combination.
        ahead: who does steps ahead of the runs, if anybody does.
    """

    recipes: tuple[Path, ...]
    overrides: Mapping[str, str] = {}
    values: Mapping[str, tuple[str, ...]] = {}
    ahead: Ahead | None = None


class MatrixRow(msgspec.Struct, frozen=True):
    """One run of a matrix: its recipe, its settings by dotted key, what came of it, and where."""

    recipe: str
    settings: dict[str, str]
    manifest: RunManifest
    directory: str


def parse_matrix(texts: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """`quantize.method=fp16,dynamic-int8` as values by key.

    Raises:
        LingoLiteError: one is not a key with values, or comes twice.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts or ():
        key, _, values = text.partition("=")
        names = tuple(dict.fromkeys(value.strip() for value in values.split(",") if value.strip()))
        if not key or not names:
            raise LingoLiteError(
                f"--matrix {text}: expected STEP.KEY=VALUE,VALUE", hint="for example quantize.method=fp16,dynamic-int8"
            )
        if key in found:
            raise LingoLiteError(f"--matrix {key} was given twice", hint="separate its values by commas")
        found[key] = names
    return found


def run_matrix(context: JobContext, request: MatrixRequest, console: Console) -> list[MatrixRow]:
    """Check all runs, do steps ahead, and run them in order.

    Raises:
        LingoLiteError: a recipe or a setting is wrong, which is told before any work; or a step could not be done.
    """
    both = sorted(request.values.keys() & request.overrides.keys())
    if both:
        raise LingoLiteError(f"--matrix {both[0]} and --set {both[0]} contradict one another", hint="keep one of them")
    combinations = [
        (recipe, dict(zip(request.values, values, strict=True)))
        for recipe in request.recipes
        for values in product(*request.values.values())
    ]
    if len(combinations) > MOST_RUNS:
        raise LingoLiteError(f"{len(combinations):,} runs are more than {MOST_RUNS:,}", hint="give fewer values")
    roots = {open_recipe(context, recipe, overrides={}).context.project.root for recipe in request.recipes}
    if len(roots) > 1:
        raise LingoLiteError("the recipes belong to different projects", hint="run those of one project together")
    ready = [
        RecipeRun(context, RecipeRequest(recipe=recipe, overrides=request.overrides, varied=settings), console)
        for recipe, settings in combinations
    ]
    if request.ahead is not None:
        own = context.for_recipe(request.recipes[0])
        do_ahead(own, [run.runner.plan for run in ready], request.ahead, console)
    rows: list[MatrixRow] = []
    for (recipe, settings), run in zip(combinations, ready, strict=True):
        told = ", ".join(f"{key}={value}" for key, value in settings.items())
        console.note(f"{recipe}: {told or 'as it is'}")
        outcome = run.run()
        rows.append(MatrixRow(str(recipe), settings, outcome.manifest, str(outcome.directory)))
    return rows
