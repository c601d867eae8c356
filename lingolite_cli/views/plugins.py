"""How plugins look on a terminal, and as JSON."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

import msgspec

from lingolite_cli.console import Console
from lingolite_cli.plugins.registry import Health, PluginEntry


def show_plugins(entries: Sequence[PluginEntry], console: Console) -> None:
    """A line each, and below why some cannot be used."""
    console.print_json([plain_plugin(entry) for entry in entries])
    if console.is_json:
        return
    console.print(_columns([_row(entry) for entry in entries]))
    for entry in entries:
        if entry.reason:
            console.print(f"{entry.kind} {entry.name} of {entry.origin.distribution}: {entry.reason}")


def _row(entry: PluginEntry) -> list[str]:
    origin = f"{entry.origin.distribution} {entry.origin.version}"
    return [entry.kind, entry.name, origin, entry.health.value, entry.spec.summary if entry.spec else ""]


def _columns(rows: list[list[str]]) -> str:
    """Plain columns: a list of names must not cost the import of rich."""
    header = ["kind", "name", "distribution", "health", "summary"]
    table = [header, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def show_plugin(entry: PluginEntry, console: Console, *, is_verbose: bool) -> None:
    """What it reads and makes, its options, and its health; with the traceback of one that broke if verbose."""
    console.print(f"{entry.kind} {entry.name}: {entry.health.value}" + (f": {entry.reason}" if entry.reason else ""))
    if entry.health is Health.UNAVAILABLE and entry.spec is not None and entry.spec.install:
        console.print(f"  install: {entry.spec.install}")
    console.print(f"  from {entry.origin.distribution} {entry.origin.version} ({entry.origin.module})")
    spec: Any = entry.spec
    if spec is not None:
        console.print(f"  {spec.summary}")
        for key in ("accepts", "needs", "capabilities", "requires"):
            if getattr(spec, key, None):
                console.print(f"  {key}: {', '.join(sorted(getattr(spec, key)))}")
        for key in ("reads", "produces", "goal"):
            if getattr(spec, key, None) is not None:
                console.print(f"  {key}: {getattr(spec, key)}")
        for field in msgspec.structs.fields(spec.options):
            console.print(f"  option {field.encode_name}{_default(field)}")
    if entry.error is not None and is_verbose:
        console.print("".join(traceback.format_exception(entry.error)).rstrip())


def _default(field: msgspec.structs.FieldInfo) -> str:
    """The default of an option; options that manifests leave out unless they are set are `None` to users."""
    if field.required:
        return ""
    return f" = {None if field.default is msgspec.UNSET else msgspec.to_builtins(field.default)!r}"


def plain_plugin(entry: PluginEntry) -> dict[str, Any]:
    """A plugin as JSON."""
    spec: Any = entry.spec
    plain = {
        "kind": entry.kind,
        "name": entry.name,
        "distribution": entry.origin.distribution,
        "version": entry.origin.version,
        "module": entry.origin.module,
        "health": entry.health.value,
        "reason": entry.reason,
    }
    if spec is None:
        return plain
    described = {
        key: sorted(getattr(spec, key))
        for key in ("accepts", "needs", "capabilities", "requires")
        if hasattr(spec, key)
    }
    for key in ("goal", "reads"):
        if hasattr(spec, key):
            described[key] = getattr(spec, key)
    options = [field.encode_name for field in msgspec.structs.fields(spec.options)]
    return {**plain, "summary": spec.summary, **described, "options": options}
