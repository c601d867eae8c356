"""The project's defaults under the keys of a step: `[defaults.KIND]` of `lingolite.toml`.

Owns the order of precedence: what a recipe, a flag or a function gives, over the project's defaults, over those of the
structs of the steps. A recipe file and a step that is made in Python take the same road.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, TypeVar

import msgspec

from lingolite_cli.errors import LingoLiteError, did_you_mean
from lingolite_cli.recipe.kinds import KINDS, AnyStep
from lingolite_cli.recipe.model import Step
from lingolite_cli.schema import convert
from lingolite_cli.settings import SETTINGS_NAME

S = TypeVar("S", bound=Step)
Defaults = Mapping[str, Mapping[str, Any]]

_BY_ARTIFACT = {"evaluate": frozenset({"backend"})}
"""Keys whose default holds where it fits the artifact: they are no values of a step, and checks look them up."""


class _Steps(msgspec.Struct, frozen=True):
    """Only steps, so that an error names a step as one in a recipe does."""

    steps: tuple[AnyStep, ...]


def make_step(kind: type[S], given: Mapping[str, Any], *, defaults: Defaults, where: str) -> S:
    """A step from the keys that are given, tables among them merged key by key.

    Args:
        kind: its struct.
        given: values by key. One that equals a built-in default is given all the same: `batch_size = 32` over a
            project's `batch_size = 8` is 32.
        defaults: the project's, by kind of step.
        where: what asks for the step, for messages.

    Raises:
        LingoLiteError: a key is unknown or missing, or a value has the wrong type or range.
    """
    check_kinds(defaults)
    tag = str(kind.__struct_config__.tag)
    merged = {**_merge(_of_kind(defaults, tag), given), "uses": tag}
    (step,) = convert({"steps": [merged]}, _Steps, where=where).steps
    assert isinstance(step, kind)
    return step


def merge_defaults(data: dict[str, Any], defaults: Defaults) -> dict[str, Any]:
    """`data` of a recipe with each step laid over the defaults of its kind.

    Raises:
        LingoLiteError: there are defaults for a kind of step that does not exist.
    """
    check_kinds(defaults)
    steps = data.get("steps")
    if not isinstance(steps, list):
        return data
    return {
        **data,
        "steps": [
            _merge(_of_kind(defaults, str(step.get("uses"))), step) if isinstance(step, dict) else step
            for step in steps
        ],
    }


def check_kinds(defaults: Defaults) -> None:
    """Refuse defaults for a kind of step that does not exist.

    Raises:
        LingoLiteError: naming the first of them.
    """
    for kind in defaults:
        if kind not in KINDS:
            raise LingoLiteError(
                f"{SETTINGS_NAME}: unknown key `defaults.{kind}`: there is no such kind of step",
                hint=did_you_mean(kind, KINDS),
            )


def _of_kind(defaults: Defaults, kind: str) -> dict[str, Any]:
    left_out = _BY_ARTIFACT.get(kind, frozenset())
    return {key: value for key, value in defaults.get(kind, {}).items() if key not in left_out}


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = deepcopy(dict(below))  # tables of the defaults are shared by all steps of a kind
    for key, value in above.items():
        known = merged.get(key)
        merged[key] = _merge(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
