"""Files that commands write for users, from the templates in `lingolite_cli/templates`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files


def fill_template(name: str, values: Mapping[str, str]) -> bytes:
    """The template called `name`, with each `@key@` replaced by its value."""
    text = files("lingolite_cli").joinpath("templates", name).read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text.encode()
