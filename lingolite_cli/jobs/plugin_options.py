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


def _option_names(spec: Spec) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(spec.options)]
