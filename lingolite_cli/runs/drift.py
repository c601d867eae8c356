"""Differences between two descriptions, named one by one: what a lock and a comparison of runs both tell."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Drift(msgspec.Struct, frozen=True):
    """One difference: what it is of, and its value before and after; None for nothing."""

    what: str
    before: str | None
    after: str | None


def compare(what: str, before: Any, after: Any) -> list[Drift]:
    """The difference of two values, if there is one."""
    return [] if before == after else [Drift(what, _show(before), _show(after))]


def compare_tables(what: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Drift]:
    """The differences of two tables, by key; a table inside a table by dotted key."""
    first, second = flat(before), flat(after)
    return [
        Drift(f"{what} `{name}`", _show(first.get(name)), _show(second.get(name)))
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    ]


def feature_drift(before: Iterable[str], after: Iterable[str]) -> list[Drift]:
    """Instruction sets that only one of two CPUs has."""
    old, new = set(before), set(after)
    gone = [Drift("CPU feature", name, None) for name in sorted(old - new)]
    return gone + [Drift("CPU feature", None, name) for name in sorted(new - old)]


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted key."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _show(value: Any) -> str | None:
    """A value as recipes write it, as far as JSON is TOML; of a SHA-256 its beginning."""
    if value is None or value == "":
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:12] + "…" if len(text) == 64 and not text.strip("0123456789abcdef") else text
