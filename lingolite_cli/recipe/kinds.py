"""The kinds of step that there are, and a recipe of them: made from what each module under `steps` declares.

Nothing else lists the kinds. Importing them loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from importlib import import_module
from operator import or_
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, TypeAlias

from lingolite_cli.recipe import steps
from lingolite_cli.recipe.model import Recipe, Step
from lingolite_cli.recipe.step_kind import StepKind

AnyKind: TypeAlias = StepKind[Any, Any, Any]


def _declared() -> Iterator[AnyKind]:
    """`KIND` of each module under `steps`."""
    for module in iter_modules(steps.__path__):
        kind: AnyKind = import_module(f"{steps.__name__}.{module.name}").KIND
        # Records hold both names, of the recipe's step and of its result, and readers take them for the same.
        assert kind.name == kind.result.__struct_config__.tag, f"{module.name}: table and result have different tags"
        yield kind


KINDS: Mapping[str, AnyKind] = {kind.name: kind for kind in _declared()}
"""By the name that recipes write under `uses`."""

if TYPE_CHECKING:
    AnyStep: TypeAlias = Step
else:
    # msgspec tells the kinds apart by their tags, and needs the whole union to read a recipe.
    AnyStep = reduce(or_, (kind.table for kind in KINDS.values()))


class RecipeFile(Recipe, frozen=True, kw_only=True):
    """A recipe whose steps are of the kinds that there are: what a file is read as."""

    steps: tuple[AnyStep, ...]
