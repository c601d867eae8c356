"""Changes to the files of an artifact that is not a graph or a weight: what `verify` must name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def edited(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    """A JSON file whose content was changed in place."""

    def edit(directory: Path) -> None:
        values = json.loads((directory / name).read_text(encoding="utf-8"))
        change(values)
        (directory / name).write_text(json.dumps(values), encoding="utf-8")

    return edit


def appended(name: str) -> Callable[[Path], None]:
    """A file with a line feed more."""
    return lambda directory: (directory / name).write_bytes((directory / name).read_bytes() + b"\n")
