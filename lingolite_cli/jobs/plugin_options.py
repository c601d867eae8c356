"""Options of a plugin that a command was given: by flags of its own, and by `--option KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from lingolite_cli.errors import LingoLiteError
from lingolite_cli.plugins.registry import Registry
from lingolite_cli.plugins.specs import Spec


def plugin_options(
    registry: Registry, *, kind: str, name: str, aliased: Mapping[str, Any], pairs: Mapping[str, Any]
) -> dict[str, Any]:
    """The options for one plugin.

    Args:
        registry: the plugins.
        kind: of the plugin.
        name: of the plugin.
        aliased: what flags of the command gave, by the plugin's option.
        pairs: what `--option` gave; it wins over a flag.

    Raises:
        LingoLiteError: a flag was given that the plugin has no option for.
    """
    known = _option_names(registry.resolve(kind, name).spec)
    for option in aliased:
        if option not in known:
            able = [e.name for e in registry.of_kind(kind) if e.spec and option in _option_names(e.spec)]
            raise LingoLiteError(
                f"{kind} `{name}` has no option {option}",
                hint=f"those with it: {', '.join(sorted(able))}" if able else f"no {kind} has it",
            )
    return {**aliased, **pairs}


def shared_options(
    registry: Registry, pairs: Mapping[str, Any], *, first: tuple[str, str], second: tuple[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of two plugins that one command chose, told apart by which of them has each.

    Args:
        registry: the plugins.
        pairs: what `--option` gave.
        first: kind and name of the one; it gets what neither has, and refuses it.
        second: kind and name of the other.

    Raises:
        LingoLiteError: both have an option of that name.
    """
    names = [_option_names(registry.resolve(*plugin).spec) for plugin in (first, second)]
    both = next((option for option in pairs if option in names[0] and option in names[1]), None)
    if both is not None:
        raise LingoLiteError(
            f"--option {both}: {first[0]} `{first[1]}` and {second[0]} `{second[1]}` both have it",
            hint="set it in a recipe, where each has a table of its own",
        )
    theirs = {option: value for option, value in pairs.items() if option in names[1]}
    return {option: value for option, value in pairs.items() if option not in theirs}, theirs


def _option_names(spec: Spec) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(spec.options)]
