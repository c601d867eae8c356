"""What files beside the weights say of a model, held against what the bundle says: which value differs, by its place.

Owns the comparison. What such files must hold, the plugin knows that writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from lingolite_cli.files.digests import sha256_bytes

if TYPE_CHECKING:
    from lingolite_cli.artifact import Artifact

_LISTED = 6
"""Values named of one file; a damaged one may differ everywhere."""

_SHOWN = 80
"""Characters of a value."""

_ARRAYS = (list, tuple)

_MISSING: Any = msgspec.UNSET


def file_differences(artifact: Artifact, expected: Mapping[str, bytes]) -> list[str]:
    """In what files of an artifact are not what they must be, a line each; JSON is compared by its values.

    Args:
        artifact: whose files these are.
        expected: their contents, by name.
    """
    found = []
    for name, content in expected.items():
        entry = artifact.manifest.files.get(name)
        if entry is None:
            found.append(f"{name} is missing")
        elif entry.sha256 != sha256_bytes(content):
            found += _file_difference(name, content, artifact.read_bytes(name))
    return found


def value_differences(where: str, expected: Any, found: Any) -> list[str]:
    """Which values differ, a line each, such as "export_config.json: special_ids.eos is 7, not 2".

    Args:
        where: the file, and the place in it if that is a part of it.
        expected: what it must hold, as JSON has it.
        found: what it holds.
    """
    lines = [
        f"{where}{': ' if place else ''}{place} {_words(own, right)}"
        for place, right, own in _walk("", expected, found)
    ]
    further = len(lines) - _LISTED
    return lines if further <= 0 else [*lines[:_LISTED], f"{where}: {further:,} further values differ"]


def _file_difference(name: str, expected: bytes, found: bytes) -> list[str]:
    if not name.endswith(".json"):
        return [f"{name} is not the file that was exported"]
    try:
        values = msgspec.json.decode(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [f"{name} is not JSON: {str(error)[:_SHOWN]}"]
    return value_differences(name, msgspec.json.decode(expected), values)


def _walk(place: str, expected: Any, found: Any) -> Iterator[tuple[str, Any, Any]]:
    """Place, expected value and own value wherever these differ, from the outside inwards."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in [*expected, *(key for key in found if key not in expected)]:
            name = f"{place}.{key}" if place else str(key)
            yield from _walk(name, expected.get(key, _MISSING), found.get(key, _MISSING))
    elif isinstance(expected, _ARRAYS) and isinstance(found, _ARRAYS) and len(expected) == len(found):
        for index, (right, own) in enumerate(zip(expected, found, strict=True)):
            yield from _walk(f"{place}[{index}]", right, own)
    elif type(expected) is not type(found) or expected != found:
        yield place, expected, found


def _words(own: Any, right: Any) -> str:
    if own is _MISSING:
        return f"is missing, and should be {_shown(right)}"
    if right is _MISSING:
        return f"is {_shown(own)}, and should not be there"
    if isinstance(own, _ARRAYS) and isinstance(right, _ARRAYS):
        return f"has {len(own):,} entries, not {len(right):,}"
    return f"is {_shown(own)}, not {_shown(right)}"


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
